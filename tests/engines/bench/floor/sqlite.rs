//! The statements of the store, with the client library `rusqlite` on as many threads.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use rusqlite::{Connection, params};
use session3_store::{SessionId, SessionState, Version};
use tokio::sync::oneshot;

use super::bytes;
use crate::contest::{Operate, Operation};
use crate::sessions::EXPIRES;

/// The largest number of changes in one transaction of the store.
const MAX_BATCH: usize = 32;
/// The largest number of threads with which the store reads.
const MAX_READERS: usize = 4;

const CREATE: &str = "INSERT INTO sessions (id, version, modified, expires, user, data) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING";
const LOAD: &str = "SELECT id, version, modified, expires, user, data FROM sessions WHERE id = ?1";
const SAVE: &str = "UPDATE sessions \
    SET version = ?3, modified = ?4, expires = ?5, user = ?6, data = ?7 \
    WHERE id = ?1 AND version = ?2";
const TOUCH: &str =
    "UPDATE sessions SET modified = ?3, expires = ?4 WHERE id = ?1 AND version = ?2";
const DELETE: &str = "DELETE FROM sessions WHERE id = ?1";

/// The bare statements.
pub struct Floor {
    changes: Sender<Job>,
    reads: Sender<Job>,
}

/// What a thread does with its connection. Returns whether it found the session.
type Work = Box<dyn FnOnce(&Connection) -> bool + Send>;

/// A statement, and the task that waits for its result.
struct Job {
    work: Work,
    reply: oneshot::Sender<bool>,
}

impl Floor {
    /// Starts the threads.
    pub fn open(path: &Path, is_durable: bool) -> Self {
        let synchronous = if is_durable { "FULL" } else { "NORMAL" };
        let writer = connect(path);
        writer
            .pragma_update(None, "synchronous", synchronous)
            .unwrap();
        let (changes, received) = channel();
        thread::spawn(move || write(&writer, &received));
        let (reads, received) = channel();
        let received = Arc::new(Mutex::new(received));
        let readers = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..readers.clamp(2, MAX_READERS) {
            let (reader, received) = (connect(path), received.clone());
            thread::spawn(move || read(&reader, &received));
        }
        Self { changes, reads }
    }
}

fn connect(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    // The store waits for the lock between the changes of the floor, and the other way round.
    connection.busy_timeout(Duration::from_secs(60)).unwrap();
    connection
}

/// Makes changes. Those that wait at the same time are one transaction, as in the store.
fn write(connection: &Connection, jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let mut batch = vec![first];
        batch.extend(jobs.try_iter().take(MAX_BATCH - 1));
        execute(connection, "BEGIN IMMEDIATE");
        let done: Vec<_> = batch
            .into_iter()
            .map(|job| ((job.work)(connection), job.reply))
            .collect();
        execute(connection, "COMMIT");
        for (result, reply) in done {
            reply.send(result).unwrap();
        }
    }
}

fn execute(connection: &Connection, statement: &str) {
    let mut statement = connection.prepare_cached(statement).unwrap();
    statement.execute(()).unwrap();
}

fn read(connection: &Connection, jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().recv();
        let Ok(job) = job else {
            return;
        };
        job.reply.send((job.work)(connection)).unwrap();
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(now.unwrap().as_millis()).unwrap()
}

/// Runs a statement that changes a session, and returns whether it changed one.
fn change(
    connection: &Connection,
    operation: Operation,
    id: [u8; 16],
    state: &SessionState,
    version: i64,
) -> bool {
    let user = state.user.as_deref().map(str::as_bytes);
    let (expires, data) = (state.expires.cast_signed(), &state.data);
    let prepared = |sql| connection.prepare_cached(sql).unwrap();
    let changed = match operation {
        Operation::Create => prepared(CREATE).execute(params![id, 1, now(), expires, user, data]),
        Operation::Save => {
            let values = params![id, version, version + 1, now(), expires, user, data];
            prepared(SAVE).execute(values)
        }
        Operation::Touch => {
            let values = params![id, version, now(), EXPIRES.cast_signed()];
            prepared(TOUCH).execute(values)
        }
        Operation::Delete => prepared(DELETE).execute([id]),
        Operation::Load => unreachable!("a load changes nothing"),
    };
    changed.unwrap() == 1
}

/// The columns of a session.
type Columns = ([u8; 16], i64, i64, i64, Option<Vec<u8>>, Vec<u8>);

/// Reads all columns of a session, and returns whether it has data.
fn load(connection: &Connection, id: [u8; 16]) -> bool {
    let mut statement = connection.prepare_cached(LOAD).unwrap();
    let columns = statement.query_row([id], |row| Columns::try_from(row));
    !black_box(columns.unwrap()).5.is_empty()
}

impl Operate for Floor {
    async fn operate(
        &self,
        operation: Operation,
        id: &SessionId,
        state: &SessionState,
        version: Version,
    ) {
        let (reply, answer) = oneshot::channel();
        let id = bytes(id);
        let (lane, work): (_, Work) = match operation {
            Operation::Load => (&self.reads, Box::new(move |reader| load(reader, id))),
            _ => {
                let (state, version) = (state.clone(), version.cast_signed());
                let work = move |writer: &_| change(writer, operation, id, &state, version);
                (&self.changes, Box::new(work))
            }
        };
        lane.send(Job { work, reply }).unwrap();
        assert!(answer.await.unwrap(), "{operation}");
    }
}
