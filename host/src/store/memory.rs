//! Sessions in memory: for tests, and for trying things out. They end with the
//! process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    Clock, SessionId, SessionState, SessionStore, StoreError, StoredSession, SystemClock,
    Timestamp, Version,
};

/// A store that forgets everything when it is dropped.
pub struct MemoryStore {
    sessions: Mutex<HashMap<SessionId, StoredSession>>,
    clock: Arc<dyn Clock>,
}

impl MemoryStore {
    /// An empty store with this clock.
    pub fn new(clock: impl Clock + 'static) -> Self {
        Self {
            sessions: Mutex::default(),
            clock: Arc::new(clock),
        }
    }

    /// No change of the map can be left half done, so a panic elsewhere does
    /// not matter.
    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, StoredSession>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(
        &self,
        id: &SessionId,
        expected: Version,
        change: impl FnOnce(&mut StoredSession) -> T,
    ) -> Result<T, StoreError> {
        let mut sessions = self.sessions();
        let session = sessions.get_mut(id).ok_or(StoreError::Absent)?;
        if session.version != expected {
            return Err(StoreError::Conflict(session.version));
        }
        session.modified = self.clock.now();
        Ok(change(session))
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(SystemClock)
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn setup(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn create_session(
        &self,
        id: &SessionId,
        state: &SessionState,
    ) -> Result<Version, StoreError> {
        let mut sessions = self.sessions();
        if sessions.contains_key(id) {
            return Err(StoreError::Exists);
        }
        let session = StoredSession {
            id: *id,
            version: 1,
            modified: self.clock.now(),
            state: state.clone(),
        };
        sessions.insert(*id, session);
        Ok(1)
    }

    async fn load_session(&self, id: &SessionId) -> Result<Option<StoredSession>, StoreError> {
        Ok(self.sessions().get(id).cloned())
    }

    async fn save_session(
        &self,
        id: &SessionId,
        state: &SessionState,
        expected: Version,
    ) -> Result<Version, StoreError> {
        self.change(id, expected, |session| {
            session.state = state.clone();
            session.version += 1;
            session.version
        })
    }

    async fn touch_session(
        &self,
        id: &SessionId,
        expires: Timestamp,
        expected: Version,
    ) -> Result<(), StoreError> {
        self.change(id, expected, |session| session.state.expires = expires)
    }

    async fn delete_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        Ok(self.sessions().remove(id).is_some())
    }

    fn is_multiprocess_safe(&self) -> bool {
        false
    }

    fn is_thread_safe(&self) -> bool {
        true
    }
}
