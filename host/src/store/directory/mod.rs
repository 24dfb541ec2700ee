//! Sessions in a directory: one file per session, in 256 subdirectories by the
//! first two digits of its ID.
//!
//! `record` documents the bytes, `fs` is the only module that touches the
//! operating system, and this one has the order of things.
//!
//! - **The directory is a capability.** It is opened once; IDs are checked
//!   before any access; records are opened without following links. Files are
//!   0600, directories 0700.
//! - **A lock per session**, on the session's own file. Saving, touching and
//!   deleting hold it; loading does without it, and takes it only when what it
//!   read was half written. It is held for some microseconds, with nothing
//!   awaited meanwhile. Whoever waits for it does not block a thread, and gives
//!   up after the lock timeout.
//! - **Records are written in place**, into the older of two slots, and never
//!   renamed: a kill at any instant loses nothing that was acknowledged. Nothing
//!   is flushed, so a power cut may take back the last seconds.
//! - **A file without a whole header** is a create that never finished: absent.
//!   Creating a session of the same ID removes it.

mod fs;
mod record;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use self::fs::{Lock, Open, RecordFile, Root};
use self::record::Record;
use super::{
    Clock, SessionId, SessionState, SessionStore, StoreError, StoredSession, SystemClock,
    Timestamp, Version,
};

/// How often a lock is asked for before sleeping in between: whoever holds it
/// needs some microseconds.
const SPINS: u32 = 32;
/// The shortest sleep that tokio's clock knows.
const PAUSE: Duration = Duration::from_millis(1);
/// Leftovers of creates that never finished, each removed, before a new create
/// gives up.
const MAX_LEFTOVERS: u32 = 8;

/// More than this no record holds.
pub const MAX_STATE_BYTES: u64 = record::MAX_STATE;

