//! The store: runs each operation in the directory that its path leads to.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::RwLock;
use session3_store::{
    SessionId, SessionLock, SessionPage, SessionState, SessionStore, StoreError, StoredSession,
    SweepReport, Timestamp, Version,
};

use crate::check::{CheckReport, Finding, is_store};
use crate::fs::{Place, is_stale};
use crate::open_store::OpenStore;
use crate::other_writers::{OtherWriter, other_writers};
use crate::{OpenError, Options, sweep};

/// How long the store trusts that its path still leads to the directory that is open, in
/// milliseconds.
const PLACE_CHECK_INTERVAL: u64 = 1000;

/// A store that keeps each session in a file of its own. Any number of processes may use
/// one directory.
///
/// The documentation of the [crate](crate) has an example.
pub struct DirectoryStore {
    /// The absolute path, so that it does not depend on the working directory.
    path: PathBuf,
    options: Options,
    current: RwLock<OpenStore>,
    /// When the path was last known to lead to the directory that is open.
    checked_at: AtomicU64,
}

impl DirectoryStore {
    /// Opens a directory of sessions.
    ///
    /// The store notices within a second that the path leads to another directory. If that
    /// is a store, or is empty and of the same file system, the store continues there.
    /// Otherwise, and if the path leads to no directory, each operation fails with
    /// [`StoreError::Unavailable`] until the directory is back.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]: the directory is missing and the options do not create it, it is
    /// no directory, or this process has no access to it.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let failed = |error| OpenError::new(path, error);
        let opened = OpenStore::open(path, &options).map_err(failed)?;
        Ok(Self {
            path: std::path::absolute(path).map_err(failed)?,
            checked_at: AtomicU64::new(opened.now),
            current: RwLock::new(opened),
            options,
        })
    }

    /// Returns who may write into the directory besides the user of this process and root. A
    /// server should warn of them: they can end, replace and forge sessions.
    ///
    /// For root, the owner of the directory is none of them: an operator opens the store of a
    /// server. Only the directory itself is examined. Of an access control list, the mask
    /// counts as the permissions of the group.
    ///
    /// ```
    /// # use session3_store_directory::{DirectoryStore, Options};
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    /// let store = DirectoryStore::open(path, Options::default())?;
    /// for other in store.other_writers()? {
    ///     eprintln!("{}: {other}", path.display());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the attributes of the directory cannot be read.
    pub fn other_writers(&self) -> Result<Vec<OtherWriter>, StoreError> {
        let ownership = self.current()?.inner.root.ownership(".")?;
        Ok(other_writers(ownership))
    }

    /// Reads every record and every entry of the index, and calls `found` with each
    /// problem. With `repair`, it also corrects the index; it never changes records. Other
    /// processes may use the store meanwhile.
    ///
    /// `progress` is called from time to time with the part that is done, from 0 to 1.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the directory itself cannot be read, or a flush
    /// failed. Other errors become findings.
    pub async fn check(
        &self,
        repair: bool,
        found: impl FnMut(Finding),
        progress: impl FnMut(f64),
    ) -> Result<CheckReport, StoreError> {
        self.current()?.check(repair, found, progress).await
    }

    /// Returns whether the last sweep stopped at its time limit. The next one continues
    /// there, so it looks at a part of the sessions only.
    pub async fn has_unfinished_sweep(&self) -> Result<bool, StoreError> {
        self.run(|store| async move { store.has_unfinished_sweep().await })
            .await
    }

    /// Runs an operation in the directory that the path leads to. If a network file system
    /// has lost the files that are open, opens the directory again and repeats the operation
    /// once.
    async fn run<T, F>(&self, operation: impl Fn(OpenStore) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let store = self.current()?;
        let result = operation(store.clone()).await;
        match &result {
            Err(error) if is_stale(error) => {
                let reopened = self.reopen(&store)?;
                Box::pin(operation(reopened)).await
            }
            Err(StoreError::Unavailable(_)) => {
                // The directory may be gone: the next operation looks.
                self.checked_at.store(0, Ordering::Relaxed);
                result
            }
            _ => result,
        }
    }

    /// Returns the directory that the path leads to. Looks it up once a second.
    fn current(&self) -> Result<OpenStore, StoreError> {
        let now = self.options.clock.now();
        let inner = self.current.read().inner.clone();
        let current = OpenStore { inner, now };
        let age = now.checked_sub(self.checked_at.load(Ordering::Relaxed));
        match age.is_some_and(|age| age < PLACE_CHECK_INTERVAL) {
            true => Ok(current),
            false => self.look_up(current, now),
        }
    }

    #[cold]
    fn look_up(&self, current: OpenStore, now: Timestamp) -> Result<OpenStore, StoreError> {
        let current = match current.inner.root.place(&self.path) {
            Place::Same => current,
            Place::Missing => return Err(self.unavailable("is gone")),
            Place::Other => self.reopen(&current)?,
        };
        self.checked_at.store(now, Ordering::Relaxed);
        Ok(current)
    }

    /// Opens the directory that the path leads to, in place of the one that was used, unless
    /// another thread has already done so.
    fn reopen(&self, used: &OpenStore) -> Result<OpenStore, StoreError> {
        let mut current = self.current.write();
        if !Arc::ptr_eq(&current.inner, &used.inner) {
            return Ok(current.clone());
        }
        let options = self.options.clone().create(false);
        let opened = OpenStore::open(&self.path, &options)
            .map_err(|error| self.unavailable(&format!("cannot be opened again ({error})")))?;
        let root = &opened.inner.root;
        // Under a file system that was unmounted, there is an empty directory, too.
        let may_be_empty = root.is_on_device_of(&used.inner.root);
        if !is_store(root, may_be_empty)? {
            return Err(self.unavailable("was replaced by one without sessions"));
        }
        if self.options.create && !self.options.read_only {
            sweep::prepare(root);
        }
        tracing::warn!(path = %self.path.display(), "the directory of the sessions was opened again");
        *current = opened.clone();
        Ok(opened)
    }

    fn unavailable(&self, what: &str) -> StoreError {
        StoreError::Unavailable(format!(
            "{}: the directory of the sessions {what}; put it back, or an empty one of the \
             same file system",
            self.path.display()
        ))
    }
}

