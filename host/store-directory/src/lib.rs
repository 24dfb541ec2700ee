//! Sessions in a directory: one file per session, in 256 subdirectories by the first two
//! digits of its ID. Beside them, `users/` has the index by user, and `locks/` the leases of
//! exclusive requests.
//!
//! ```
//! use session3_store::{SessionId, SessionState, SessionStore};
//! use session3_store_directory::{DirectoryStore, Durability, Options};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path();
//! let options = Options::default().create(true).durability(Durability::Disk);
//! let store = DirectoryStore::open(path, options)?;
//!
//! let id: SessionId = "0123456789abcdef0123456789abcdef".parse()?;
//! let state = SessionState { user: None, expires: u64::MAX, data: b"state".to_vec() };
//! store.create_session(&id, &state).await?;
//! assert!(path.join("01").join(id.to_string()).is_file());
//! # Ok(())
//! # }
//! ```
//!
//! [`session3_record`] documents the files byte by byte. The store for other hosts, the
//! component `session3-store-filesystem`, has the same files. It must not use the directory
//! at the same time, since neither store sees the locks of the other one.
//!
//! - **The directory is a capability.** IDs are checked before any access; everything is
//!   reached through the handle of the directory; records are opened without following
//!   links. Files have mode 0600, directories 0700. A directory that exists keeps its owner
//!   and mode; [`DirectoryStore::other_writers`] says who else may write into it.
//! - **The path is looked up once a second.** If it leads to another store, or to an empty
//!   directory, because an operator moved, restored or mounted one, the store continues
//!   there. If it leads to anything else, operations fail and say so.
//! - **Each session has a lock**, on the session's file. Saves, touches and deletes hold it, for
//!   some microseconds or for a flush. Loads do without it, and take it only if they read
//!   something half written. Waiting for a lock blocks no thread, and ends at the lock
//!   timeout.
//! - **Short system calls run on the calling thread**: loads, and changes that are not flushed.
//!   Flushes, directory listings and sweeps run on tokio's blocking threads, so the store needs
//!   a tokio runtime.
//! - **A disk that stalls stops no other work.** Of a runtime's threads, one never makes a
//!   system call for the store: while all others do, operations run on blocking threads. A
//!   runtime with a single thread for all tasks blocks.
//! - **Records are written in place**, into the older of two slots, and never renamed: a
//!   kill at any instant loses nothing that was acknowledged. [`Durability`] says what a
//!   power cut may undo.
//! - **A file without a whole header** is a create that never finished: the session is
//!   absent. A create of the same ID removes the file, and so does the sweep.
//! - **Files of active sessions are kept open**, within a bound. Each access checks the
//!   tombstone, which tells whether the session still exists. A file that was removed or
//!   replaced by hand has no tombstone, so every change also compares the file with the one
//!   that its name leads to. Loads of one session do so at most once a second, since that
//!   takes as long as reading.

#![forbid(unsafe_code)]

mod check;
mod descriptor_cache;
mod exclusive;
mod fs;
mod inline;
mod inner;
mod locking;
mod open_store;
mod options;
mod other_writers;
mod store;
mod store_path;
mod sweep;
mod watch;

pub use options::{OpenError, Options};
pub use other_writers::OtherWriter;
pub use session3_record::{Durability, MAX_STATE_BYTES};
pub use store::DirectoryStore;
pub use watch::{Call, Watch};
