//! The store: each operation of the trait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use session3_store::{
    SessionId, SessionLock, SessionPage, SessionState, SessionStore, StoreError, StoredSession,
    SweepReport, Timestamp, Version,
};
use tokio::time::{sleep, timeout};

use crate::inner::Inner;
use crate::lease::is_free;
use crate::open::open;
use crate::sessions;
use crate::sweep::{self, sweep};
use crate::{OpenError, Options};

/// The shortest and the longest pause before a request looks again whether a lease has ended.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// A store that keeps all sessions in one SQLite file. Several processes of one machine may
/// use the file.
///
/// The documentation of the [crate](crate) has an example.
pub struct SqliteStore {
    pub(crate) inner: Arc<Inner>,
}

impl SqliteStore {
    /// Opens the database that a URL names: `sqlite:PATH`, with the optional parameters
    /// `durability=process` or `disk` and `timeout=SECONDS`.
    ///
    /// The path is relative to the working directory, or absolute. `%` and two hexadecimal
    /// digits stand for a byte, as `%3f` does for a question mark.
    ///
    /// This must be called within a tokio runtime with timers. Dropping the store ends its
    /// threads.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]: the URL cannot be read, the file is missing or empty and the options
    /// do not create it, it belongs to something else, or this process has no access to it. A
    /// file that belongs to something else is not changed.
    pub async fn open(url: &str, options: Options) -> Result<Self, OpenError> {
        let inner = open(url, options).await?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

#[async_trait]
impl SessionStore for SqliteStore {
    /// Checks that the database can be read. [`SqliteStore::open`] has created the tables.
    async fn setup(&self) -> Result<(), StoreError> {
        self.inner.read(sweep::position).await?;
        Ok(())
    }

    async fn create_session(
        &self,
        id: &SessionId,
        state: &SessionState,
    ) -> Result<Version, StoreError> {
        self.inner.check_size(state)?;
        let (id, state, clock) = (*id, state.clone(), self.inner.options.clock.clone());
        self.inner
            .change(true, move |connection| {
                let session = StoredSession {
                    id,
                    version: 1,
                    modified: clock.now(),
                    state,
                };
                sessions::create(connection, &session)
            })
            .await
    }

    async fn load_session(&self, id: &SessionId) -> Result<Option<StoredSession>, StoreError> {
        let id = *id;
        self.inner
            .read(move |connection| sessions::load(connection, &id))
            .await
    }

    async fn save_session(
        &self,
        id: &SessionId,
        state: &SessionState,
        expected: Version,
    ) -> Result<Version, StoreError> {
        self.inner.check_size(state)?;
        let (id, state, clock) = (*id, state.clone(), self.inner.options.clock.clone());
        self.inner
            .change(true, move |connection| {
                sessions::save(connection, &id, state, expected, clock.now())
            })
            .await
    }

    async fn touch_session(
        &self,
        id: &SessionId,
        expires: Timestamp,
        expected: Version,
    ) -> Result<(), StoreError> {
        let (id, clock) = (*id, self.inner.options.clock.clone());
        self.inner
            .change(true, move |connection| {
                sessions::touch(connection, &id, expires, expected, clock.now())
            })
            .await
    }

    async fn delete_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        let id = *id;
        self.inner
            .change(true, move |connection| sessions::delete(connection, &id))
            .await
    }

    async fn import_session(
        &self,
        session: &StoredSession,
        expected: Option<Version>,
    ) -> Result<(), StoreError> {
        self.inner.check_size(&session.state)?;
        let session = session.clone();
        self.inner
            .change(true, move |connection| match expected {
                None => sessions::create(connection, &session),
                Some(expected) => sessions::replace(connection, &session, expected),
            })
            .await?;
        Ok(())
    }

    async fn delete_old_sessions(
        &self,
        minutes: u32,
        limit: Option<Duration>,
    ) -> Result<SweepReport, StoreError> {
        sweep(&self.inner, minutes, limit).await
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
        self.inner
            .read(move |connection| sessions::page(connection, &first, limit))
            .await
    }

    async fn sessions_of_user(&self, user: &str) -> Result<Vec<SessionId>, StoreError> {
        let user = user.to_owned();
        self.inner
            .read(move |connection| sessions::of_user(connection, &user))
            .await
    }

    async fn lock_session(
        &self,
        id: &SessionId,
        time: Duration,
    ) -> Result<SessionLock, StoreError> {
        let begun = Instant::now();
        let patience = self.inner.options.lock_timeout;
        let turn = timeout(patience, self.inner.queues.wait(id)).await;
        let turn = turn.map_err(|_| StoreError::Busy)?;
        let (mut pause, longest) = PAUSES;
        let key = sessions::key(id);
        loop {
            let asked = Instant::now();
            if let Some(lease) = self.inner.take_lease(key.to_vec(), time).await? {
                // The row ends later than this, never earlier.
                let rest = time.saturating_sub(asked.elapsed());
                return Ok(SessionLock::new((lease, turn), rest));
            }
            // Another process has it.
            loop {
                if begun.elapsed() >= patience {
                    return Err(StoreError::Busy);
                }
                sleep(pause).await;
                pause = longest.min(pause * 2);
                let now = self.inner.now();
                let is_free = move |connection: &_| is_free(connection, &key, now);
                if self.inner.read(is_free).await? {
                    break;
                }
            }
        }
    }

    fn is_multiprocess_safe(&self) -> bool {
        self.inner.is_multiprocess_safe
    }

    fn is_thread_safe(&self) -> bool {
        true
    }
}
