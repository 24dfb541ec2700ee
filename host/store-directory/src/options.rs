//! How to open a directory of sessions, and why that fails.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use session3_record::{Durability, MAX_STATE_BYTES};
use session3_store::{Clock, SystemClock};
use thiserror::Error;

use crate::descriptor_cache;
use crate::watch::Watch;

/// How to open a [`DirectoryStore`](crate::DirectoryStore).
///
/// ```
/// use std::time::Duration;
///
/// use session3_store_directory::{Durability, Options};
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
    pub(crate) max_state_bytes: u64,
    pub(crate) lock_timeout: Duration,
    pub(crate) durability: Durability,
    pub(crate) max_kept_files: usize,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) watch: Option<Arc<dyn Watch>>,
}

impl Options {
    /// Creates the directory if it is missing. By default, a missing directory is an error.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Opens a directory that need not be writable, such as a snapshot or the store of
    /// another user. Operations that write fail when they are called.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Sets the largest state, in bytes of user and data together: 1 MiB by default,
    /// [`MAX_STATE_BYTES`] at most.
    pub fn max_state_bytes(mut self, bytes: u64) -> Self {
        self.max_state_bytes = bytes.min(MAX_STATE_BYTES);
        self
    }

    /// Sets how long an operation waits for the lock of a session: 5 seconds by default.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Sets what survives a power cut: [`Durability::Process`] by default.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets how many files of active sessions stay open. The default is a quarter of the
    /// files that the process may open, and 1024 at most.
    pub fn max_kept_files(mut self, files: usize) -> Self {
        self.max_kept_files = files;
        self
    }

    /// Sets the clock that `modified` is read from: the system's clock by default.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Observes every system call and may let it fail, for tests.
    pub fn watch(mut self, watch: Arc<dyn Watch>) -> Self {
        self.watch = Some(watch);
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: false,
            read_only: false,
            max_state_bytes: 1 << 20,
            lock_timeout: Duration::from_secs(5),
            durability: Durability::default(),
            max_kept_files: descriptor_cache::default_limit(),
            clock: Arc::new(SystemClock),
            watch: None,
        }
    }
}

/// Why a directory of sessions was not opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no such directory, and the options do not allow to create it.
    #[error("{}: there is no such directory; make it, or open it with `create`", .0.display())]
    Missing(PathBuf),
    /// The path leads to something else.
    #[error("{}: not a directory; name another one for the sessions", .0.display())]
    NotADirectory(PathBuf),
    /// The directory has other files, one of which is named, and no session.
    #[error(
        "{}: it has other files, such as {:?}, and no session; name the directory of the \
         sessions, or a new one",
        .0.display(),
        .1
    )]
    Foreign(PathBuf, String),
    /// This process may not read the directory.
    #[error("{}: cannot be read ({}); run this command as the user that owns it", .0.display(), .1)]
    NotReadable(PathBuf, #[source] io::Error),
    /// This process may not create files in the directory.
    #[error(
        "{}: cannot be written ({}); give this user the right to, or name another one",
        .0.display(),
        .1
    )]
    NotWritable(PathBuf, #[source] io::Error),
    /// The file system failed.
    #[error("{}: cannot be opened ({})", .0.display(), .1)]
    Failed(PathBuf, #[source] io::Error),
}

impl OpenError {
    pub(crate) fn new(path: &Path, read_only: bool, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::PermissionDenied if read_only => Self::NotReadable(path, error),
            io::ErrorKind::NotFound => Self::Missing(path),
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                Self::NotADirectory(path)
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable(path, error)
            }
            _ => Self::Failed(path, error),
        }
    }
}
