//! How to open a directory of sessions, and why that fails.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::watch::Watch;
use super::{Durability, MAX_STATE_BYTES, kept};
use crate::store::{Clock, SystemClock};

/// How to open a [`DirectoryStore`](super::DirectoryStore).
#[derive(Clone)]
pub struct Options {
    pub(super) create: bool,
    pub(super) read_only: bool,
    pub(super) max_state_bytes: u64,
    pub(super) lock_timeout: Duration,
    pub(super) durability: Durability,
    pub(super) max_kept_files: usize,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) watch: Option<Arc<dyn Watch>>,
}

impl Options {
    /// Whether to make the directory where it is missing. By default, that is
    /// an error.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// For looking only, also where nothing can be written: a snapshot, or
    /// somebody else's store. What would write fails when it does.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// The largest state, in bytes of user and data together; 1 MiB by default,
    /// [`MAX_STATE_BYTES`] at most.
    pub fn max_state_bytes(mut self, bytes: u64) -> Self {
        self.max_state_bytes = bytes.min(MAX_STATE_BYTES);
        self
    }

    /// How long to wait for the lock of a session; 5 seconds by default.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// What survives a power cut; [`Durability::Process`] by default.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How many files of sessions in use to keep open; a quarter of what the
    /// process may open by default, and 1024 at most.
    pub fn max_kept_files(mut self, files: usize) -> Self {
        self.max_kept_files = files;
        self
    }

    /// Where `modified` comes from; the system's clock by default.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sees every system call, and may fail it: for tests.
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
            max_kept_files: kept::default_limit(),
            clock: Arc::new(SystemClock),
            watch: None,
        }
    }
}

/// Why a directory of sessions cannot be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no such directory.
    Missing(PathBuf),
    /// Something else is there.
    NotADirectory(PathBuf),
    /// This user may not make files in it, or nobody may; or not even read it.
    NotWritable(PathBuf, io::Error),
    /// The file system failed.
    Failed(PathBuf, io::Error),
}

impl OpenError {
    pub(super) fn new(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
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

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Missing(_) | Self::NotADirectory(_) => None,
            Self::NotWritable(_, error) | Self::Failed(_, error) => Some(error),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(
                f,
                "{}: there is no such directory; make it, or open it with `create`",
                path.display()
            ),
            Self::NotADirectory(path) => write!(
                f,
                "{}: not a directory; name another one for the sessions",
                path.display()
            ),
            Self::NotWritable(path, error) => write!(
                f,
                "{}: cannot be written ({error}); give this user the right to, or name another one",
                path.display()
            ),
            Self::Failed(path, error) => {
                write!(f, "{}: cannot be opened ({error})", path.display())
            }
        }
    }
}