#[async_trait]
impl SessionStore for DirectoryStore {
    async fn setup(&self) -> Result<(), StoreError> {
        self.run(|store| async move { store.setup().await }).await
    }

    async fn create_session(
        &self,
        id: &SessionId,
        state: &SessionState,
    ) -> Result<Version, StoreError> {
        self.run(|store| async move { store.create_session(id, state).await })
            .await
    }

    async fn load_session(&self, id: &SessionId) -> Result<Option<StoredSession>, StoreError> {
        self.run(|store| async move { store.load_session(id).await })
            .await
    }

    async fn save_session(
        &self,
        id: &SessionId,
        state: &SessionState,
        expected: Version,
    ) -> Result<Version, StoreError> {
        self.run(|store| async move { store.save_session(id, state, expected).await })
            .await
    }

    async fn touch_session(
        &self,
        id: &SessionId,
        expires: Timestamp,
        expected: Version,
    ) -> Result<(), StoreError> {
        self.run(|store| async move { store.touch_session(id, expires, expected).await })
            .await
    }

    async fn delete_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.run(|store| async move { store.delete_session(id).await })
            .await
    }

    async fn import_session(
        &self,
        session: &StoredSession,
        expected: Option<Version>,
    ) -> Result<(), StoreError> {
        self.run(|store| async move { store.import_session(session, expected).await })
            .await
    }

    async fn delete_old_sessions(
        &self,
        minutes: u32,
        limit: Option<Duration>,
    ) -> Result<SweepReport, StoreError> {
        self.run(|store| async move { store.delete_old_sessions(minutes, limit).await })
            .await
    }

    async fn iter_sessions(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<SessionPage, StoreError> {
        self.run(|store| async move { store.iter_sessions(cursor, limit).await })
            .await
    }

    async fn sessions_of_user(&self, user: &str) -> Result<Vec<SessionId>, StoreError> {
        self.run(|store| async move { store.sessions_of_user(user).await })
            .await
    }

    async fn lock_session(
        &self,
        id: &SessionId,
        time: Duration,
    ) -> Result<SessionLock, StoreError> {
        self.run(|store| async move { store.lock_session(id, time).await })
            .await
    }

    fn is_multiprocess_safe(&self) -> bool {
        self.current.read().inner.is_multiprocess_safe
    }

    fn is_thread_safe(&self) -> bool {
        true
    }
}
