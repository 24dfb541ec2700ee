//! The leases of exclusive requests: rows of the table of locks, each with a random token and
//! a deadline by the server's clock.

use std::sync::Arc;
use std::time::Duration;

use session3_store::queue::Turn;
use session3_store::{SessionId, SessionLock, StoreError};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::call::Value;
use crate::inner::Inner;
use crate::values::Uuid;

/// The pauses between two attempts to get a lock that another process holds.
const MIN_PAUSE: Duration = Duration::from_millis(2);
const MAX_PAUSE: Duration = Duration::from_millis(50);

/// The longest lease: the server's clock has no times without end.
const MAX_TIME: Duration = Duration::from_secs(366 * 24 * 3600);

/// Waits for the lock of a session until the lock timeout.
pub async fn lock(
    inner: Arc<Inner>,
    id: SessionId,
    time: Duration,
) -> Result<SessionLock, StoreError> {
    let end = Instant::now() + inner.lock_timeout;
    let turn = inner.queues.wait(&id, inner.lock_timeout).await;
    let turn = turn.ok_or(StoreError::Busy)?;
    let mut row = LockRow {
        inner,
        id,
        token: rand::random(),
        may_exist: true,
        turn: Some(turn),
        runtime: Handle::current(),
    };
    let mut pause = MIN_PAUSE;
    loop {
        // The lease of this process ends before that of the server does.
        let start = Instant::now();
        row = match attempt(row, time.min(MAX_TIME)).await? {
            Attempt::Locked(row) => {
                let rest = time.saturating_sub(start.elapsed());
                return Ok(SessionLock::new(row, rest));
            }
            Attempt::Held(row) => row,
        };
        if Instant::now() + pause > end {
            return Err(StoreError::Busy);
        }
        sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

enum Attempt {
    Locked(LockRow),
    Held(LockRow),
}

/// Sends one request for the lock. It runs in a task of its own, so that the row is deleted
/// if the caller does not wait for it.
async fn attempt(mut row: LockRow, time: Duration) -> Result<Attempt, StoreError> {
    row.may_exist = true;
    let attempt = tokio::spawn(async move {
        let milliseconds = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let values = [
            Value::Uuid(Uuid(row.id.to_bits())),
            Value::Uuid(Uuid(row.token)),
            Value::Integer(milliseconds),
        ];
        let answer = row
            .inner
            .calls
            .run(&row.inner.statements.lock, &values)
            .await?;
        if answer.rows.is_empty() {
            row.may_exist = false;
            return Ok(Attempt::Held(row));
        }
        Ok(Attempt::Locked(row))
    });
    attempt.await.map_err(crate::inner::interrupted)?
}

/// Deletes the row of a lock when it is dropped. The next request of this process has its turn
/// after that.
struct LockRow {
    inner: Arc<Inner>,
    id: SessionId,
    token: u128,
    may_exist: bool,
    turn: Option<Turn>,
    runtime: Handle,
}

impl Drop for LockRow {
    fn drop(&mut self) {
        if !self.may_exist {
            return;
        }
        let (inner, turn) = (self.inner.clone(), self.turn.take());
        let values = [
            Value::Uuid(Uuid(self.id.to_bits())),
            Value::Uuid(Uuid(self.token)),
        ];
        self.runtime.spawn(async move {
            // If this fails, the lease ends at its deadline.
            let _ = inner.calls.run(&inner.statements.unlock, &values).await;
            drop(turn);
        });
    }
}
