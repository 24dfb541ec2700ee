//! Sessions in one SQLite file, which several processes of one machine may use.
//!
//! ```
//! use session3_store::{SessionId, SessionState, SessionStore};
//! use session3_store_sqlite::{Options, SqliteStore};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("sessions.db");
//! let url = format!("sqlite:{}?durability=disk", path.display());
//! let store = SqliteStore::open(&url, Options::default().create(true)).await?;
//!
//! let id: SessionId = "0123456789abcdef0123456789abcdef".parse()?;
//! let state = SessionState { user: None, expires: u64::MAX, data: b"state".to_vec() };
//! assert_eq!(store.create_session(&id, &state).await?, 1);
//! # Ok(())
//! # }
//! ```
//!
//! SQLite is compiled into this crate. The URL is `sqlite:PATH`, with the parameters
//! `durability` (`process`, the default, or `disk`) and `timeout` (in seconds, 2 by default).
//!
//! # Limits
//!
//! - **A kill loses nothing** that was acknowledged. A power cut loses nothing that was
//!   acknowledged under [`Durability::Disk`]. Under [`Durability::Process`], it may undo the
//!   changes since the last checkpoint, which SQLite makes about every 4 MiB of changes; so a
//!   session that was deleted in that time may be back. In no case is the database damaged,
//!   unless the disk reports data as durable that it has not written.
//! - **Local disks only.** The processes share memory through the file `-shm`. On a network
//!   file system, two machines would damage the database, and SQLite may refuse to open it.
//!   [`is_multiprocess_safe`](session3_store::SessionStore::is_multiprocess_safe) is false on
//!   the network and user-space file systems that Linux names.
//! - **One change at a time.** SQLite has one write lock for the whole file. The changes that
//!   wait at the same time in one process share a transaction. Loads never wait for changes.
//!   A change that does not get the lock within three quarters of the timeout is
//!   [`Busy`](session3_store::StoreError::Busy).
//! - **The file must stay where it is** while a process uses it. If the path leads to
//!   something else, each operation fails and says so, until the file is back or the program
//!   is restarted. End all processes before you replace the file, and remove the files `-wal`
//!   and `-shm` with it. For a copy of a database in use, run
//!   `sqlite3 FILE "VACUUM INTO 'COPY'"`.
//! - **Reading alone** needs [`Options::read_only`], if this user may only read the file. If
//!   the files `-wal` and `-shm` are missing and this user may not create them, the store reads
//!   the file as one that nothing changes: a server that is started meanwhile would make it
//!   return wrong states.
//! - **SQLite has no checksums.** A damaged page is reported as a failure of the store if
//!   SQLite notices it. A damaged byte within the data of a session is not noticed here.
//! - **A lease of a killed process ends at its deadline**, by the clock of the store. If the
//!   clock was set back meanwhile, that takes as much longer.
//! - **Deleted bytes stay in the file** until other sessions overwrite them.
//!
//! # How it works
//!
//! - **No task calls SQLite.** One thread makes the changes, and two to four threads read, each
//!   with a connection of its own. A disk that stalls blocks these threads, and no thread of
//!   the runtime. Each operation answers within the timeout. What it asked for is then done or
//!   left out as a whole, and was left out if its turn had not come.
//! - **At most 256 changes and 256 reads wait with their data**, so a stalled disk takes a
//!   bounded amount of memory.
//! - **The writing thread repeats `BEGIN IMMEDIATE` itself**, every millisecond, since SQLite's
//!   own `busy_timeout` pauses for up to 100 ms. After 100 ms of work without a gap, it pauses
//!   for 2 ms, so that other processes get the lock.
//! - **A sweep looks through 1000 sessions at a time** on a reading thread, and deletes the old
//!   ones in changes of about 5 ms, with pauses of 32 times as long. Its position is in the database, so that the next sweep
//!   goes on there, also in another process. When more than a quarter of the file is unused, it
//!   gives space back to the file system, 256 KiB in a change.
//! - **No nonces.** No network can lose the answer to a commit, so nothing is ever retried.
//! - **The clock is that of the machine**, which all processes share.
//!
//! # How fast it is
//!
//! Microseconds for each operation on sessions of 500 bytes, on a virtual machine with two
//! processors and other work, by `cargo bench -p session3-test-store-sqlite`. With several
//! tasks, this is the time for all operations, divided by their number.
//!
//! | | create | load | save | touch | delete |
//! | --- | --- | --- | --- | --- | --- |
//! | `process`: bare statements | 33 | 2.9 | 18 | 12 | 36 |
//! | one task | 72 | 22 | 65 | 54 | 59 |
//! | 16 tasks | 20 | 7.6 | 15 | 11 | 22 |
//! | `disk`: bare statements | 153 | 2.7 | 103 | 105 | 122 |
//! | one task | 235 | 22 | 152 | 138 | 162 |
//! | 16 tasks | 35 | 7.7 | 20 | 17 | 16 |
//!
//! # Schema
//!
//! `application_id` is 0x53455333, `user_version` is 1. The file has mode 0600 when it is made
//! here, uses the write-ahead log (files `-wal` and `-shm` beside it) and
//! `auto_vacuum=INCREMENTAL`. Times are in milliseconds since 1970. Numbers from 2⁶³ are stored
//! as the negative numbers with the same 64 bits.
//!
//! | table | column | content |
//! | --- | --- | --- |
//! | `sessions` | `number` | the row, in whose order sweeps go |
//! | | `id` | 16 bytes, most significant first; unique |
//! | | `version` | the number of saves |
//! | | `modified` | the time of the last create, save or touch |
//! | | `expires` | the time from which a sweep deletes the session |
//! | | `user` | the user's name in UTF-8, or NULL; indexed, so that listing a user's sessions is exact |
//! | | `data` | the state, in the session manager's encoding |
//! | `leases` | `key` | the ID of a session that an exclusive request holds; empty for a sweep |
//! | | `token` | 16 random bytes of the holder |
//! | | `until` | the time at which the lease ends if its holder was killed |
//! | `sweep` | `next` | the `number` at which the sweep goes on; one row |

#![forbid(unsafe_code)]

mod access;
mod address;
mod check;
mod database;
mod file;
mod inner;
mod lease;
mod maintenance;
mod open;
mod options;
mod other_writers;
mod sessions;
mod store;
mod sweep;
mod threads;
mod writer;

pub use options::{Durability, OpenError, Options};
pub use store::SqliteStore;
