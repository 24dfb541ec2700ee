//! The conformance suite, run on the native stores.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use session3_store::{
    MemoryStore, SessionId, SessionLock, SessionPage, SessionState, SessionStore, StoreError,
    StoredSession, SweepReport, Timestamp, Version,
};
use session3_store_directory::{DirectoryStore, Durability, Options};
use session3_store_tests::{Given, TestClock, conformance_suite, promises, run};
use session3_test_support::record_in;

async fn memory() -> Given {
    let clock = TestClock::default();
    let store = Arc::new(MemoryStore::new(clock.reader()));
    Given::new(store, clock)
}

async fn directory() -> Given {
    in_directory(|options| options)
}

async fn directory_that_keeps_no_file_open() -> Given {
    in_directory(|options| options.max_kept_files(0))
}

async fn directory_that_flushes() -> Given {
    in_directory(|options| options.durability(Durability::Disk))
}

/// Returns a store whose calls go to two handles of one directory in turn, as if two processes
/// used it.
async fn directory_of_two_handles() -> Given {
    with_directory(|path, options| {
        let open = || DirectoryStore::open(path, options.clone()).unwrap();
        Arc::new(InTurn {
            handles: [open(), open()],
            calls: AtomicUsize::new(0),
        })
    })
}

conformance_suite!(memory);
conformance_suite!(directory);
conformance_suite!(directory_that_keeps_no_file_open);
conformance_suite!(directory_that_flushes);
conformance_suite!(directory_of_two_handles);

#[test]
fn who_waits_for_a_lock_in_vain_gets_busy() {
    let impatient = async || in_directory(|options| options.lock_timeout(Duration::ZERO));
    run(
        impatient,
        promises::waiting_for_a_lock_in_vain_ends_with_busy,
    );
    run(memory, promises::waiting_for_a_lock_in_vain_ends_with_busy);
}

fn in_directory(change: impl FnOnce(Options) -> Options) -> Given {
    with_directory(|path, options| Arc::new(DirectoryStore::open(path, change(options)).unwrap()))
}

fn with_directory(open: impl FnOnce(&Path, Options) -> Arc<dyn SessionStore>) -> Given {
    let directory = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let path = directory.path().to_owned();
    let store = open(&path, Options::default().clock(clock.reader()));
    Given::new(store, clock)
        .multiprocess_safe(true)
        .damage_with(move |id| fs::write(record_in(&path, id), "nonsense").unwrap())
        .keep(directory)
}

/// A store that calls its two handles in turn.
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

    async fn import_session(
        &self,
        session: &StoredSession,
        expected: Option<Version>,
    ) -> Result<(), StoreError> {
        self.next().import_session(session, expected).await
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
