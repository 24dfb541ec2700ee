//! Sessions in memory: for tests, and for trying things out. They end with the
//! process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{
    Clock, Paging, SessionId, SessionLock, SessionPage, SessionState, SessionStore, StoreError,
    StoredSession, SweepReport, SystemClock, Timestamp, Version,
};
use crate::mutex::open;

/// The largest state, in bytes of user and data together.
const MAX_STATE_BYTES: u64 = 1 << 20;
/// How long to wait for another exclusive request.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// A store that forgets everything when it is dropped.
pub struct MemoryStore {
    sessions: Mutex<BTreeMap<SessionId, StoredSession>>,
    /// Sessions with an exclusive request.
    locked: Arc<Mutex<BTreeSet<SessionId>>>,
    clock: Arc<dyn Clock>,
}

impl MemoryStore {
    /// An empty store with this clock.
    pub fn new(clock: impl Clock + 'static) -> Self {
        Self {
            sessions: Mutex::default(),
            locked: Arc::default(),
            clock: Arc::new(clock),
        }
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<SessionId, StoredSession>> {
        open(&self.sessions)
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

fn check_size(state: &SessionState) -> Result<(), StoreError> {
    match state.size() as u64 > MAX_STATE_BYTES {
        true => Err(StoreError::TooLarge(MAX_STATE_BYTES)),
        false => Ok(()),
    }
}

/// Gives the lock back.
struct Locked {
    id: SessionId,
    locked: Arc<Mutex<BTreeSet<SessionId>>>,
}

impl Drop for Locked {
    fn drop(&mut self) {
        open(&self.locked).remove(&self.id);
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
        check_size(state)?;
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
        check_size(state)?;
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

    /// It takes no time worth a limit.
    async fn delete_old_sessions(
        &self,
        minutes: u32,
        _limit: Option<Duration>,
    ) -> Result<SweepReport, StoreError> {
        let now = self.clock.now();
        let mut sessions = self.sessions();
        let before = sessions.len();
        sessions.retain(|_, session| !session.is_old(minutes, now));
        Ok(SweepReport {
            deleted: (before - sessions.len()) as u64,
            remaining: sessions.len() as u64,
            complete: true,
        })
    }

    async fn iter_sessions(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<SessionPage, StoreError> {
        let first = match cursor {
            Some(cursor) => cursor.parse()?,
            None => SessionId::from(0),
        };
        let mut paging = Paging::new(limit);
        for (id, session) in self.sessions().range(first..) {
            if !paging.take(id, Ok(Some(session.clone())))? {
                break;
            }
        }
        Ok(paging.page)
    }

    async fn sessions_of_user(&self, user: &str) -> Result<Vec<SessionId>, StoreError> {
        let sessions = self.sessions();
        let of_user = sessions
            .values()
            .filter(|session| session.state.user.as_deref() == Some(user));
        Ok(of_user.map(|session| session.id).collect())
    }

    async fn lock_session(
        &self,
        id: &SessionId,
        time: Duration,
    ) -> Result<SessionLock, StoreError> {
        let deadline = Instant::now() + LOCK_TIMEOUT;
        while !open(&self.locked).insert(*id) {
            if Instant::now() >= deadline {
                return Err(StoreError::Busy);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let locked = Locked {
            id: *id,
            locked: self.locked.clone(),
        };
        Ok(SessionLock::new(locked, time))
    }

    fn is_multiprocess_safe(&self) -> bool {
        false
    }

    fn is_thread_safe(&self) -> bool {
        true
    }
}
