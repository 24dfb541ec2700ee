//! The threads that call SQLite, and the channels to them.
//!
//! A call to SQLite may wait for the disk or for another process. So no task calls SQLite: a
//! thread for changes and a few threads for reads do, and the tasks wait for their answers.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SendError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};
use session3_store::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::OpenError;
use crate::database::is_busy;
use crate::file::DatabaseFile;

/// How many operations may wait for a kind of thread. Further ones wait without a copy of
/// their data. This bounds the memory that a stalled disk takes.
const MAX_WAITING: usize = 256;
/// How long reads rely on a check of the file's place.
const MAX_CHECK_AGE: Duration = Duration::from_millis(1);

/// The result of an operation on a thread. The outer error is that of SQLite.
pub type Outcome<T> = rusqlite::Result<Result<T, StoreError>>;

/// A channel to threads. A bounded number of operations is in it.
pub struct Lane<Job> {
    jobs: Sender<Job>,
    places: Arc<Semaphore>,
}

/// Sends the result to the task that waits for it.
pub struct Reply<T>(Option<Waiting<T>>);

struct Waiting<T> {
    sender: oneshot::Sender<Result<T, StoreError>>,
    _place: OwnedSemaphorePermit,
}

impl<Job> Lane<Job> {
    /// Returns a channel, and its other end.
    pub fn new() -> (Self, Receiver<Job>) {
        let (jobs, receiver) = channel();
        let places = Arc::new(Semaphore::new(MAX_WAITING));
        (Self { jobs, places }, receiver)
    }

    /// Returns another sender, for operations that must not wait for a place.
    pub fn sender(&self) -> Sender<Job> {
        self.jobs.clone()
    }

    /// Waits for a place, sends a job, and waits for its result. If this future is dropped,
    /// the job is done or left out as a whole.
    pub async fn run<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, StoreError> {
        let place = self.places.clone().acquire_owned().await;
        let (sender, answer) = oneshot::channel();
        let waiting = Waiting {
            sender,
            _place: place.map_err(|_| ended())?,
        };
        let sent = self.jobs.send(job(Reply(Some(waiting))));
        sent.map_err(|SendError(_)| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

impl<T> Reply<T> {
    /// Returns the reply of a job that is always done, and that nothing waits for.
    pub fn ignored() -> Self {
        Self(None)
    }

    /// Returns whether the job must still be done.
    pub fn is_wanted(&self) -> bool {
        let waiting = self.0.as_ref();
        waiting.is_none_or(|waiting| !waiting.sender.is_closed())
    }

    /// Sends the result. If the task does not wait any more, drops the result.
    pub fn send(self, result: Result<T, StoreError>) {
        if let Some(waiting) = self.0 {
            let _ = waiting.sender.send(result);
        }
    }
}

/// A read of the database.
pub type Read = Box<dyn FnOnce(&Result<&Connection, StoreError>) + Send>;

/// Makes a job of a read.
pub fn read<T: Send + 'static>(
    work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    reply: Reply<T>,
) -> Read {
    Box::new(move |connection| {
        if reply.is_wanted() {
            let result = match connection {
                Ok(connection) => work(connection).unwrap_or_else(|error| Err(failure(&error))),
                Err(error) => Err(error.clone()),
            };
            reply.send(result);
        }
    })
}

/// Starts a thread, which opens a connection, reports what else it found, then works.
pub fn start<T: Clone + Send + 'static>(
    name: &str,
    open: impl FnOnce() -> Result<(T, Connection), OpenError> + Send + 'static,
    work: impl FnOnce(T, Connection) + Send + 'static,
) -> io::Result<oneshot::Receiver<Result<T, OpenError>>> {
    let (report, opened) = oneshot::channel();
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(move || match open() {
        Ok((found, connection)) => {
            if report.send(Ok(found.clone())).is_ok() {
                work(found, connection);
            }
        }
        Err(error) => {
            // The caller has given up.
            let _ = report.send(Err(error));
        }
    })?;
    Ok(opened)
}

/// Reads until the store is dropped. Several threads take turns to wait for a job.
pub fn serve_reads(connection: &Connection, file: &DatabaseFile, jobs: &Mutex<Receiver<Read>>) {
    let mut checked = Instant::now();
    let mut place = file.check_place();
    while let Some((job, has_waited)) = next_read(jobs) {
        // The check is a system call, which reads that follow each other closely share.
        if has_waited || checked.elapsed() >= MAX_CHECK_AGE {
            checked = Instant::now();
            place = file.check_place();
        }
        job(&place.map(|()| connection).map_err(unavailable));
    }
}

/// Returns the next read, and whether this thread has waited for it. `None` if the store was
/// dropped.
fn next_read(jobs: &Mutex<Receiver<Read>>) -> Option<(Read, bool)> {
    let jobs = jobs.lock();
    match jobs.try_recv() {
        Ok(job) => Some((job, false)),
        Err(_) => Some((jobs.recv().ok()?, true)),
    }
}

/// Converts an error of SQLite.
pub fn failure(error: &rusqlite::Error) -> StoreError {
    if is_busy(error) {
        return StoreError::Busy;
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => unavailable(&format!(
            "{error}; restore a backup, or rescue what `sqlite3 FILE .recover` can read"
        )),
        _ => unavailable(&error.to_string()),
    }
}

pub fn unavailable(why: &str) -> StoreError {
    StoreError::Unavailable(why.to_owned())
}

fn ended() -> StoreError {
    unavailable("the thread of the database has ended; restart this program")
}
