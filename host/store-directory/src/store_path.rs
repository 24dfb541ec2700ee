//! The directory that a path leads to, which may be moved or replaced while it is used.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use session3_store::{SessionId, StoreError, StoredSession, Timestamp};

use crate::check::Contents;
use crate::fs::{Place, Root, is_stale};
use crate::open_store::OpenStore;
use crate::{OpenError, Options, sweep};

/// How long the store trusts that its path still leads to the directory that is open, in
/// milliseconds.
const PLACE_CHECK_INTERVAL: u64 = 1000;

/// A path, and the directory of sessions that it leads to.
pub struct StorePath {
    /// The absolute path, so that it does not depend on the working directory.
    path: PathBuf,
    options: Options,
    current: RwLock<OpenStore>,
    /// When the path was last known to lead to the directory that is open.
    checked_at: AtomicU64,
}

impl StorePath {
    /// Opens the directory.
    ///
    /// # Errors
    ///
    /// If it is missing and the options do not create it, has other files and no session, or
    /// cannot be used.
    pub fn open(path: &Path, options: Options) -> Result<Self, OpenError> {
        let failed = |error| OpenError::new(path, options.read_only, error);
        let opened = OpenStore::open(path, &options).map_err(failed)?;
        let root = &opened.inner.root;
        let contents = Contents::find(root).map_err(|error| failed(io::Error::other(error)))?;
        if let Contents::Foreign(name) = contents {
            return Err(OpenError::Foreign(path.to_owned(), name));
        }
        prepare(root, &options);
        Ok(Self {
            path: std::path::absolute(path).map_err(failed)?,
            checked_at: AtomicU64::new(opened.now),
            current: RwLock::new(opened),
            options,
        })
    }

    /// Returns the path for a message.
    pub fn name(&self) -> impl std::fmt::Display {
        self.path.display()
    }

    /// Returns whether several processes may use the directory.
    pub fn is_multiprocess_safe(&self) -> bool {
        self.current.read().inner.is_multiprocess_safe
    }

    /// Runs an operation in the directory that the path leads to. If a network file system
    /// has lost the files that are open, opens the directory again and repeats the operation
    /// once.
    pub async fn run<T, F>(&self, operation: impl Fn(OpenStore) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        self.run_in(self.current()?, operation).await
    }

    /// Runs an operation on a thread that may block.
    pub async fn run_blocking<T, F>(
        &self,
        operation: impl Fn(OpenStore) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let store = OpenStore {
            may_block: true,
            ..self.current()?
        };
        self.run_in(store, operation).await
    }

    async fn run_in<T, F>(
        &self,
        store: OpenStore,
        operation: impl Fn(OpenStore) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let result = operation(store.clone()).await;
        let result = match &result {
            Err(error) if is_stale(error) => {
                let reopened = OpenStore {
                    may_block: store.may_block,
                    ..self.reopen(&store)?
                };
                Box::pin(operation(reopened)).await
            }
            Err(StoreError::Unavailable(_)) => {
                // The directory may be gone: the next operation looks.
                self.checked_at.store(0, Ordering::Relaxed);
                result
            }
            _ => result,
        };
        result.map_err(|error| self.with_path(error))
    }

    /// Loads a session if that needs no wait, see [`Inner::load_without_waiting`](crate::inner::Inner::load_without_waiting).
    pub fn load_without_waiting(&self, id: &SessionId) -> Option<StoredSession> {
        let now = self.options.clock.now();
        match self.was_lately_checked(now) {
            true => self.current.read().inner.load_without_waiting(id, now),
            false => None,
        }
    }

    /// Returns the directory that the path leads to. Looks it up once a second.
    pub fn current(&self) -> Result<OpenStore, StoreError> {
        let now = self.options.clock.now();
        let inner = self.current.read().inner.clone();
        let current = OpenStore {
            inner,
            now,
            may_block: false,
        };
        match self.was_lately_checked(now) {
            true => Ok(current),
            false => self.look_up(current, now),
        }
    }

    fn was_lately_checked(&self, now: Timestamp) -> bool {
        let age = now.checked_sub(self.checked_at.load(Ordering::Relaxed));
        age.is_some_and(|age| age < PLACE_CHECK_INTERVAL)
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
        let options = self.options.clone().create(false);
        let opened = OpenStore::open(&self.path, &options)
            .map_err(|error| self.unavailable(&format!("cannot be opened again ({error})")))?;
        let root = &opened.inner.root;
        // Under a file system that was unmounted, there is an empty directory, too.
        let may_be_empty = root.is_on_device_of(&used.inner.root);
        match Contents::find(root)? {
            Contents::Store => {}
            Contents::Empty if may_be_empty => {}
            _ => return Err(self.unavailable("was replaced by one without sessions")),
        }
        prepare(root, &self.options);
        let mut current = self.current.write();
        if !Arc::ptr_eq(&current.inner, &used.inner) {
            return Ok(current.clone());
        }
        tracing::warn!(path = %self.path.display(), "the directory of the sessions was opened again");
        *current = opened.clone();
        Ok(opened)
    }

    /// Adds the path to what the system said.
    fn with_path(&self, error: StoreError) -> StoreError {
        let StoreError::Unavailable(what) = error else {
            return error;
        };
        let path = self.path.display().to_string();
        StoreError::Unavailable(match what.starts_with(&path) {
            true => what,
            false => format!("{path}: {what}"),
        })
    }

    fn unavailable(&self, what: &str) -> StoreError {
        StoreError::Unavailable(format!(
            "{}: the directory of the sessions {what}; put it back, or an empty one of the \
             same file system",
            self.path.display()
        ))
    }
}

/// Creates what a new store has, if the options let it.
fn prepare(root: &Root, options: &Options) {
    if options.create && !options.read_only {
        sweep::prepare(root);
    }
}
