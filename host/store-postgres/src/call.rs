//! Running one statement: in time, whatever becomes of the caller, and again if the
//! connection ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use session3_store::StoreError;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

use crate::connector::Connector;
use crate::failure::Failure;
use crate::link::{Connection, Links};
use crate::values::{Number, Uuid};

/// The number of connections that the operations share. The commits of one connection follow
/// each other; those of several are flushed together.
const CONNECTIONS: usize = 4;

/// A parameter of a statement.
#[derive(Clone, Debug)]
pub enum Value {
    Uuid(Uuid),
    Number(Number),
    Time(Option<Number>),
    Bytes(Vec<u8>),
    User(Option<Vec<u8>>),
    Integer(i64),
}

impl Value {
    pub fn parameter(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Self::Uuid(value) => (value, Type::UUID),
            Self::Number(value) => (value, Type::NUMERIC),
            Self::Time(value) => (value, Type::NUMERIC),
            Self::Bytes(value) => (value, Type::BYTEA),
            Self::User(value) => (value, Type::BYTEA),
            Self::Integer(value) => (value, Type::INT8),
        }
    }
}

/// Runs a statement that is not prepared.
pub async fn query(client: &Client, statement: &str, values: &[Value]) -> Result<Vec<Row>, Error> {
    let parameters: Vec<_> = values.iter().map(Value::parameter).collect();
    client.query_typed(statement, &parameters).await
}

/// The rows that a statement returned.
pub struct Answer {
    pub rows: Vec<Row>,
    /// Whether the answer to an earlier attempt was lost, so that the statement may have taken
    /// effect twice.
    pub is_repeated: bool,
}

impl Answer {
    /// Returns an error that says that nothing changed, unless an earlier attempt may have
    /// changed something.
    pub fn refusal(&self, error: StoreError) -> StoreError {
        match self.is_repeated {
            false => error,
            true => StoreError::Unavailable(format!(
                "the connection to PostgreSQL ended before the answer came, and then {error}: \
                 load the session to find out whether it changed"
            )),
        }
    }

    /// Returns why a session was not created, or may have been created and deleted since.
    pub fn not_created(&self) -> StoreError {
        match self.is_repeated {
            false => StoreError::Exists,
            true => StoreError::Unavailable(
                "the connection to PostgreSQL ended before the answer came: \
                 load the session to find out whether it was created"
                    .into(),
            ),
        }
    }
}

/// Runs statements over shared connections.
pub struct Calls {
    connector: Arc<Connector>,
    links: Links,
    timeout: Duration,
}

impl Calls {
    pub fn new(connector: Arc<Connector>, timeout: Duration) -> Self {
        Self {
            links: Links::new(&connector, CONNECTIONS),
            connector,
            timeout,
        }
    }

    /// Runs a statement. An answer that is lost together with its connection makes it run
    /// again, so it must be harmless to run twice.
    pub async fn run(&self, statement: &str, values: &[Value]) -> Result<Answer, StoreError> {
        self.run_or(statement, statement, values).await
    }

    /// Runs a statement, and `again` with the same values if the answer was lost together with
    /// the connection.
    pub async fn run_or(
        &self,
        statement: &str,
        again: &str,
        values: &[Value],
    ) -> Result<Answer, StoreError> {
        let deadline = Instant::now() + self.timeout;
        let mut lost = None;
        loop {
            let statement = if lost.is_some() { again } else { statement };
            let connection = self.connection(deadline, lost.as_deref()).await?;
            match self
                .attempt(&connection, statement, values, deadline)
                .await?
            {
                Ok(rows) => {
                    let is_repeated = lost.is_some();
                    return Ok(Answer { rows, is_repeated });
                }
                Err(Failure::Refused(why)) => return Err(self.unavailable(&why)),
                Err(Failure::Damaged(why)) => return Err(StoreError::Corrupt(why)),
                Err(Failure::ReadOnly) => connection.discard(),
                Err(Failure::Lost(why)) => {
                    connection.discard();
                    lost = Some(why);
                }
                Err(Failure::Repeatable(_)) => {
                    let pause = Duration::from_millis(rand::random_range(0..5));
                    sleep(pause).await;
                }
            }
        }
    }

    /// Returns a connection. `lost` says how the last one ended, if that was after the
    /// statement was sent.
    async fn connection(
        &self,
        deadline: Instant,
        lost: Option<&str>,
    ) -> Result<Arc<Connection>, StoreError> {
        let why = match timeout_at(deadline, self.links.connection()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(why)) => why.to_string(),
            Err(_) => format!("no connection within {:?}", self.timeout),
        };
        match lost {
            None => Err(self.unavailable(&why)),
            Some(lost) => Err(self.unavailable(&format!("{lost}, and then: {why}"))),
        }
    }

    async fn attempt(
        &self,
        connection: &Arc<Connection>,
        statement: &str,
        values: &[Value],
        deadline: Instant,
    ) -> Result<Result<Vec<Row>, Failure>, StoreError> {
        connection.users.fetch_add(1, Ordering::Relaxed);
        let answer = timeout_at(deadline, connection.query(statement, values)).await;
        connection.users.fetch_sub(1, Ordering::Relaxed);
        match answer {
            Ok(answer) => Ok(answer.map_err(|error| Failure::new(&error))),
            Err(_) => {
                self.give_up(connection);
                Err(self.unavailable(&format!("no answer within {:?}", self.timeout)))
            }
        }
    }

    /// Ends a connection on which an answer is overdue. The statement is cancelled, so that
    /// no sessions of the server remain that wait for a lock.
    fn give_up(&self, connection: &Arc<Connection>) {
        let (connector, token) = (self.connector.clone(), connection.client.cancel_token());
        let (connection, patience) = (connection.clone(), self.timeout);
        connection.discard();
        tokio::spawn(async move {
            let _ = timeout(patience, connector.cancel(token)).await;
        });
    }

    /// Returns the error of an operation that this server could not do.
    pub fn unavailable(&self, why: &str) -> StoreError {
        StoreError::Unavailable(format!(
            "PostgreSQL at {}: {why}",
            self.connector.health.server()
        ))
    }
}
