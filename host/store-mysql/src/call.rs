//! Running the statements of one operation: in time, and again if the connection ended.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, Params, Row};
use session3_store::StoreError;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::connector::Connector;
use crate::failure::Failure;
use crate::pool::{Connection, Pool};

/// A statement with its values.
pub enum Query<'a> {
    /// A statement that the connection keeps prepared.
    Prepared(&'a str, Params),
    /// A statement whose text contains its values.
    Text(String),
}

/// What the server answered.
pub struct Answer {
    pub rows: Vec<Row>,
    /// The number of rows that an insert, update or delete found, whether or not it changed
    /// their values.
    pub found: u64,
    /// Whether an insert failed since there is such a row already.
    pub is_duplicate: bool,
}

/// Runs statements over the shared connections.
pub struct Calls {
    connector: Arc<Connector>,
    pool: Pool,
    timeout: Duration,
}

impl Calls {
    pub fn new(connector: Arc<Connector>, timeout: Duration) -> Self {
        Self {
            pool: Pool::new(connector.clone()),
            connector,
            timeout,
        }
    }

    /// Begins an operation, all of whose statements together may take the timeout.
    pub fn begin(&self) -> Call<'_> {
        Call {
            calls: self,
            deadline: Instant::now() + self.timeout,
            lost: None,
            was_read_only: false,
        }
    }

    /// Runs an operation that is one prepared statement.
    pub async fn run(&self, statement: &str, params: Params) -> Result<Answer, StoreError> {
        self.begin().run(statement, params).await
    }

    /// Returns the error of an operation that this server could not do.
    pub fn unavailable(&self, why: &str) -> StoreError {
        let place = self.connector.health.server();
        StoreError::Unavailable(format!("MySQL at {place}: {why}"))
    }

    /// Ends a connection on which an answer is overdue, and its statement, so that nothing
    /// remains at the server that waits for a lock.
    fn give_up(&self, connection: &Connection) {
        let (connector, id) = (self.connector.clone(), connection.conn.id());
        let patience = self.timeout;
        tokio::spawn(async move {
            let _ = timeout(patience, connector.kill(id)).await;
        });
    }
}

/// One operation.
pub struct Call<'a> {
    calls: &'a Calls,
    deadline: Instant,
    /// How the last connection ended, if that was after a statement was sent.
    lost: Option<String>,
    /// Whether the server of a connection accepted no writes.
    was_read_only: bool,
}

impl Call<'_> {
    /// Returns whether the answer to an earlier statement was lost, so that the statement may
    /// have taken effect twice.
    pub fn is_repeated(&self) -> bool {
        self.lost.is_some()
    }

    /// Returns an error that says that nothing changed, unless an earlier attempt may have
    /// changed something.
    pub fn refusal(&self, error: StoreError) -> StoreError {
        match self.is_repeated() {
            false => error,
            true => StoreError::Unavailable(format!(
                "the connection to MySQL ended before the answer came, and then {error}: load the \
                 session to find out whether it changed"
            )),
        }
    }

    /// Returns the error of a create whose answer was lost, and whose session is not there.
    pub fn maybe_created(&self) -> StoreError {
        self.calls.unavailable(
            "the connection ended before the answer came: load the session to find out whether \
             it was created",
        )
    }

    /// Runs a prepared statement that must not run twice. Returns `None` if the answer was
    /// lost.
    pub async fn run_once(
        &mut self,
        statement: &str,
        params: Params,
    ) -> Result<Option<Answer>, StoreError> {
        self.try_query(&Query::Prepared(statement, params)).await
    }

    /// Runs a prepared statement.
    pub async fn run(&mut self, statement: &str, params: Params) -> Result<Answer, StoreError> {
        self.query(&Query::Prepared(statement, params)).await
    }

    /// Runs a statement. An answer that is lost together with its connection makes it run
    /// again, so it must be harmless to run twice.
    pub async fn query(&mut self, query: &Query<'_>) -> Result<Answer, StoreError> {
        loop {
            if let Some(answer) = self.try_query(query).await? {
                return Ok(answer);
            }
        }
    }

    /// Runs a statement, until there is an answer or it was lost.
    async fn try_query(&mut self, query: &Query<'_>) -> Result<Option<Answer>, StoreError> {
        loop {
            let connection = self.connection().await?;
            match self.attempt(connection, query).await? {
                Ok(answer) => return Ok(Some(answer)),
                Err(Failure::Duplicate) => return Ok(Some(Answer::duplicate())),
                Err(Failure::Refused(why)) => return Err(self.calls.unavailable(&why)),
                // A new connection leads to another server, or is refused.
                Err(Failure::ReadOnly(_)) if !self.was_read_only => {
                    self.calls.pool.discard_all();
                    self.was_read_only = true;
                }
                Err(Failure::ReadOnly(why)) => return Err(self.calls.unavailable(&why)),
                Err(Failure::Lost(why)) => {
                    self.calls.pool.discard_all();
                    self.lost = Some(why);
                    return Ok(None);
                }
                Err(Failure::Repeatable(why)) => self.pause(&why).await?,
            }
        }
    }

    async fn connection(&self) -> Result<Connection, StoreError> {
        let why = match self.calls.pool.take(self.deadline).await {
            Ok(connection) => return Ok(connection),
            Err(why) => why,
        };
        match &self.lost {
            None => Err(self.calls.unavailable(&why)),
            Some(lost) => Err(self.calls.unavailable(&format!("{lost}, and then: {why}"))),
        }
    }

    /// Sends a statement once. A connection that still works is given back.
    async fn attempt(
        &self,
        mut connection: Connection,
        query: &Query<'_>,
    ) -> Result<Result<Answer, Failure>, StoreError> {
        let answer = timeout_at(self.deadline, send(&mut connection.conn, query)).await;
        let Ok(answer) = answer else {
            self.calls.give_up(&connection);
            let why = format!("no answer within {:?}", self.calls.timeout);
            return Err(self.calls.unavailable(&why));
        };
        let answer = answer.map_err(|error| Failure::new(&error));
        if !matches!(answer, Err(Failure::Lost(_) | Failure::ReadOnly(_))) {
            self.calls.pool.give_back(connection);
        }
        Ok(answer)
    }

    /// Waits for a moment after a deadlock, unless the operation is overdue.
    async fn pause(&self, why: &str) -> Result<(), StoreError> {
        if Instant::now() >= self.deadline {
            return Err(self.calls.unavailable(why));
        }
        sleep(Duration::from_millis(rand::random_range(0..5))).await;
        Ok(())
    }
}

impl Answer {
    fn duplicate() -> Self {
        Self {
            rows: Vec::new(),
            found: 0,
            is_duplicate: true,
        }
    }
}

async fn send(conn: &mut Conn, query: &Query<'_>) -> Result<Answer, Error> {
    let (rows, found) = match query {
        Query::Prepared(statement, params) => {
            let result = conn.exec_iter(*statement, params.clone()).await?;
            let found = result.affected_rows();
            (result.collect_and_drop().await?, found)
        }
        Query::Text(text) => {
            let result = conn.query_iter(text).await?;
            let found = result.affected_rows();
            (result.collect_and_drop().await?, found)
        }
    };
    Ok(Answer {
        rows,
        found,
        is_duplicate: false,
    })
}
