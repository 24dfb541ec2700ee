//! The store that seals what another store keeps.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::RwLock;
use session3_store::{
    Maintenance, SessionId, SessionLock, SessionPage, SessionState, SessionStore, StoreError,
    StoredSession, SweepReport, Timestamp, Version,
};

use crate::sealed::{self, MAX_STATE_BYTES, OVERHEAD, Unopened};
use crate::{Keyring, RandomSource, SystemRandom};

/// The largest state, in bytes of user and data together, unless another limit is set.
const DEFAULT_STATE_BYTES: u64 = 1 << 20;

/// A store whose states and users are sealed before another store gets them.
///
/// The [front page](crate) says what the other store still sees.
pub struct EncryptedStore {
    pub(crate) inner: Arc<dyn Maintenance>,
    keyring: RwLock<Arc<Keyring>>,
    random: Box<dyn RandomSource>,
    pub(crate) accepts_plain: bool,
    max_state_bytes: u64,
}

impl EncryptedStore {
    /// How many bytes a sealed state may be larger than the state itself. The wrapped store has
    /// to accept states that are larger by as much.
    pub const OVERHEAD: u64 = OVERHEAD;

    /// Wraps a store. Only sealed sessions are accepted.
    pub fn new(inner: Arc<dyn Maintenance>, keyring: Keyring) -> Self {
        Self {
            inner,
            keyring: RwLock::new(Arc::new(keyring)),
            random: Box::new(SystemRandom),
            accepts_plain: false,
            max_state_bytes: DEFAULT_STATE_BYTES,
        }
    }

    /// Sets whether sessions that are not sealed are accepted, while a store moves from plain to
    /// sealed. Each save seals its session. Meanwhile, who can write to the engine can also make
    /// up a session.
    pub fn accept_plain(mut self, accept: bool) -> Self {
        self.accepts_plain = accept;
        self
    }

    /// Sets the largest state in bytes of user and data together: 1 MiB by default. The wrapped
    /// store has to accept [`OVERHEAD`](Self::OVERHEAD) more.
    pub fn max_state_bytes(mut self, bytes: u64) -> Self {
        self.max_state_bytes = bytes.min(MAX_STATE_BYTES);
        self
    }

    /// Sets the source of the nonces: [`SystemRandom`] by default. A nonce that occurs twice
    /// under one key breaks its encryption.
    pub fn random(mut self, random: impl RandomSource + 'static) -> Self {
        self.random = Box::new(random);
        self
    }

    /// Replaces the key ring. Calls that are running finish with the previous one.
    pub fn set_keyring(&self, keyring: Keyring) {
        *self.keyring.write() = Arc::new(keyring);
    }

    /// Returns the key ring.
    pub fn keyring(&self) -> Arc<Keyring> {
        self.keyring.read().clone()
    }

    /// Opens a session of the wrapped store.
    pub(crate) fn open(&self, session: StoredSession) -> Result<StoredSession, Unopened> {
        if self.accepts_plain && self.is_plain(&session.state) {
            return Ok(session);
        }
        sealed::open(&self.keyring(), session)
    }

    /// Seals a state as that of one version of a session.
    pub(crate) fn seal(
        &self,
        id: &SessionId,
        version: Version,
        state: &SessionState,
    ) -> Result<SessionState, StoreError> {
        match state.size() as u64 > self.max_state_bytes {
            true => Err(StoreError::TooLarge(self.max_state_bytes)),
            false => sealed::seal(
                self.keyring().sealing_key(),
                &*self.random,
                id,
                version,
                state,
            ),
        }
    }

    /// Returns whether a state of the wrapped store is not sealed.
    pub(crate) fn is_plain(&self, state: &SessionState) -> bool {
        sealed::key_of(state) == Err(Unopened::Plain)
    }

    /// Returns the sessions of a user that are not sealed. The user of a sealed one is a hash,
    /// which another user may have chosen as their name.
    async fn plain_sessions_of_user(&self, user: &str) -> Result<Vec<SessionId>, StoreError> {
        let mut plain = Vec::new();
        for id in self.inner.sessions_of_user(user).await? {
            let session = self.inner.load_session(&id).await?;
            if session.is_some_and(|session| self.is_plain(&session.state)) {
                plain.push(id);
            }
        }
        Ok(plain)
    }
}

