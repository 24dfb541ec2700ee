//! What the operations of a store share: the threads, the limits and the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;
use session3_store::{SessionState, StoreError, Timestamp};
use tokio::time::timeout;

use crate::address::Address;
use crate::database::{open_reader, open_writer};
use crate::file::DatabaseFile;
use crate::lease::{Lease, Queues};
use crate::threads::{Lane, Outcome, Read, read, serve_reads, start};
use crate::writer::{Change, Work, Writer};
use crate::{OpenError, Options};

/// How long opening waits. After a crash, SQLite recovers the write-ahead log first.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest number of threads that read.
const MAX_READERS: usize = 4;

/// An open store.
pub struct Inner {
    pub file: DatabaseFile,
    pub options: Options,
    pub queues: Queues,
    pub is_multiprocess_safe: bool,
    reads: Lane<Read>,
    changes: Lane<Box<dyn Change>>,
    /// Whether the last operation failed, so that a log has one line for each change of that.
    is_failing: AtomicBool,
}

impl Inner {
    /// Opens the database that a URL names, and starts the threads.
    pub async fn open(url: &str, mut options: Options) -> Result<Self, OpenError> {
        let address = Address::parse(url)?;
        options.timeout = address.timeout.unwrap_or(options.timeout);
        options.durability = address.durability.unwrap_or(options.durability);
        let path = address.path.clone();
        match timeout(OPEN_TIMEOUT, open(address, options)).await {
            Ok(opened) => opened,
            Err(_) => Err(OpenError::Timeout(path, OPEN_TIMEOUT)),
        }
    }

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
        let job = |reply| -> Box<dyn Change> { Box::new(Work::new(work, reply, is_durable)) };
        self.answer(self.changes.run(job)).await
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

async fn open(address: Address, options: Options) -> Result<Inner, OpenError> {
    let (changes, received) = Lane::<Box<dyn Change>>::new();
    let (create, durability, patience) = (options.create, options.durability, options.timeout);
    let path = address.path.clone();
    let open = move || {
        let file = DatabaseFile::find(&path, create)?;
        let connection = open_writer(&file, create, durability, patience)?;
        let is_multiprocess_safe = file.is_multiprocess_safe();
        Ok(((file, is_multiprocess_safe), connection))
    };
    let work = move |(file, _), connection| {
        let writer = Writer {
            connection,
            file,
            durability,
            // An operation that ends with `Busy` says more than one that is out of time.
            patience: patience.mul_f64(0.75),
        };
        writer.serve(&received);
    };
    let failed = |error| OpenError::Failed(address.path.clone(), error);
    let opened = start("sqlite-writer", open, work).map_err(failed)?;
    let (file, is_multiprocess_safe) = opened.await.map_err(|_| failed(ended()))??;
    let reads = start_readers(&file, patience).await?;
    Ok(Inner {
        file,
        options,
        queues: Queues::default(),
        is_multiprocess_safe,
        reads,
        changes,
        is_failing: AtomicBool::new(false),
    })
}

async fn start_readers(file: &DatabaseFile, patience: Duration) -> Result<Lane<Read>, OpenError> {
    let failed = |error| OpenError::Failed(file.path.clone(), error);
    let (reads, received) = Lane::new();
    let received = Arc::new(Mutex::new(received));
    let count = available_parallelism().map_or(1, usize::from);
    for _ in 0..count.clamp(2, MAX_READERS) {
        let (file, received) = (file.clone(), received.clone());
        let open = move || {
            let connection = open_reader(&file, patience)?;
            Ok((file, connection))
        };
        let work = move |file, connection| serve_reads(&connection, &file, &received);
        let opened = start("sqlite-reader", open, work).map_err(failed)?;
        opened.await.map_err(|_| failed(ended()))??;
    }
    Ok(reads)
}

fn ended() -> std::io::Error {
    std::io::Error::other("the thread of the database has ended")
}
