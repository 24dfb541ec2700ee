//! The sweep: deletes old sessions in the order of their IDs.
//!
//! An index on `expires` would make each touch write to it, so the sweep reads the table
//! instead. A row of the table about the store has the lease of the sweep and the ID where it
//! stopped.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::{Params, params};
use session3_store::{StoreError, SweepPace, SweepReport};
use tokio::runtime::Handle;

use crate::call::Query;
use crate::inner::Inner;
use crate::rows::{binary, get, number};

/// The number of sessions that one step looks at.
const STEP: usize = 500;

/// How long a sweep that was killed keeps others away. Each step prolongs the lease.
const LEASE: Duration = Duration::from_secs(15);

/// Deletes the old sessions until `limit`, in short steps with pauses between them.
pub async fn sweep(
    inner: Arc<Inner>,
    minutes: u32,
    limit: Option<Duration>,
) -> Result<SweepReport, StoreError> {
    let sweep = Sweep::begin(inner, minutes).await?;
    let mut first = sweep.position().await?;
    let mut report = SweepReport::default();
    let mut pace = SweepPace::start(limit);
    loop {
        let step = sweep.step(first).await?;
        report.deleted += step.deleted;
        report.remaining += step.seen.saturating_sub(step.deleted);
        report.complete = step.next.is_none();
        first = step.next.unwrap_or(0);
        sweep.prolong(first).await?;
        if report.complete || !pace.allows_another_step().await {
            break;
        }
    }
    if report.complete {
        sweep.delete_ended_locks().await?;
    }
    sweep.end().await?;
    Ok(report)
}

/// What one step did.
struct Step {
    seen: u64,
    deleted: u64,
    /// The ID where the next step begins, unless the table ends before.
    next: Option<u128>,
}

/// A sweep that has the lease. Dropping it ends the lease.
struct Sweep {
    inner: Arc<Inner>,
    token: u128,
    /// The longest idle time of a session, in milliseconds.
    idle: u64,
    has_lease: bool,
    runtime: Handle,
}

impl Sweep {
    /// Takes the lease.
    async fn begin(inner: Arc<Inner>, minutes: u32) -> Result<Self, StoreError> {
        let mut sweep = Self {
            inner,
            token: rand::random(),
            idle: u64::from(minutes) * 60_000,
            has_lease: true,
            runtime: Handle::current(),
        };
        let params = params! { "token" => binary(sweep.token), "time" => lease() };
        let statement = &sweep.inner.statements.begin_sweep;
        let answer = sweep.inner.calls.run(statement, params).await?;
        sweep.has_lease = answer.found > 0;
        match sweep.has_lease {
            true => Ok(sweep),
            false => Err(StoreError::Busy),
        }
    }

    /// Returns the ID where the last sweep stopped.
    async fn position(&self) -> Result<u128, StoreError> {
        let statement = &self.inner.statements.sweep_position;
        let answer = self.inner.calls.run(statement, Params::Empty).await?;
        number(answer.rows.first().ok_or(StoreError::Busy)?, 0)
    }

    /// Deletes the old ones of the sessions from the ID `first`.
    async fn step(&self, first: u128) -> Result<Step, StoreError> {
        let params = params! {
            "first" => binary(first),
            "count" => STEP as u64,
            "idle" => self.idle,
            "now" => self.inner.now(),
        };
        let statement = &self.inner.statements.old;
        let answer = self.inner.calls.run(statement, params).await?;
        let mut old = Vec::new();
        let mut last = None;
        for row in &answer.rows {
            let id = number(row, 0)?;
            last = Some(id);
            if get::<bool>(row, 1)? {
                old.push(id);
            }
        }
        let is_full = answer.rows.len() >= STEP;
        Ok(Step {
            seen: answer.rows.len() as u64,
            deleted: self.delete(&old).await?,
            next: last
                .filter(|_| is_full)
                .and_then(|last| last.checked_add(1)),
        })
    }

    /// Deletes sessions that are still old.
    async fn delete(&self, ids: &[u128]) -> Result<u64, StoreError> {
        if ids.is_empty() {
            return Ok(0);
        }
        let time = self.inner.time();
        let text = self.inner.statements.delete_old(ids, self.idle, time);
        let answer = self.inner.calls.begin().query(&Query::Text(text)).await?;
        Ok(answer.found)
    }

    /// Says where the next step begins, if the lease is still held.
    async fn prolong(&self, next: u128) -> Result<(), StoreError> {
        let params = params! {
            "token" => binary(self.token),
            "time" => lease(),
            "next" => binary(next),
        };
        let statement = &self.inner.statements.prolong_sweep;
        let answer = self.inner.calls.run(statement, params).await?;
        match answer.found > 0 {
            true => Ok(()),
            false => Err(StoreError::Busy),
        }
    }

    async fn delete_ended_locks(&self) -> Result<(), StoreError> {
        let statement = &self.inner.statements.sweep_locks;
        self.inner.calls.run(statement, Params::Empty).await?;
        Ok(())
    }

    /// Ends the lease, and waits for that.
    async fn end(mut self) -> Result<(), StoreError> {
        end(&self.inner, self.token).await?;
        self.has_lease = false;
        Ok(())
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        if !self.has_lease {
            return;
        }
        let (inner, token) = (self.inner.clone(), self.token);
        self.runtime.spawn(async move {
            // If this fails, the lease ends at its deadline.
            let _ = end(&inner, token).await;
        });
    }
}

async fn end(inner: &Inner, token: u128) -> Result<(), StoreError> {
    let params = params! { "token" => binary(token) };
    let statement = &inner.statements.end_sweep;
    inner.calls.run(statement, params).await?;
    Ok(())
}

/// Returns the duration of the lease in milliseconds.
fn lease() -> u64 {
    LEASE.as_secs() * 1000
}
