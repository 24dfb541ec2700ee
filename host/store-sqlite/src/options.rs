//! How to open a store, and why that fails.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use session3_store::{Clock, SystemClock};
use thiserror::Error;

/// The largest limit for states: SQLite refuses rows of a gigabyte.
const MAX_STATE_BYTES: u64 = 1 << 29;

/// What survives a power cut. Acknowledged changes survive a kill of any process in both
/// modes, and neither a kill nor a power cut damages the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Commits are not flushed (`synchronous=NORMAL`). A power cut may undo the changes since
    /// the last checkpoint, log-outs included.
    #[default]
    Process,
    /// Each change is flushed before the call returns (`synchronous=FULL`). Changes that wait
    /// at the same time share one flush. Leases and sweeps are not flushed: a power cut ends
    /// every lease, and the next sweep repeats what the power cut undid.
    Disk,
}

/// How to open a [`SqliteStore`](crate::SqliteStore). Parameters of the URL take precedence.
///
/// There is no password, since SQLite has no users: the mode of the file says who has access.
///
/// ```
/// use std::time::Duration;
///
/// use session3_store_sqlite::{Durability, Options};
///
/// let options = Options::default()
///     .create(true)
///     .durability(Durability::Disk)
///     .lock_timeout(Duration::from_secs(2));
/// ```
#[derive(Clone)]
pub struct Options {
    pub(crate) create: bool,
    pub(crate) read_only: bool,
    pub(crate) durability: Durability,
    pub(crate) lock_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) max_state_bytes: u64,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Options {
    /// Creates the file if it is missing, and the tables if the file is empty. By default,
    /// both are errors. The directory of the file must exist.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Opens a file that need not be writable, such as a snapshot or the store of another user.
    /// Operations that write fail when they are called. A missing file is an error, whatever
    /// [`create`](Self::create) says.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Sets what survives a power cut: [`Durability::Process`] by default.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets how long `lock_session` waits for the lease of another request: 5 seconds by
    /// default.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Sets how long each operation waits for the disk and for the write lock of another
    /// process: 2 seconds by default. A sweep consists of many operations.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the largest state, in bytes of user and data together: 1 MiB by default, 512 MiB
    /// at most.
    pub fn max_state_bytes(mut self, bytes: u64) -> Self {
        self.max_state_bytes = bytes.min(MAX_STATE_BYTES);
        self
    }

    /// Sets the clock of `modified`, of sweeps and of leases: the system's clock by default.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: false,
            read_only: false,
            durability: Durability::default(),
            lock_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            max_state_bytes: 1 << 20,
            clock: Arc::new(SystemClock),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("create", &self.create)
            .field("read_only", &self.read_only)
            .field("durability", &self.durability)
            .field("lock_timeout", &self.lock_timeout)
            .field("timeout", &self.timeout)
            .field("max_state_bytes", &self.max_state_bytes)
            .finish_non_exhaustive()
    }
}

/// Why a store was not opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL cannot be read, for this reason.
    #[error("the URL of the store: {0}")]
    Url(String),
    /// There is no such file, and the options do not allow to create it.
    #[error("{}: there is no such file; create it, or open it with `create`", .0.display())]
    Missing(PathBuf),
    /// The directory of the file does not exist.
    #[error("{}: its directory does not exist; make the directory first", .0.display())]
    NoDirectory(PathBuf),
    /// The path leads to a directory, a socket or a device.
    #[error("{}: not a regular file; name another one for the sessions", .0.display())]
    NotAFile(PathBuf),
    /// The file is no SQLite database.
    #[error("{}: not an SQLite database; name another file for the sessions", .0.display())]
    NotADatabase(PathBuf),
    /// The database belongs to another application, with this `application_id`.
    #[error(
        "{}: the database of another application (application_id {}); name another file \
         for the sessions",
        .0.display(),
        .1
    )]
    OtherApplication(PathBuf, i32),
    /// A newer release wrote the database, with this version of the schema.
    #[error(
        "{}: the database has version {} of the schema, which is newer; update this program",
        .0.display(),
        .1
    )]
    Newer(PathBuf, i32),
    /// The database is empty, and the options do not allow to create the tables.
    #[error("{}: the database has no tables yet; open it with `create`", .0.display())]
    Empty(PathBuf),
    /// This process may not write the file, or not even read it.
    #[error(
        "{}: cannot be written; give this user the right to write the file and its \
         directory, or name another file",
        .0.display()
    )]
    NotWritable(PathBuf),
    /// This process may not read the file, and was to open it for reading only.
    #[error(
        "{}: cannot be read; give this user the right to read it and the files -wal and -shm \
         beside it, and to enter its directory",
        .0.display()
    )]
    NotReadable(PathBuf),
    /// The file system cannot share memory between processes, which the write-ahead log needs.
    #[error(
        "{}: the file system supports no write-ahead log; name a file on a local disk",
        .0.display()
    )]
    NoWal(PathBuf),
    /// The file was not open after this time: another process has it locked, or its disk
    /// stalls.
    #[error(
        "{}: not open after {} s; end the process that has it locked, or look at its disk",
        .0.display(),
        .1.as_secs()
    )]
    Timeout(PathBuf, Duration),
    /// SQLite failed.
    #[error("{}: cannot be opened ({})", .0.display(), .1)]
    Sqlite(PathBuf, #[source] rusqlite::Error),
    /// The file system failed, or no thread could be started.
    #[error("{}: cannot be opened ({})", .0.display(), .1)]
    Failed(PathBuf, #[source] io::Error),
}
