//! The sweep: deletes old sessions block by block.
//!
//! An index on `expires` would make each touch write a new entry to every index, so the sweep
//! reads the table instead. A row of the table about the store has the lease of the sweep and
//! the block where it stopped.

use std::sync::Arc;
use std::time::Duration;

use session3_store::{StoreError, SweepPace, SweepReport};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::{Client, Row};

use crate::call::{Value, query};
use crate::failure::{Failure, describe};
use crate::inner::Inner;
use crate::rows::get;
use crate::values::{Number, Uuid};

/// The number of blocks, of 8 KiB each, that one statement reads.
const BLOCKS: i64 = 128;

/// How long a sweep that was killed keeps others away. Each statement prolongs the lease.
const LEASE: Duration = Duration::from_secs(15);

/// Deletes the old sessions until `limit`, in short statements with pauses between them.
pub async fn sweep(
    inner: Arc<Inner>,
    minutes: u32,
    limit: Option<Duration>,
) -> Result<SweepReport, StoreError> {
    let (sweep, first, end) = Sweep::begin(inner, minutes).await?;
    let mut report = SweepReport::default();
    let mut block = first;
    let mut pace = SweepPace::start(limit);
    loop {
        let next = block.saturating_add(BLOCKS).min(end.max(block));
        let (seen, deleted) = sweep.step(block, next).await?;
        report.deleted += deleted;
        report.remaining += seen.saturating_sub(deleted);
        block = next;
        report.complete = block >= end;
        if report.complete || !pace.allows_another_step().await {
            break;
        }
    }
    if report.complete {
        sweep.run(&sweep.inner.statements.sweep_locks, &[]).await?;
        block = 0;
    }
    sweep.finish(block).await?;
    Ok(report)
}

/// A sweep with its own connection. Dropping it ends its lease.
struct Sweep {
    inner: Arc<Inner>,
    client: Arc<Client>,
    driver: AbortHandle,
    token: u128,
    idle: u64,
    runtime: Handle,
}

impl Sweep {
    /// Takes the lease. Returns the block where the last sweep stopped, too, and the number
    /// of blocks.
    async fn begin(inner: Arc<Inner>, minutes: u32) -> Result<(Self, i64, i64), StoreError> {
        let connected = timeout(inner.timeout, inner.connector.connect()).await;
        let (client, driver) = connected
            .map_err(|_| inner.calls.unavailable("no connection in time"))?
            .map_err(|error| inner.calls.unavailable(&describe(&error)))?;
        let sweep = Self {
            inner,
            client: Arc::new(client),
            driver: tokio::spawn(driver).abort_handle(),
            token: rand::random(),
            idle: u64::from(minutes) * 60_000,
            runtime: Handle::current(),
        };
        let values = [sweep.token(), lease()];
        let rows = sweep
            .run(&sweep.inner.statements.begin_sweep, &values)
            .await?;
        let row = rows.first().ok_or(StoreError::Busy)?;
        let (first, end): (i64, i64) = (get(row, 0)?, get(row, 1)?);
        // The table may have become smaller.
        let first = if first < end { first } else { 0 };
        Ok((sweep, first, end))
    }

    /// Sweeps the blocks from `first` up to `end`. Returns how many sessions there were, and
    /// how many of them were deleted.
    async fn step(&self, first: i64, end: i64) -> Result<(u64, u64), StoreError> {
        let values = [
            self.token(),
            lease(),
            Value::Integer(first),
            Value::Integer(end),
            Value::Number(Number(self.idle)),
            self.inner.now(),
        ];
        let rows = self.run(&self.inner.statements.sweep, &values).await?;
        let row = rows.first().ok_or(StoreError::Busy)?;
        if !get::<bool>(row, 0)? {
            return Err(StoreError::Busy);
        }
        let (seen, deleted): (i64, i64) = (get(row, 1)?, get(row, 2)?);
        Ok((seen.unsigned_abs(), deleted.unsigned_abs()))
    }

    /// Ends the lease, and says where the next sweep continues.
    async fn finish(self, block: i64) -> Result<(), StoreError> {
        let values = [self.token(), Value::Integer(block)];
        self.run(&self.inner.statements.end_sweep, &values).await?;
        Ok(())
    }

    fn token(&self) -> Value {
        Value::Uuid(Uuid(self.token))
    }

    async fn run(&self, statement: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        let inner = &self.inner;
        let answer = timeout(inner.timeout, query(&self.client, statement, values)).await;
        let answer = answer.map_err(|_| {
            let why = format!("no answer to a sweep within {:?}", inner.timeout);
            inner.calls.unavailable(&why)
        })?;
        answer.map_err(|error| match Failure::new(&error) {
            Failure::Damaged(why) => StoreError::Corrupt(why),
            _ => inner.calls.unavailable(&describe(&error)),
        })
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        let values = [self.token(), Value::Integer(KEEP_BLOCK)];
        let (inner, client, driver) =
            (self.inner.clone(), self.client.clone(), self.driver.clone());
        self.runtime.spawn(async move {
            let statement = &inner.statements.end_sweep;
            if timeout(inner.timeout, query(&client, statement, &values))
                .await
                .is_err()
            {
                // The statement of the sweep may wait for a lock.
                let cancel = inner.connector.cancel(client.cancel_token());
                let _ = timeout(inner.timeout, cancel).await;
            }
            driver.abort();
        });
    }
}

/// Leaves the block where the next sweep continues as it is.
const KEEP_BLOCK: i64 = -1;

/// Returns the duration of the lease in milliseconds.
fn lease() -> Value {
    Value::Integer(i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX))
}
