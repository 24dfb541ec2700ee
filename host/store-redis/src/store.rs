//! The store: each operation as one request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use redis::Value;
use session3_store::{
    SessionId, SessionLock, SessionPage, SessionState, SessionStore, StoreError, StoredSession,
    SweepReport, Timestamp, Version,
};
use tokio::time::Instant;

use crate::keys::{Tag, user_hash};
use crate::lease::{self, Place};
use crate::scripts::{Argument, DELETE, ServerScript, TOUCH, WRITE, decimal};
use crate::server::{Body, Effect, Server};
use crate::sweep::{Age, sweep};
use crate::{OpenError, Options, open, outcome, record, walk};

/// A store that keeps its sessions in Redis or Valkey. Any number of processes on any number
/// of machines may use one server.
///
/// The documentation of the [crate](crate) has an example.
pub struct RedisStore {
    /// Serves the requests for one session.
    server: Arc<Server>,
    /// Serves sweeps and walks, so that they delay no other request.
    pub(crate) bulk: Arc<Server>,
    options: Options,
    nonces: Nonces,
}

impl RedisStore {
    /// Connects to the server that the URL names, checks it, and opens its store. The
    /// documentation of the [crate](crate#urls) describes URLs.
    ///
    /// The connections belong to the tokio runtime that calls this.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]: the URL cannot be read; the server cannot be reached, is a replica,
    /// is too old, or deletes sessions when its memory is full; there is no store and the
    /// options do not create it; or the store is newer or belongs to another application.
    pub async fn open(url: &str, options: Options) -> Result<Self, OpenError> {
        let (server, bulk) = open::open(url, &options).await?;
        Ok(Self {
            server: Arc::new(server),
            bulk: Arc::new(bulk),
            options,
            nonces: Nonces::new(),
        })
    }

    /// Returns the time that replaces the server's, or nothing.
    fn now(&self) -> Argument<'static> {
        let clock = self.options.clock.as_ref();
        clock.map(|clock| decimal(clock.now())).unwrap_or_default()
    }

    fn check_size(&self, state: &SessionState) -> Result<(), StoreError> {
        let limit = self.options.max_state_bytes;
        match state.size() as u64 > limit {
            true => Err(StoreError::TooLarge(limit)),
            false => Ok(()),
        }
    }

    async fn run(
        &self,
        id: &SessionId,
        effect: Effect,
        script: &'static ServerScript,
        keys: &[String],
        arguments: &[Argument<'_>],
    ) -> Result<outcome::Outcome, StoreError> {
        let body = Body::Script(script, keys, arguments);
        outcome::of(self.server.call(Tag::of(id), effect, &body).await?)
    }

    async fn write(&self, id: &SessionId, write: Write<'_>) -> Result<(), StoreError> {
        let state = write.state;
        self.check_size(state)?;
        let given = |number: Option<u64>| number.map(decimal).unwrap_or_default();
        let is_once: &[u8] = if write.is_once { b"1" } else { b"0" };
        let user = state.user.as_deref();
        let hash = user.map(|user| user_hash(user).to_vec());
        let arguments = [
            self.now(),
            is_once.into(),
            given(write.expected),
            decimal(write.version),
            self.nonces.next().into(),
            given(write.modified),
            decimal(state.expires),
            state.data.as_slice().into(),
            id.to_string().into_bytes().into(),
            hash.unwrap_or_default().into(),
            user.unwrap_or_default().as_bytes().into(),
        ];
        let keys = self.server.keys.of_record(id);
        self.run(id, Effect::Repeatable, &WRITE, &keys, &arguments)
            .await?;
        Ok(())
    }
}

/// What to write.
struct Write<'a> {
    state: &'a SessionState,
    /// The version that the session must have; `None` if it must be absent.
    expected: Option<Version>,
    version: Version,
    /// The modification time, in place of now.
    modified: Option<Timestamp>,
    /// Whether a second attempt may only find out what the first one did. A second create
    /// could revive a session that was deleted since.
    is_once: bool,
}

#[async_trait]
impl SessionStore for RedisStore {
    async fn setup(&self) -> Result<(), StoreError> {
        open::create(&self.server).await
    }

    async fn create_session(
        &self,
        id: &SessionId,
        state: &SessionState,
    ) -> Result<Version, StoreError> {
        let write = Write {
            state,
            expected: None,
            version: 1,
            modified: None,
            is_once: true,
        };
        self.write(id, write).await?;
        Ok(1)
    }

    async fn load_session(&self, id: &SessionId) -> Result<Option<StoredSession>, StoreError> {
        walk::load(&self.server, id).await
    }

    async fn save_session(
        &self,
        id: &SessionId,
        state: &SessionState,
        expected: Version,
    ) -> Result<Version, StoreError> {
        // Only an imported session can have the last version, whose successor is itself.
        let version = expected.saturating_add(1);
        let write = Write {
            state,
            expected: Some(expected),
            version,
            modified: None,
            is_once: false,
        };
        self.write(id, write).await?;
        Ok(version)
    }

