//! The conformance suite, run on stores in files.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use session3_store::{
    SessionId, SessionLock, SessionPage, SessionState, SessionStore, StoreError, StoredSession,
    SweepReport, Timestamp, Version,
};
use session3_store_sqlite::{Durability, Options, SqliteStore};
use session3_store_tests::{Given, TestClock, conformance_suite, promises, run};

use crate::support::Place;

async fn sqlite() -> Given {
    with_file(|options| options).await
}

async fn sqlite_that_flushes() -> Given {
    with_file(|options| options.durability(Durability::Disk)).await
}

/// Returns a store whose calls go to two handles of one file in turn, as if two processes used
/// it.
async fn sqlite_of_two_handles() -> Given {
    let (place, clock) = (Place::new(), TestClock::default());
    let options = Options::default().clock(clock.reader());
    let handles = [
        place.store(options.clone()).await,
        place.store(options).await,
    ];
    let calls = AtomicUsize::new(0);
    given(place, clock, Arc::new(InTurn { handles, calls }))
}

conformance_suite!(sqlite);
conformance_suite!(sqlite_that_flushes);
conformance_suite!(sqlite_of_two_handles);

#[test]
fn who_waits_for_a_lock_in_vain_gets_busy() {
    let impatient = async || with_file(|options| options.lock_timeout(Duration::ZERO)).await;
    let vain = promises::waiting_for_a_lock_in_vain_ends_with_busy;
    run(impatient, vain);
}

async fn with_file(change: impl FnOnce(Options) -> Options) -> Given {
    let (place, clock) = (Place::new(), TestClock::default());
    let options = change(Options::default().clock(clock.reader()));
    let store = Arc::new(place.store(options).await);
    given(place, clock, store)
}

fn given(place: Place, clock: TestClock, store: Arc<dyn SessionStore>) -> Given {
    let path = place.path();
    let damage = move |id: &SessionId| {
        let sql = format!("UPDATE sessions SET user = x'ff' WHERE id = x'{id}'");
        let damaged = rusqlite::Connection::open(&path).unwrap().execute(&sql, ());
        assert_eq!(damaged, Ok(1));
    };
    Given::new(store, clock)
        .multiprocess_safe(true)
        .damage_with(damage)
        .keep(place)
}

/// A store that calls its two handles in turn.
struct InTurn {
    handles: [SqliteStore; 2],
    calls: AtomicUsize,
}

impl InTurn {
    fn next(&self) -> &SqliteStore {
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
