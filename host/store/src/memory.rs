//! A store in memory, for tests and first experiments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::{
    Clock, Maintenance, PageBuilder, SessionId, SessionLock, SessionPage, SessionState,
    SessionStore, StoreError, StoredSession, SweepReport, SystemClock, Timestamp, Version,
};

/// The largest state, in bytes of user and data together.
const MAX_STATE_BYTES: u64 = 1 << 20;
/// How long an exclusive request waits for another one.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// A store that keeps its sessions in memory and loses them when it is dropped.
pub struct MemoryStore {
    sessions: Mutex<BTreeMap<SessionId, StoredSession>>,
    /// The sessions that an exclusive request holds.
    locked: Arc<Mutex<BTreeSet<SessionId>>>,
    clock: Arc<dyn Clock>,
}

impl MemoryStore {
    /// Creates an empty store with this clock.
    pub fn new(clock: impl Clock + 'static) -> Self {
        Self {
            sessions: Mutex::default(),
            locked: Arc::default(),
            clock: Arc::new(clock),
        }
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<SessionId, StoredSession>> {
        self.sessions.lock()
    }

    /// Changes a session if its version is still `expected`.
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

/// Releases the session when it is dropped.
struct Locked {
    id: SessionId,
    locked: Arc<Mutex<BTreeSet<SessionId>>>,
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.locked.lock().remove(&self.id);
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

    async fn import_session(
        &self,
        session: &StoredSession,
        expected: Option<Version>,
    ) -> Result<(), StoreError> {
        check_size(&session.state)?;
        let mut sessions = self.sessions();
        match (sessions.get(&session.id), expected) {
            (None, Some(_)) => return Err(StoreError::Absent),
            (Some(_), None) => return Err(StoreError::Exists),
            (Some(found), Some(expected)) if found.version != expected => {
                return Err(StoreError::Conflict(found.version));
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
        sessions.insert(session.id, session.clone());
        Ok(())
    }

    /// Deletes all of them in one call: the time limit has no effect.
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
        let mut page = PageBuilder::new(limit);
        for (id, session) in self.sessions().range(first..) {
            if !page.add(id, Ok(Some(session.clone())))? {
                break;
            }
        }
        Ok(page.finish())
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
        while !self.locked.lock().insert(*id) {
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

impl Maintenance for MemoryStore {}
