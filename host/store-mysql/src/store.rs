//! The store: checks arguments, and runs operations in tasks of their own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session3_store::queue::Queues;
use session3_store::{
    SessionId, SessionLock, SessionPage, SessionState, SessionStore, StoreError, StoredSession,
    SweepReport, Timestamp, Version,
};

use crate::call::Calls;
use crate::connector::Connector;
use crate::inner::Inner;
use crate::schema::Schema;
use crate::server::Requirements;
use crate::statements::Statements;
use crate::url::Target;
use crate::{OpenError, Options, changes, exclusive, reads, sweep};

/// A store that keeps sessions in a table of MariaDB or MySQL. Any number of processes may
/// share it.
///
/// The documentation of the [crate](crate) has an example.
pub struct MysqlStore {
    pub(crate) inner: Arc<Inner>,
}

impl MysqlStore {
    /// Connects to a server, and checks it and its tables.
    ///
    /// The URL is `mysql://user:password@host:port/database`, with percent encoding. The
    /// scheme `mariadb` means the same, and a host such as `%2Frun%2Fmysqld%2Fmysqld.sock` is
    /// a socket. Parameters, all optional, follow after a `?`:
    ///
    /// | parameter | value |
    /// | --- | --- |
    /// | `tls` | `off`; `prefer` (the default): encrypted if the server can, or `require`: encrypted, both without checking who the server is; `verify`: encrypted and checked |
    /// | `tls-ca` | a file with the certificates of authorities in PEM, in place of the system's; implies `verify` |
    /// | `timeout` | how long an operation may take, in seconds, such as `2` or `0.5` |
    /// | `durability` | `off` accepts a server whose crash may undo acknowledged changes |
    /// | `table` | the name of the table: `session3` by default |
    ///
    /// This must be called within a tokio runtime, which runs the tasks of the store.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]: the URL is wrong, the server is away, refuses the user, is read-only
    /// or set up to lose data, or the tables are missing, not a store's or not InnoDB's.
    pub async fn open(url: &str, options: Options) -> Result<Self, OpenError> {
        let target = Target::parse(url)?;
        if options.max_state_bytes > MAX_STATE_BYTES {
            return Err(OpenError::StateLimit(options.max_state_bytes));
        }
        let timeout = target.timeout.unwrap_or(options.timeout);
        let connector = Arc::new(Connector::new(&target, options.password, timeout)?);
        let schema = Schema {
            requirements: Requirements {
                may_lose: target.may_lose,
                max_state_bytes: options.max_state_bytes,
            },
            table: target.table,
            patience: timeout.max(MIN_PATIENCE),
        };
        schema.prepare(&connector, options.create).await?;
        let inner = Inner {
            calls: Calls::new(connector.clone(), timeout),
            connector,
            statements: Statements::new(&schema.table, options.clock.is_some()),
            schema,
            queues: Queues::default(),
            lock_timeout: options.lock_timeout,
            max_state_bytes: options.max_state_bytes,
            clock: options.clock,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

/// How long the check of the server may take at least, in which it creates tables.
const MIN_PATIENCE: Duration = Duration::from_secs(10);

/// The number of bytes for which the columns `usr` and `data` have room.
const MAX_STATE_BYTES: u64 = (1 << 24) - 1;

#[async_trait]
impl SessionStore for MysqlStore {
    async fn setup(&self) -> Result<(), StoreError> {
        let prepare = async |inner: Arc<Inner>| {
            let prepared = inner.schema.prepare(&inner.connector, true).await;
            prepared.map_err(|error| StoreError::Unavailable(error.to_string()))
        };
        self.inner.spawn(prepare).await
    }

    async fn create_session(
        &self,
        id: &SessionId,
        state: &SessionState,
    ) -> Result<Version, StoreError> {
        self.inner.check_size(state)?;
        let create = |inner| changes::create(inner, *id, state.clone());
        self.inner.spawn(create).await
    }

    async fn load_session(&self, id: &SessionId) -> Result<Option<StoredSession>, StoreError> {
        self.inner.spawn(|inner| reads::load(inner, *id)).await
    }

    async fn save_session(
        &self,
        id: &SessionId,
        state: &SessionState,
        expected: Version,
    ) -> Result<Version, StoreError> {
        self.inner.check_size(state)?;
        let save = |inner| changes::save(inner, *id, state.clone(), expected);
        self.inner.spawn(save).await
    }

    async fn touch_session(
        &self,
        id: &SessionId,
        expires: Timestamp,
        expected: Version,
    ) -> Result<(), StoreError> {
        let touch = |inner| changes::touch(inner, *id, expires, expected);
        self.inner.spawn(touch).await
    }

    async fn delete_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.inner.spawn(|inner| changes::delete(inner, *id)).await
    }

    async fn import_session(
        &self,
        session: &StoredSession,
        expected: Option<Version>,
    ) -> Result<(), StoreError> {
        self.inner.check_size(&session.state)?;
        let import = |inner| changes::import(inner, session.clone(), expected);
        self.inner.spawn(import).await
    }

    async fn delete_old_sessions(
        &self,
        minutes: u32,
        limit: Option<Duration>,
    ) -> Result<SweepReport, StoreError> {
        sweep::sweep(self.inner.clone(), minutes, limit).await
    }

    async fn iter_sessions(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<SessionPage, StoreError> {
        let first = match cursor {
            Some(cursor) => cursor.parse()?,
            None => SessionId::from_bits(0),
        };
        self.inner
            .spawn(|inner| reads::page(inner, first, limit))
            .await
    }

    async fn sessions_of_user(&self, user: &str) -> Result<Vec<SessionId>, StoreError> {
        self.inner
            .spawn(|inner| reads::of_user(inner, user.into()))
            .await
    }

    async fn lock_session(
        &self,
        id: &SessionId,
        time: Duration,
    ) -> Result<SessionLock, StoreError> {
        exclusive::lock(self.inner.clone(), *id, time).await
    }

    fn is_multiprocess_safe(&self) -> bool {
        true
    }

    fn is_thread_safe(&self) -> bool {
        true
    }
}
