//! The store: checks arguments, runs statements, and says what their rows mean.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session3_store::queue::Queues;
use session3_store::{
    PageBuilder, SessionId, SessionLock, SessionPage, SessionState, SessionStore, StoreError,
    StoredSession, SweepReport, Timestamp, Version,
};
use tokio_postgres::Row;

use crate::call::{Answer, Calls, Value};
use crate::connector::Connector;
use crate::inner::{Inner, interrupted};
use crate::password::set_password;
use crate::rows;
use crate::schema::Schema;
use crate::statements::Statements;
use crate::url::Target;
use crate::values::{Number, Uuid};
use crate::{OpenError, Options, exclusive, sweep};

/// A store that keeps sessions in a table of PostgreSQL. Any number of processes may share it.
///
/// The documentation of the [crate](crate) has an example.
pub struct PostgresStore {
    pub(crate) inner: Arc<Inner>,
}

impl PostgresStore {
    /// Connects to a server, and checks it and its tables.
    ///
    /// The URL is `postgres://user:password@host:port,host:port/database`, with percent
    /// encoding. Of several hosts, the store uses the first that accepts writes. Parameters,
    /// all optional, follow after a `?`:
    ///
    /// | parameter | value |
    /// | --- | --- |
    /// | `sslmode` | `disable`; `prefer` (the default) or `require`: encrypted, without checking who the server is; `verify-full` |
    /// | `tls-ca` | a file with the certificates of authorities in PEM, in place of the system's; implies `verify-full` |
    /// | `timeout` | how long an operation may take, in seconds, such as `2` or `0.5`: 2 by default |
    /// | `durability` | what a change waits for, in place of the server's `synchronous_commit`: `off`, `local`, `remote_write`, `on` or `remote_apply` |
    /// | `prepare` | `on`: each connection prepares its statements, so that the server parses them once; `off`, the default, also works with PgBouncer in transaction mode |
    /// | `table` | the name of the table: `session3` by default |
    ///
    /// This must be called within a tokio runtime, which runs the tasks of the store.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]: the URL is wrong, the server is away, refuses the user, is read-only,
    /// too old or set up to lose data, or the tables are missing or not a store's.
    pub async fn open(url: &str, options: Options) -> Result<Self, OpenError> {
        let mut target = Target::parse(url)?;
        set_password(&mut target.config, options.password)?;
        let timeout = target.timeout.unwrap_or(options.timeout);
        let statements = Statements::new(&target.table, target.durability);
        let schema = Schema {
            table: target.table.clone(),
            durability: target.durability,
            patience: timeout.max(MIN_PATIENCE),
        };
        let connector = Arc::new(Connector::new(target, timeout)?);
        schema.prepare(&connector, options.create).await?;
        let inner = Inner {
            calls: Calls::new(connector.clone(), timeout),
            connector,
            statements,
            schema,
            queues: Queues::default(),
            timeout,
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

/// The largest number of bytes that the sessions of a page have, as [`PageBuilder`] counts.
const PAGE_BYTES: i64 = 1 << 20;

/// The largest number of sessions in a page, whatever their size.
const PAGE_ROWS: u32 = 8192;

fn uuid(id: &SessionId) -> Value {
    Value::Uuid(Uuid(id.to_bits()))
}

/// Returns a number that tells the change of this call from all others.
fn nonce() -> Uuid {
    Uuid(rand::random())
}

fn number(number: u64) -> Value {
    Value::Number(Number(number))
}

fn user(state: &SessionState) -> Value {
    Value::User(state.user.as_ref().map(|user| user.clone().into_bytes()))
}

/// What a save, a touch or an import that replaces a session found.
struct Found {
    /// The version before, unless the session was absent.
    version: Option<Version>,
    /// Whether the call changed the session, or an earlier attempt of it had done so.
    is_changed: bool,
}

impl Found {
    fn new(answer: &Answer, nonce: Option<Uuid>) -> Result<Self, StoreError> {
        let Some(row) = answer.rows.first() else {
            return Ok(Self {
                version: None,
                is_changed: false,
            });
        };
        let version: Option<Number> = rows::get(row, 0)?;
        let found: Option<Uuid> = rows::get(row, 1)?;
        let is_own = nonce.is_some() && found == nonce;
        Ok(Self {
            version: version.map(|version| version.0),
            is_changed: is_own || rows::get(row, 2)?,
        })
    }

    /// Returns why nothing was changed, or success.
    fn result(&self, answer: &Answer) -> Result<(), StoreError> {
        match (self.is_changed, self.version) {
            (true, _) => Ok(()),
            (false, Some(version)) => Err(answer.refusal(StoreError::Conflict(version))),
            (false, None) => Err(answer.refusal(StoreError::Absent)),
        }
    }
}

#[async_trait]
impl SessionStore for PostgresStore {
    async fn setup(&self) -> Result<(), StoreError> {
        let inner = self.inner.clone();
        let task = tokio::spawn(async move {
            let prepared = inner.schema.prepare(&inner.connector, true).await;
            prepared.map_err(|error| StoreError::Unavailable(error.to_string()))
        });
        task.await.map_err(interrupted)?
    }

    async fn create_session(
        &self,
        id: &SessionId,
        state: &SessionState,
    ) -> Result<Version, StoreError> {
        let rest = vec![self.inner.now()];
        self.insert(|all| &all.create, id, state, rest).await?;
        Ok(1)
    }

    async fn load_session(&self, id: &SessionId) -> Result<Option<StoredSession>, StoreError> {
        let answer = self.inner.run(|all| &all.load, vec![uuid(id)]).await?;
        answer.rows.first().map(rows::session).transpose()
    }

    async fn save_session(
        &self,
        id: &SessionId,
        state: &SessionState,
        expected: Version,
    ) -> Result<Version, StoreError> {
        let rest = vec![self.inner.now()];
        self.update(|all| &all.save, id, state, expected, rest)
            .await?;
        Ok(expected.saturating_add(1))
    }

    async fn touch_session(
        &self,
        id: &SessionId,
        expires: Timestamp,
        expected: Version,
    ) -> Result<(), StoreError> {
        let values = vec![
            uuid(id),
            number(expected),
            number(expires),
            self.inner.now(),
        ];
        let answer = self.inner.run(|all| &all.touch, values).await?;
        Found::new(&answer, None)?.result(&answer)
    }

    async fn delete_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        let answer = self.inner.run(|all| &all.delete, vec![uuid(id)]).await?;
        match (answer.rows.is_empty(), answer.is_repeated) {
            (false, _) => Ok(true),
            (true, false) => Ok(false),
            (true, true) => Err(answer.refusal(StoreError::Absent)),
        }
    }

    async fn import_session(
        &self,
        session: &StoredSession,
        expected: Option<Version>,
    ) -> Result<(), StoreError> {
        let StoredSession { id, state, .. } = session;
        let rest = vec![number(session.modified), number(session.version)];
        match expected {
            None => self.insert(|all| &all.import_new, id, state, rest).await,
            Some(expected) => {
                self.update(|all| &all.import, id, state, expected, rest)
                    .await
            }
        }
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
        let limit = limit.clamp(1, PAGE_ROWS);
        let values = vec![
            uuid(&first),
            // The session after those of the page is the cursor of the next one.
            Value::Integer(i64::from(limit) + 1),
            Value::Integer(PAGE_BYTES),
        ];
        let answer = self.inner.run(|all| &all.iterate, values).await?;
        page(&answer.rows, limit)
    }

    async fn sessions_of_user(&self, user: &str) -> Result<Vec<SessionId>, StoreError> {
        let values = vec![Value::Bytes(user.as_bytes().to_vec())];
        let answer = self.inner.run(|all| &all.of_user, values).await?;
        answer.rows.iter().map(rows::id).collect()
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

impl PostgresStore {
    /// Runs a statement that creates a session, with `rest` as its last values. If the answer is
    /// lost, the session is only looked up.
    async fn insert(
        &self,
        statement: fn(&Statements) -> &String,
        id: &SessionId,
        state: &SessionState,
        rest: Vec<Value>,
    ) -> Result<(), StoreError> {
        self.inner.check_size(state)?;
        let mut values = vec![
            uuid(id),
            Value::Uuid(nonce()),
            number(state.expires),
            user(state),
            Value::Bytes(state.data.clone()),
        ];
        values.extend(rest);
        let find: fn(&Statements) -> &String = |all| &all.find_created;
        let answer = self.inner.run_or(statement, find, values).await?;
        match answer.rows.is_empty() {
            false => Ok(()),
            true => Err(answer.not_created()),
        }
    }

    /// Runs a statement that replaces a session, with `rest` as its last values.
    async fn update(
        &self,
        statement: fn(&Statements) -> &String,
        id: &SessionId,
        state: &SessionState,
        expected: Version,
        rest: Vec<Value>,
    ) -> Result<(), StoreError> {
        self.inner.check_size(state)?;
        let nonce = nonce();
        let mut values = vec![
            uuid(id),
            number(expected),
            Value::Uuid(nonce),
            number(state.expires),
            user(state),
            Value::Bytes(state.data.clone()),
        ];
        values.extend(rest);
        let answer = self.inner.run(statement, values).await?;
        Found::new(&answer, Some(nonce))?.result(&answer)
    }
}

/// Builds a page of the rows of the statement `iterate`.
fn page(found: &[Row], limit: u32) -> Result<SessionPage, StoreError> {
    let mut builder = PageBuilder::new(limit);
    let mut is_cut = false;
    let mut last = None;
    for row in found {
        let id = rows::id(row)?;
        if !builder.add(&id, rows::session(row).map(Some))? {
            return Ok(builder.finish());
        }
        (last, is_cut) = (Some(id), rows::get(row, 6)?);
    }
    let mut page = builder.finish();
    // A damaged session counts less than the bytes of its row, so that the page may have room
    // after the row at which the statement stopped.
    if let (true, Some(last)) = (is_cut, last) {
        let next = last.to_bits().checked_add(1);
        page.next = next.map(|next| SessionId::from_bits(next).to_string());
    }
    Ok(page)
}
