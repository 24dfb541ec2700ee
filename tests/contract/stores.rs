//! The stores that are held to the contract.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use session3::store::directory::{Durability, Options};
use session3::store::{
    DirectoryStore, MemoryStore, SessionId, SessionLock, SessionPage, SessionState, SessionStore,
    StoreError, StoredSession, SweepReport, Timestamp, Version,
};
use tempfile::TempDir;

use super::provider::{self, Directory};
use crate::support::{block_on, record_in};

/// A store and the clock that it was given.
pub struct Given {
    pub store: Arc<dyn SessionStore>,
    pub clock: Arc<AtomicU64>,
    /// Whether several processes may use it at once.
    pub is_multiprocess_safe: bool,
    directory: Option<TempDir>,
}

impl Given {
    /// Makes nonsense of a session's record; false where there are no records.
    pub fn damage(&self, id: &SessionId) -> bool {
        if let Some(directory) = &self.directory {
            fs::write(record_in(directory.path(), id), "nonsense").unwrap();
        }
        self.directory.is_some()
    }
}

/// Every store of this list keeps the contract.
macro_rules! for_each_store {
    ($each:ident $($more:tt)*) => {
        $each! { memory $($more)* }
        $each! { directory $($more)* }
        $each! { directory_of_two_handles $($more)* }
        $each! { directory_that_keeps_no_file_open $($more)* }
        $each! { directory_that_flushes $($more)* }
        $each! { memory_through_wit $($more)* }
        $each! { directory_through_wit $($more)* }
        $each! { filesystem $($more)* }
    };
}
pub(super) use for_each_store;

pub fn memory(test: impl AsyncFnOnce(Given)) {
    let (clock, reader) = clock();
    run(test, Arc::new(MemoryStore::new(reader)), clock, None);
}

pub fn memory_through_wit(test: impl AsyncFnOnce(Given)) {
    memory(async |given| test(through_wit(given)).await);
}

pub fn directory(test: impl AsyncFnOnce(Given)) {
    in_directory(test, |options| options);
}

pub fn directory_through_wit(test: impl AsyncFnOnce(Given)) {
    directory(async |given| test(through_wit(given)).await);
}

pub fn directory_that_keeps_no_file_open(test: impl AsyncFnOnce(Given)) {
    in_directory(test, |options| options.max_kept_files(0));
}

pub fn directory_that_flushes(test: impl AsyncFnOnce(Given)) {
    in_directory(test, |options| options.durability(Durability::Disk));
}

/// The component that keeps sessions in a directory of its host's.
pub fn filesystem(test: impl AsyncFnOnce(Given)) {
    let directory = tempfile::tempdir().unwrap();
    let (clock, _) = clock();
    let store = provider::filesystem(Directory::new(directory.path(), &clock));
    let test = async |given| {
        test(Given {
            is_multiprocess_safe: false,
            ..given
        })
        .await;
    };
    run(test, Arc::new(store), clock, Some(directory));
}

/// As two processes would have: each call goes to the other one.
pub fn directory_of_two_handles(test: impl AsyncFnOnce(Given)) {
    let directory = tempfile::tempdir().unwrap();
    let (clock, reader) = clock();
    let options = Options::default().clock(reader);
    let open = || DirectoryStore::open(directory.path(), options.clone()).unwrap();
    let store = InTurn {
        handles: [open(), open()],
        calls: AtomicUsize::new(0),
    };
    run(test, Arc::new(store), clock, Some(directory));
}

fn in_directory(test: impl AsyncFnOnce(Given), change: impl FnOnce(Options) -> Options) {
    let directory = tempfile::tempdir().unwrap();
    let (clock, reader) = clock();
    let options = change(Options::default().clock(reader));
    let store = DirectoryStore::open(directory.path(), options).unwrap();
    run(test, Arc::new(store), clock, Some(directory));
}

fn through_wit(given: Given) -> Given {
    let store = Arc::new(provider::relay(given.store.clone()));
    Given { store, ..given }
}

fn clock() -> (Arc<AtomicU64>, impl Fn() -> u64 + Send + Sync + 'static) {
    let clock = Arc::new(AtomicU64::new(1000));
    let reader = clock.clone();
    (clock, move || reader.load(Ordering::SeqCst))
}

fn run(
    test: impl AsyncFnOnce(Given),
    store: Arc<dyn SessionStore>,
    clock: Arc<AtomicU64>,
    directory: Option<TempDir>,
) {
    block_on(test(Given {
        store,
        clock,
        is_multiprocess_safe: directory.is_some(),
        directory,
    }));
}

struct InTurn {
    handles: [DirectoryStore; 2],
    calls: AtomicUsize,
}

impl InTurn {
    fn next(&self) -> &DirectoryStore {
        &self.handles[self.calls.fetch_add(1, Ordering::SeqCst) % 2]
    }
}

#[async_trait]
impl SessionStore for InTurn {
    async fn setup(&self) -> Result<(), StoreError> {
        self.next().setup().await
    }

    async fn create_session(
        &self,
        id: &SessionId,
        state: &SessionState,
    ) -> Result<Version, StoreError> {
        self.next().create_session(id, state).await
    }

    async fn load_session(&self, id: &SessionId) -> Result<Option<StoredSession>, StoreError> {
        self.next().load_session(id).await
    }

    async fn save_session(
        &self,
        id: &SessionId,
        state: &SessionState,
        expected: Version,
    ) -> Result<Version, StoreError> {
        self.next().save_session(id, state, expected).await
    }

    async fn touch_session(
        &self,
        id: &SessionId,
        expires: Timestamp,
        expected: Version,
    ) -> Result<(), StoreError> {
        self.next().touch_session(id, expires, expected).await
    }

    async fn delete_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.next().delete_session(id).await
    }

    async fn delete_old_sessions(
        &self,
        minutes: u32,
        limit: Option<Duration>,
    ) -> Result<SweepReport, StoreError> {
        self.next().delete_old_sessions(minutes, limit).await
    }

    async fn iter_sessions(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<SessionPage, StoreError> {
        self.next().iter_sessions(cursor, limit).await
    }

    async fn sessions_of_user(&self, user: &str) -> Result<Vec<SessionId>, StoreError> {
        self.next().sessions_of_user(user).await
    }

    async fn lock_session(
        &self,
        id: &SessionId,
        time: Duration,
    ) -> Result<SessionLock, StoreError> {
        self.next().lock_session(id, time).await
    }

    fn is_multiprocess_safe(&self) -> bool {
        self.next().is_multiprocess_safe()
    }

    fn is_thread_safe(&self) -> bool {
        self.next().is_thread_safe()
    }
}