    async fn touch_session(
        &self,
        id: &SessionId,
        expires: Timestamp,
        expected: Version,
    ) -> Result<(), StoreError> {
        let arguments = [self.now(), decimal(expected), decimal(expires)];
        // A second attempt could undo a later touch, which leaves the version as it is.
        let keys = [self.server.keys.session(id)];
        self.run(id, Effect::Once, &TOUCH, &keys, &arguments)
            .await?;
        Ok(())
    }

    async fn delete_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        let keys = self.server.keys.of_record(id);
        let arguments = [id.to_string().into_bytes().into()];
        let outcome = self
            .run(id, Effect::Repeatable, &DELETE, &keys, &arguments)
            .await?;
        let is_repeated = outcome.is_repeated;
        match outcome.numbers()? {
            // The first attempt may have deleted the session, or there was none.
            [0] if is_repeated => Err(outcome::unknown()),
            [count] => Ok(count > 0),
        }
    }

    async fn import_session(
        &self,
        session: &StoredSession,
        expected: Option<Version>,
    ) -> Result<(), StoreError> {
        let write = Write {
            state: &session.state,
            expected,
            version: session.version,
            modified: Some(session.modified),
            is_once: true,
        };
        self.write(&session.id, write).await
    }

    async fn delete_old_sessions(
        &self,
        minutes: u32,
        limit: Option<Duration>,
    ) -> Result<SweepReport, StoreError> {
        let now = self.options.clock.as_ref().map(|clock| clock.now());
        let age = Age { minutes, now };
        sweep(&self.bulk, self.nonces.next(), &age, limit).await
    }

    async fn iter_sessions(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<SessionPage, StoreError> {
        walk::page(&self.bulk, cursor, limit).await
    }

    async fn sessions_of_user(&self, user: &str) -> Result<Vec<SessionId>, StoreError> {
        let hash = user_hash(user);
        let reads = (0..=u8::MAX).map(|digits| self.listed_for(&hash, digits));
        let listed = try_join_all(reads).await?;
        let ids = listed.into_iter().flatten();
        let owned = try_join_all(ids.map(|id| self.if_owned(user, id))).await?;
        Ok(owned.into_iter().flatten().collect())
    }

    async fn lock_session(
        &self,
        id: &SessionId,
        time: Duration,
    ) -> Result<SessionLock, StoreError> {
        let place = Place {
            server: self.server.clone(),
            tag: Tag::of(id),
            key: self.server.keys.lock(id),
        };
        let deadline = Instant::now() + self.options.lock_timeout;
        let lease = lease::take(place, self.nonces.next(), time, deadline).await?;
        let left = time.saturating_sub(lease.since.elapsed());
        Ok(SessionLock::new(lease, left))
    }

    fn is_multiprocess_safe(&self) -> bool {
        true
    }

    fn is_thread_safe(&self) -> bool {
        true
    }
}

impl RedisStore {
    /// Returns the ID if the session is whole and belongs to the user.
    async fn if_owned(&self, user: &str, id: SessionId) -> Result<Option<SessionId>, StoreError> {
        let key = self.server.keys.session(&id);
        let mut has_data = redis::cmd("HEXISTS");
        has_data.arg(&key).arg("d");
        let owner = self.server.read(Tag::of(&id), record::load_owner(&key));
        let has_data = self.server.read(Tag::of(&id), has_data);
        match tokio::try_join!(owner, has_data) {
            Ok((owner, Value::Int(1))) => Ok(record::belongs_to(user, owner).then_some(id)),
            Ok(_) => Ok(None),
            Err(error) if record::is_of_another_type(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the IDs that begin with these digits and that the index has for a user.
    async fn listed_for(&self, hash: &[u8], digits: u8) -> Result<Vec<SessionId>, StoreError> {
        let mut command = redis::cmd("ZRANGE");
        command
            .arg(self.server.keys.users(digits))
            .arg([b"[", hash].concat())
            .arg([b"[", hash, b"\xff"].concat())
            .arg("BYLEX");
        let members = self.server.read(Tag::Sessions(digits), command).await?;
        let ids = walk::members_of(members).filter_map(|member| walk::id(member.get(32..)?));
        Ok(ids.collect())
    }
}

/// A source of bytes that no other request has: a random beginning, and a count.
struct Nonces {
    beginning: [u8; 16],
    count: AtomicU64,
}

impl Nonces {
    fn new() -> Self {
        let mut beginning = [0; 16];
        // Without random numbers, the hash of the standard library has other ones.
        if getrandom::fill(&mut beginning).is_err() {
            use std::hash::{BuildHasher, RandomState};
            beginning[..8].copy_from_slice(&RandomState::new().hash_one(0).to_le_bytes());
            beginning[8..].copy_from_slice(&RandomState::new().hash_one(1).to_le_bytes());
        }
        Self {
            beginning,
            count: AtomicU64::new(0),
        }
    }

    fn next(&self) -> Vec<u8> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        [&self.beginning[..], &count.to_le_bytes()].concat()
    }
}
