//! The store: runs each operation in the directory that its path leads to.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session3_store::{
    CheckObserver, CheckReport, Maintenance, SessionId, SessionLock, SessionPage, SessionState,
    SessionStore, StoreError, StoredSession, SweepReport, Timestamp, Version,
};

use crate::inline::{Inline, on_other_thread};
use crate::open_store::OpenStore;
use crate::other_writers::{OtherWriter, other_writers};
use crate::store_path::StorePath;
use crate::{OpenError, Options};

/// A store that keeps each session in a file of its own. Any number of processes may use
/// one directory.
///
/// The documentation of the [crate](crate) has an example.
pub struct DirectoryStore {
    path: Arc<StorePath>,
    inline: Inline,
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
    /// no directory, it has other files and no session, or this process has no access to it.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let opened = StorePath::open(path, options);
        Ok(Self {
            path: Arc::new(opened?),
            inline: Inline::default(),
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
        let ownership = self.path.current()?.inner.root.ownership(".")?;
        Ok(other_writers(ownership))
    }
}

/// Runs an operation in the task that calls it, or on another thread if too many do so. The
/// other thread needs its own copies of what the arguments refer to.
macro_rules! run_inline {
    (
        $self:ident, $operation:ident($($argument:ident),*), with $($name:ident = $copy:expr),*
    ) => {{
        if let Some(_place) = $self.inline.take() {
            let operation = |store: OpenStore| async move {
                store.$operation($($argument),*).await
            };
            return $self.path.run(operation).await;
        }
        let path = $self.path.clone();
        $(let $name = $copy;)*
        on_other_thread(async move {
            $(let $name = &$name;)*
            let operation = |store: OpenStore| async move {
                store.$operation($($argument),*).await
            };
            path.run_blocking(operation).await
        })
        .await
    }};
}

#[async_trait]
impl SessionStore for DirectoryStore {
    async fn setup(&self) -> Result<(), StoreError> {
        let path = self.path.clone();
        on_other_thread(async move {
            path.run_blocking(|store| async move { store.setup().await })
                .await
        })
        .await
    }

    async fn create_session(
        &self,
        id: &SessionId,
        state: &SessionState,
    ) -> Result<Version, StoreError> {
        run_inline!(self, create_session(id, state), with id = *id, state = state.clone())
    }

    async fn load_session(&self, id: &SessionId) -> Result<Option<StoredSession>, StoreError> {
        match self.path.load_without_waiting(id) {
            Some(session) => Ok(Some(session)),
            None => run_inline!(self, load_session(id), with id = *id),
        }
    }

    async fn save_session(
        &self,
        id: &SessionId,
        state: &SessionState,
        expected: Version,
    ) -> Result<Version, StoreError> {
        run_inline!(self, save_session(id, state, expected), with id = *id, state = state.clone())
    }

    async fn touch_session(
        &self,
        id: &SessionId,
        expires: Timestamp,
        expected: Version,
    ) -> Result<(), StoreError> {
        run_inline!(self, touch_session(id, expires, expected), with id = *id)
    }

    async fn delete_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        run_inline!(self, delete_session(id), with id = *id)
    }

    async fn import_session(
        &self,
        session: &StoredSession,
        expected: Option<Version>,
    ) -> Result<(), StoreError> {
        run_inline!(self, import_session(session, expected), with session = session.clone())
    }

    async fn delete_old_sessions(
        &self,
        minutes: u32,
        limit: Option<Duration>,
    ) -> Result<SweepReport, StoreError> {
        let path = self.path.clone();
        on_other_thread(async move {
            path.run_blocking(
                |store| async move { store.delete_old_sessions(minutes, limit).await },
            )
            .await
        })
        .await
    }

    async fn iter_sessions(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<SessionPage, StoreError> {
        let (path, cursor) = (self.path.clone(), cursor.map(str::to_owned));
        on_other_thread(async move {
            let cursor = cursor.as_deref();
            path.run_blocking(|store| async move { store.iter_sessions(cursor, limit).await })
                .await
        })
        .await
    }

    async fn sessions_of_user(&self, user: &str) -> Result<Vec<SessionId>, StoreError> {
        run_inline!(self, sessions_of_user(user), with user = user.to_owned())
    }

    async fn lock_session(
        &self,
        id: &SessionId,
        time: Duration,
    ) -> Result<SessionLock, StoreError> {
        self.path
            .run(|store| async move { store.lock_session(id, time).await })
            .await
    }

    fn is_multiprocess_safe(&self) -> bool {
        self.path.is_multiprocess_safe()
    }

    fn is_thread_safe(&self) -> bool {
        true
    }
}

#[async_trait]
impl Maintenance for DirectoryStore {
    /// Also reports files that do not belong to the store, and files that its owner cannot
    /// read.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the directory itself cannot be read, or a flush
    /// failed. Other errors become findings.
    async fn check(
        &self,
        repair: bool,
        observer: &mut dyn CheckObserver,
    ) -> Result<CheckReport, StoreError> {
        self.path.current()?.check(repair, observer).await
    }

    /// Warns of a file system whose locks do not exclude other machines, and of
    /// [`other_writers`](Self::other_writers).
    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        let place = self.path.name();
        let mut warnings = Vec::new();
        if !self.is_multiprocess_safe() {
            warnings.push(format!(
                "{place}: the locks of this file system do not exclude other machines: use the \
                 directory from this machine only"
            ));
        }
        let others = self.other_writers()?;
        warnings.extend(others.iter().map(|other| format!("{place}: {other}")));
        Ok(warnings)
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        let path = self.path.clone();
        on_other_thread(async move {
            path.run_blocking(|store| async move { store.check_writable() })
                .await
        })
        .await
    }

    async fn has_unfinished_sweep(&self) -> Result<bool, StoreError> {
        let path = self.path.clone();
        on_other_thread(async move {
            path.run_blocking(|store| async move { store.has_unfinished_sweep().await })
                .await
        })
        .await
    }
}