/// Returns the error of the wrapped store for a caller, who knows nothing of what a seal adds.
fn without_overhead(error: StoreError) -> StoreError {
    match error {
        StoreError::TooLarge(limit) => StoreError::TooLarge(limit.saturating_sub(OVERHEAD)),
        error => error,
    }
}

#[async_trait]
impl SessionStore for EncryptedStore {
    async fn setup(&self) -> Result<(), StoreError> {
        self.inner.setup().await
    }

    async fn create_session(
        &self,
        id: &SessionId,
        state: &SessionState,
    ) -> Result<Version, StoreError> {
        let sealed = self.seal(id, 1, state)?;
        let created = self.inner.create_session(id, &sealed).await;
        created.map_err(without_overhead)
    }

    async fn load_session(&self, id: &SessionId) -> Result<Option<StoredSession>, StoreError> {
        match self.inner.load_session(id).await? {
            Some(session) => Ok(Some(self.open(session)?)),
            None => Ok(None),
        }
    }

    async fn save_session(
        &self,
        id: &SessionId,
        state: &SessionState,
        expected: Version,
    ) -> Result<Version, StoreError> {
        // The wrapped store refuses a save after the last version.
        let sealed = self.seal(id, expected.wrapping_add(1), state)?;
        let saved = self.inner.save_session(id, &sealed, expected).await;
        saved.map_err(without_overhead)
    }

    async fn touch_session(
        &self,
        id: &SessionId,
        expires: Timestamp,
        expected: Version,
    ) -> Result<(), StoreError> {
        self.inner.touch_session(id, expires, expected).await
    }

    /// Deletes the session also if its key is gone.
    async fn delete_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.inner.delete_session(id).await
    }

    /// Returns whether the wrapped store has the session, also if its seal cannot be opened.
    async fn has_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.inner.has_session(id).await
    }

    async fn import_session(
        &self,
        session: &StoredSession,
        expected: Option<Version>,
    ) -> Result<(), StoreError> {
        let sealed = StoredSession {
            id: session.id,
            version: session.version,
            modified: session.modified,
            state: self.seal(&session.id, session.version, &session.state)?,
        };
        let imported = self.inner.import_session(&sealed, expected).await;
        imported.map_err(without_overhead)
    }

    async fn delete_old_sessions(
        &self,
        minutes: u32,
        limit: Option<Duration>,
    ) -> Result<SweepReport, StoreError> {
        self.inner.delete_old_sessions(minutes, limit).await
    }

    /// Returns a page, whose sessions without a key are among the damaged ones, with the reason.
    async fn iter_sessions(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<SessionPage, StoreError> {
        let mut page = self.inner.iter_sessions(cursor, limit).await?;
        for session in std::mem::take(&mut page.sessions) {
            let id = session.id;
            match self.open(session) {
                Ok(session) => page.sessions.push(session),
                Err(unopened) => page.damaged.push((id, unopened.text())),
            }
        }
        Ok(page)
    }

    /// Returns the sessions that any key of the ring has sealed for the user.
    ///
    /// A session that is sealed anew meanwhile goes from plain to sealed, and from an older key
    /// to the one that seals. So they are looked up in this order.
    async fn sessions_of_user(&self, user: &str) -> Result<Vec<SessionId>, StoreError> {
        let keyring = self.keyring();
        let newest = keyring.sealing_key();
        let older = keyring.keys().filter(|key| key.id() != newest.id());
        let mut ids = match self.accepts_plain {
            true => self.plain_sessions_of_user(user).await?,
            false => Vec::new(),
        };
        for key in older.chain([newest]) {
            let digits = sealed::digits_of(key.hash_of(user));
            ids.extend(self.inner.sessions_of_user(&digits).await?);
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    async fn lock_session(
        &self,
        id: &SessionId,
        time: Duration,
    ) -> Result<SessionLock, StoreError> {
        self.inner.lock_session(id, time).await
    }

    fn is_multiprocess_safe(&self) -> bool {
        self.inner.is_multiprocess_safe()
    }

    fn is_thread_safe(&self) -> bool {
        self.inner.is_thread_safe()
    }
}
