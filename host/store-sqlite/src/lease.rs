//! Leases: rows that exclude other requests and other sweeps, in this and in other processes.
//!
//! A lease ends when it is dropped. If its process was killed, it ends at the time in its row.

use std::collections::HashMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use session3_store::{SessionId, Timestamp};
use tokio::sync::OwnedMutexGuard;

use crate::threads::{Outcome, Reply};
use crate::writer::{Change, Work};

/// The key of the lease of a sweep. Those of sessions are their IDs.
pub const SWEEP: &[u8] = b"";

/// A lease, which is given back when it is dropped.
pub struct Lease {
    key: Vec<u8>,
    token: Vec<u8>,
    changes: Sender<Box<dyn Change>>,
}

impl Lease {
    /// Takes a lease, unless another one has not ended.
    pub fn take(
        connection: &Connection,
        changes: Sender<Box<dyn Change>>,
        key: &[u8],
        now: Timestamp,
        time: Duration,
    ) -> Outcome<Option<Self>> {
        let sql = "INSERT INTO leases (key, token, until) VALUES (?1, randomblob(16), ?3) \
            ON CONFLICT (key) DO UPDATE SET token = excluded.token, until = excluded.until \
            WHERE until < ?2 RETURNING token";
        let mut statement = connection.prepare_cached(sql)?;
        let values = params![key, time_in_row(now), end(now, time)];
        let token = statement.query_row(values, |row| row.get(0)).optional()?;
        Ok(Ok(token.map(|token| Self {
            key: key.to_owned(),
            token,
            changes,
        })))
    }

    /// Returns a function that extends the lease, and returns whether it had not been lost.
    pub fn renewal(
        &self,
        now: Timestamp,
        time: Duration,
    ) -> impl FnOnce(&Connection) -> rusqlite::Result<bool> + Send + use<> {
        let (key, token) = (self.key.clone(), self.token.clone());
        move |connection| {
            let sql = "UPDATE leases SET until = ?3 WHERE key = ?1 AND token = ?2";
            let mut statement = connection.prepare_cached(sql)?;
            Ok(statement.execute(params![key, token, end(now, time)])? > 0)
        }
    }

    /// Returns a function that gives the lease back.
    pub fn release(&self) -> impl FnOnce(&Connection) -> Outcome<()> + Send + use<> {
        let (key, token) = (self.key.clone(), self.token.clone());
        move |connection| {
            let sql = "DELETE FROM leases WHERE key = ?1 AND token = ?2";
            let mut statement = connection.prepare_cached(sql)?;
            statement.execute(params![key, token])?;
            Ok(Ok(()))
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The next change in this process comes after this one. If the writing thread has
        // ended, the lease ends at its time.
        let change = Work::new(self.release(), Reply::ignored(), false);
        let _ = self.changes.send(Box::new(change));
    }
}

/// Returns whether nothing has this lease.
pub fn is_free(connection: &Connection, key: &[u8], now: Timestamp) -> Outcome<bool> {
    let sql = "SELECT 1 FROM leases WHERE key = ?1 AND until >= ?2";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(Ok(!statement.exists(params![key, time_in_row(now)])?))
}

/// Removes what killed processes have left.
pub fn remove_ended(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("DELETE FROM leases WHERE until < ?1")?;
    statement.execute([time_in_row(now)])?;
    Ok(())
}

fn end(now: Timestamp, time: Duration) -> i64 {
    let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    time_in_row(now.saturating_add(time))
}

/// Times of leases are compared in SQL, so they are never negative.
fn time_in_row(time: Timestamp) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

/// The requests of this process that want a lease. Those for one session wait for each other
/// in the order in which they came, without asking the database.
#[derive(Default)]
pub struct Queues(Mutex<HashMap<SessionId, Weak<Queue>>>);

type Queue = tokio::sync::Mutex<()>;

impl Queues {
    /// Waits for the turn of a request.
    pub async fn wait(&self, id: &SessionId) -> OwnedMutexGuard<()> {
        self.queue(id).lock_owned().await
    }

    fn queue(&self, id: &SessionId) -> Arc<Queue> {
        let mut queues = self.0.lock();
        queues.retain(|_, queue| queue.strong_count() > 0);
        if let Some(queue) = queues.get(id).and_then(Weak::upgrade) {
            return queue;
        }
        let queue = Arc::default();
        queues.insert(*id, Arc::downgrade(&queue));
        queue
    }
}