/// How to open a [`DirectoryStore`].
#[derive(Clone)]
pub struct Options {
    create: bool,
    max_state_bytes: u64,
    lock_timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl Options {
    /// Whether to make the directory where it is missing. By default, that is
    /// an error.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
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

    /// Where `modified` comes from; the system's clock by default.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: false,
            max_state_bytes: 1 << 20,
            lock_timeout: Duration::from_secs(5),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Keeps each session in a file of its own. Any number of processes may use one
/// directory.
pub struct DirectoryStore {
    root: Root,
    options: Options,
    is_multiprocess_safe: bool,
}

impl DirectoryStore {
    /// Opens a directory of sessions.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let failed = |error| OpenError::new(path, error);
        let root = Root::open(path, options.create).map_err(failed)?;
        root.check_writable().map_err(failed)?;
        let is_multiprocess_safe = locks_bind_everybody(root.file_system().map_err(failed)?);
        Ok(Self {
            root,
            options,
            is_multiprocess_safe,
        })
    }

    fn check_size(&self, state: &SessionState) -> Result<(), StoreError> {
        let limit = self.options.max_state_bytes;
        let user = state.user.as_deref().map_or(0, str::len);
        if (user + state.data.len()) as u64 > limit {
            return Err(StoreError::TooLarge(limit));
        }
        Ok(())
    }

    /// The file of a session, locked against everybody else.
    async fn lock_record(&self, id: &SessionId) -> Result<Option<RecordFile>, StoreError> {
        let Some(file) = self.root.open_record(id, Open::Write)? else {
            return Ok(None);
        };
        self.lock(&file, Lock::Exclusive).await?;
        Ok(Some(file))
    }

    /// The same and what is in it, for a change of just that version.
    async fn lock_version(
        &self,
        id: &SessionId,
        expected: Version,
    ) -> Result<(RecordFile, Record), StoreError> {
        let file = self.lock_record(id).await?.ok_or(StoreError::Absent)?;
        let record = Record::read(&file, id)?.ok_or(StoreError::Absent)?;
        match record.version()? {
            version if version == expected => Ok((file, record)),
            version => Err(StoreError::Conflict(version)),
        }
    }

    async fn lock(&self, file: &RecordFile, lock: Lock) -> Result<(), StoreError> {
        if file.try_lock(lock)? {
            return Ok(());
        }
        let deadline = Instant::now() + self.options.lock_timeout;
        for attempt in 0_u32.. {
            if attempt < SPINS {
                tokio::task::yield_now().await;
            } else if Instant::now() < deadline {
                tokio::time::sleep(PAUSE).await;
            } else {
                break;
            }
            if file.try_lock(lock)? {
                return Ok(());
            }
        }
        Err(StoreError::Busy)
    }

    /// Removes what a create that never finished, or a delete that was killed,
    /// left under this ID. False when a session is there.
    async fn remove_leftover(&self, id: &SessionId) -> Result<bool, StoreError> {
        let Some(file) = self.lock_record(id).await? else {
            return Ok(true);
        };
        if Record::read(&file, id)?.is_some() {
            return Ok(false);
        }
        // Somebody else may have removed it, and made a session, while this
        // call waited for the lock of the old file.
        if self.root.is_current(id, &file)? {
            self.remove(id, &file)?;
        }
        Ok(true)
    }

    /// The tombstone first: whoever has the file open finds it.
    fn remove(&self, id: &SessionId, file: &RecordFile) -> io::Result<()> {
        Record::bury(file)?;
        self.root.unlink(id)
    }
}

#[async_trait]
impl SessionStore for DirectoryStore {
    async fn setup(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn create_session(
        &self,
        id: &SessionId,
        state: &SessionState,
    ) -> Result<Version, StoreError> {
        self.check_size(state)?;
        for _ in 0..MAX_LEFTOVERS {
            let Some(file) = self.root.open_record(id, Open::New)? else {
                if self.remove_leftover(id).await? {
                    continue;
                }
                return Err(StoreError::Exists);
            };
            self.lock(&file, Lock::Exclusive).await?;
            // Between opening and locking, the empty file may have been taken
            // for a leftover: then it has a tombstone.
            if file.size()? > 0 {
                continue;
            }
            let created = Record::create(&file, id, state, self.options.clock.now());
            if created.is_err() {
                // The error says more than a failure to clean up after it.
                let _ = self.root.unlink(id);
            }
            return created;
        }
        Err(StoreError::Busy)
    }

    async fn load_session(&self, id: &SessionId) -> Result<Option<StoredSession>, StoreError> {
        let Some(file) = self.root.open_record(id, Open::Read)? else {
            return Ok(None);
        };
        for _ in 0..2 {
            match Record::read(&file, id) {
                Ok(None) => return Ok(None),
                Ok(Some(record)) if record.is_settled() => return record.session().map(Some),
                // Most likely somebody is writing just now.
                Ok(Some(_)) | Err(StoreError::Corrupt(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.lock(&file, Lock::Shared).await?;
        Record::read(&file, id)?.map(Record::session).transpose()
    }

    async fn save_session(
        &self,
        id: &SessionId,
        state: &SessionState,
        expected: Version,
    ) -> Result<Version, StoreError> {
        self.check_size(state)?;
        let (file, record) = self.lock_version(id, expected).await?;
        record.save(&file, state, self.options.clock.now())
    }

    async fn touch_session(
        &self,
        id: &SessionId,
        expires: Timestamp,
        expected: Version,
    ) -> Result<(), StoreError> {
        let (file, record) = self.lock_version(id, expected).await?;
        record.touch(&file, expires, self.options.clock.now())
    }

    async fn delete_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        let Some(file) = self.lock_record(id).await? else {
            return Ok(false);
        };
        if Record::read(&file, id)?.is_none() {
            return Ok(false);
        }
        self.remove(id, &file)?;
        Ok(true)
    }

    fn is_multiprocess_safe(&self) -> bool {
        self.is_multiprocess_safe
    }

    fn is_thread_safe(&self) -> bool {
        true
    }
}

/// Whether a lock on this file system, by the number that Linux gives it, keeps
/// away everybody who can reach the files. Where another machine or a program
/// of the user's serves the files, it need not.
fn locks_bind_everybody(file_system: u64) -> bool {
    const NFS: u64 = 0x6969;
    const SMB: u64 = 0x517b;
    const CIFS: u64 = 0xff53_4d42;
    const SMB2: u64 = 0xfe53_4d42;
    const FUSE: u64 = 0x6573_5546;
    const V9FS: u64 = 0x0102_1997;
    const CEPH: u64 = 0x00c3_6400;
    const AFS: u64 = 0x5346_414f;
    const CODA: u64 = 0x7375_7245;
    ![NFS, SMB, CIFS, SMB2, FUSE, V9FS, CEPH, AFS, CODA].contains(&file_system)
}

/// Why a directory of sessions cannot be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no such directory.
    Missing(PathBuf),
    /// Something else is there.
    NotADirectory(PathBuf),
    /// This user may not make files in it, or nobody may.
    NotWritable(PathBuf, io::Error),
    /// The file system failed.
    Failed(PathBuf, io::Error),
}

impl OpenError {
    fn new(path: &Path, error: io::Error) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_of_network_and_user_file_systems_are_not_trusted() {
        let (ext4, tmpfs, xfs) = (0xef53, 0x0102_1994, 0x5846_5342);
        assert!([ext4, tmpfs, xfs].into_iter().all(locks_bind_everybody));
        let (nfs, fuse, plan_9) = (0x6969, 0x6573_5546, 0x0102_1997);
        assert!(![nfs, fuse, plan_9].into_iter().any(locks_bind_everybody));
    }
}
