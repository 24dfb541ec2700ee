//! The thread that makes all changes of this process. Changes that wait at the same time are
//! one transaction, so that they share one commit and, if durable, one flush.

use std::sync::mpsc::Receiver;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use session3_store::StoreError;

use crate::Durability;
use crate::database::{is_busy, set_durability};
use crate::file::DatabaseFile;
use crate::threads::{Outcome, Reply, failure, unavailable};

/// The largest number of changes in one transaction.
const MAX_BATCH: usize = 32;
/// The shortest and the longest pause between two attempts to take the write lock.
const PAUSES: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(1));
/// How long this thread writes without a pause in which another process can take the lock.
/// Without such pauses, a process with much to do would keep the others out.
const MAX_TURN: Duration = Duration::from_millis(100);
/// The length of that pause: longer than a process waits between two attempts.
const TURN_PAUSE: Duration = Duration::from_millis(2);

/// A change of the database.
pub trait Change: Send {
    /// Returns whether the task still waits for the result.
    fn is_wanted(&self) -> bool;

    /// Returns whether the change must be flushed.
    fn is_durable(&self) -> bool;

    /// Makes the change, within a transaction. An error ends the transaction.
    fn make(&mut self, connection: &Connection) -> rusqlite::Result<()>;

    /// Sends the result once the transaction has ended.
    fn finish(self: Box<Self>, ended: Result<(), StoreError>);
}

/// A change by a closure.
pub struct Work<T, F> {
    /// `None` once its turn has come.
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: Reply<T>,
    is_durable: bool,
}

impl<T, F: FnOnce(&Connection) -> Outcome<T> + Send> Work<T, F> {
    pub fn new(work: F, reply: Reply<T>, is_durable: bool) -> Self {
        Self {
            work: Some(work),
            result: None,
            reply,
            is_durable,
        }
    }
}

impl<T: Send, F: FnOnce(&Connection) -> Outcome<T> + Send> Change for Work<T, F> {
    fn is_wanted(&self) -> bool {
        self.reply.is_wanted()
    }

    fn is_durable(&self) -> bool {
        self.is_durable
    }

    fn make(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let work = self.work.take();
        // The caller may have given up while the transaction waited for the lock.
        if let Some(work) = work.filter(|_| self.reply.is_wanted()) {
            self.result = Some(work(connection)?);
        }
        Ok(())
    }

    fn finish(self: Box<Self>, ended: Result<(), StoreError>) {
        match (ended, self.result) {
            (Err(error), _) => self.reply.send(Err(error)),
            (Ok(()), Some(result)) => self.reply.send(result),
            (Ok(()), None) => {}
        }
    }
}

/// The thread.
pub struct Writer {
    pub connection: Connection,
    pub file: DatabaseFile,
    pub durability: Durability,
    /// How long to wait for the write lock of another process.
    pub patience: Duration,
}

impl Writer {
    /// Makes changes until the store is dropped.
    pub fn serve(self, changes: &Receiver<Box<dyn Change>>) {
        // Attempts to take the lock are repeated here, since SQLite pauses up to 100 ms
        // between two of them.
        let _ = self.connection.busy_timeout(Duration::ZERO);
        let mut turn = Instant::now();
        loop {
            let first = match changes.try_recv() {
                Ok(change) => Some(change),
                Err(_) => {
                    let change = changes.recv().ok();
                    turn = Instant::now();
                    change
                }
            };
            let Some(first) = first else {
                return;
            };
            let mut batch = vec![first];
            batch.extend(changes.try_iter().take(MAX_BATCH - 1));
            self.change(batch);
            if turn.elapsed() > MAX_TURN {
                sleep(TURN_PAUSE);
                turn = Instant::now();
            }
        }
    }

    /// Makes changes as one transaction, and answers all of them.
    fn change(&self, mut batch: Vec<Box<dyn Change>>) {
        batch.retain(|change| change.is_wanted());
        if batch.is_empty() {
            return;
        }
        let ended = self.transact(&mut batch);
        for change in batch {
            change.finish(ended.clone());
        }
    }

    fn transact(&self, batch: &mut [Box<dyn Change>]) -> Result<(), StoreError> {
        self.file.check_place().map_err(unavailable)?;
        let is_durable = batch.iter().any(|change| change.is_durable());
        self.begin(is_durable).map_err(|error| failure(&error))?;
        let made = batch
            .iter_mut()
            .try_for_each(|change| change.make(&self.connection));
        made.and_then(|()| self.execute("COMMIT")).map_err(|error| {
            // SQLite may have rolled back by itself.
            if !self.connection.is_autocommit() {
                let _ = self.execute("ROLLBACK");
            }
            failure(&error)
        })
    }

    /// Begins a transaction with the write lock, which it waits for.
    fn begin(&self, is_durable: bool) -> rusqlite::Result<()> {
        if self.durability == Durability::Disk {
            let durability = match is_durable {
                true => Durability::Disk,
                false => Durability::Process,
            };
            set_durability(&self.connection, durability)?;
        }
        let deadline = Instant::now() + self.patience;
        let (mut pause, longest) = PAUSES;
        loop {
            match self.execute("BEGIN IMMEDIATE") {
                Err(error) if is_busy(&error) && Instant::now() < deadline => sleep(pause),
                result => return result,
            }
            pause = longest.min(pause * 2);
        }
    }

    fn execute(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute(())?;
        Ok(())
    }
}
