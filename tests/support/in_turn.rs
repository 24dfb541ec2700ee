//! A store whose calls go to two handles.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use session3_store::{
    SessionId, SessionLock, SessionPage, SessionState, SessionStore, StoreError, StoredSession,
    SweepReport, Timestamp, Version,
};

/// A store that calls its two handles in turn, as if two processes used it.
pub struct InTurn<S> {
    handles: [S; 2],
    calls: AtomicUsize,
}

impl<S> InTurn<S> {
    /// Creates a store of two handles.
    pub fn new(handles: [S; 2]) -> Self {
        Self {
            handles,
            calls: AtomicUsize::new(0),
        }
    }

    fn next(&self) -> &S {
        &self.handles[self.calls.fetch_add(1, Ordering::SeqCst) % 2]
    }
}

#[async_trait]
impl<S: SessionStore> SessionStore for InTurn<S> {
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
