//! What the operations of a store share: the threads, the limits and the clock.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle};
use session3_store::{SessionState, StoreError, Timestamp};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::Options;
use crate::access::Access;
use crate::database::open_reader;
use crate::file::DatabaseFile;
use crate::lease::{Lease, Queues};
use crate::threads::{Lane, Outcome, Read, failure, read, start, unavailable};
use crate::writer::{Change, Work};

/// An open store.
pub struct Inner {
    pub file: DatabaseFile,
    pub options: Options,
    pub queues: Queues,
    pub is_multiprocess_safe: bool,
    pub access: Access,
    pub reads: Lane<Read>,
    pub changes: Lane<Box<dyn Change>>,
    /// Whether the last operation failed, so that a log has one line for each change of that.
    pub is_failing: AtomicBool,
}

impl Inner {
    /// Returns the time by the clock of the store.
    pub fn now(&self) -> Timestamp {
        self.options.clock.now()
    }

    /// Refuses a state that is too large.
    pub fn check_size(&self, state: &SessionState) -> Result<(), StoreError> {
        let limit = self.options.max_state_bytes;
        match state.size() as u64 > limit {
            true => Err(StoreError::TooLarge(limit)),
            false => Ok(()),
        }
    }

    /// Reads the database on another thread.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.answer(self.reads.run(|reply| read(work, reply))).await
    }

    /// Changes the database on another thread. `is_durable` says whether
    /// [`Durability::Disk`](crate::Durability::Disk) applies.
    pub async fn change<T: Send + 'static>(
        &self,
        is_durable: bool,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.check_writable()?;
        self.answer(self.queue_change(is_durable, work)).await
    }

    /// Changes the database, however long it takes.
    pub async fn change_for_long(
        &self,
        work: impl FnOnce(&Connection) -> Outcome<()> + Send + 'static,
    ) -> Result<(), StoreError> {
        self.check_writable()?;
        let changed = self.queue_change(true, work).await;
        self.report(changed)
    }

    async fn queue_change<T: Send + 'static>(
        &self,
        is_durable: bool,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let job = |reply| -> Box<dyn Change> { Box::new(Work::new(work, reply, is_durable)) };
        self.changes.run(job).await
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        match self.access {
            Access::Write => Ok(()),
            Access::Read | Access::ReadUnchanging => Err(StoreError::Unavailable(format!(
                "{}: open for reading only",
                self.file.path.display()
            ))),
        }
    }

    /// Reads the database on a thread of its own, however long it takes. If this future is
    /// dropped, the read is interrupted.
    pub async fn read_for_long<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (file, access, patience) = (self.file.clone(), self.access, self.options.timeout);
        let open = move || {
            let connection = open_reader(&file, access, patience)?;
            Ok((Arc::new(connection.get_interrupt_handle()), connection))
        };
        let (sender, answer) = oneshot::channel();
        let work = move |_, connection| {
            let result = work(&connection).unwrap_or_else(|error| Err(failure(&error)));
            // The caller may have given up.
            let _ = sender.send(result);
        };
        let failed = |error: &dyn Display| Err(unavailable(&error.to_string()));
        let started = match start("sqlite-check", open, work) {
            Ok(started) => started.await,
            Err(error) => return self.report(failed(&error)),
        };
        let _interrupt = match started {
            Ok(Ok(handle)) => Interrupt(handle),
            Ok(Err(error)) => return failed(&error),
            Err(_) => return self.report(failed(&ended())),
        };
        let answer = answer.await;
        self.report(answer.unwrap_or_else(|_| failed(&ended())))
    }

    /// Takes a lease, unless another one has not ended.
    pub async fn take_lease(
        &self,
        key: Vec<u8>,
        time: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let (clock, changes) = (self.options.clock.clone(), self.changes.sender());
        self.change(false, move |connection| {
            Lease::take(connection, changes, &key, clock.now(), time)
        })
        .await
    }

    /// Waits for an answer, but not forever.
    async fn answer<T>(
        &self,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let limit = self.options.timeout;
        let answer = match timeout(limit, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(StoreError::Unavailable(format!(
                "no answer after {} s; look at the disk and at the load of this machine",
                limit.as_secs_f64()
            ))),
        };
        self.report(answer)
    }

    /// Adds the name of the file to an error, and logs if the store begins or ceases to fail.
    fn report<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        let path = self.file.path.display();
        match answer {
            Err(StoreError::Unavailable(why)) => {
                let why = format!("{path}: {why}");
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!("the store of the sessions fails: {why}");
                }
                Err(StoreError::Unavailable(why))
            }
            answer => {
                if self.is_failing.load(Ordering::Relaxed)
                    && self.is_failing.swap(false, Ordering::Relaxed)
                {
                    tracing::info!("the store of the sessions works again: {path}");
                }
                answer
            }
        }
    }
}

/// Interrupts what a connection does when this is dropped.
struct Interrupt(Arc<InterruptHandle>);

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

pub fn ended() -> std::io::Error {
    std::io::Error::other("the thread of the database has ended")
}
