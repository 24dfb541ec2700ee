//! The statements of the store, with the client library `mysql_async` on as many connections.

use std::sync::Arc;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, OptsBuilder, Params, Row, Value, params};
use parking_lot::Mutex;
use session3_store::{SessionId, SessionState, Version};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{bytes, nonce};
use crate::contest::{Operate, Operation};
use crate::sessions::EXPIRES;
use session3_store_mysql::statements::Statements;

/// The number of connections of the store.
const CONNECTIONS: usize = 8;

/// What the store sets on each connection.
const SETTINGS: [&str; 2] = [
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET NAMES binary, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1",
];

/// The bare statements.
pub struct Floor(Arc<Shared>);

struct Shared {
    idle: Mutex<Vec<Conn>>,
    permits: Semaphore,
    statements: Statements,
}

impl Floor {
    /// Connects as often as the store does.
    pub async fn connect(url: &str, table: &str) -> Self {
        let mut idle = Vec::new();
        for _ in 0..CONNECTIONS {
            idle.push(connect(url).await);
        }
        Self(Arc::new(Shared {
            idle: Mutex::new(idle),
            permits: Semaphore::new(CONNECTIONS),
            statements: Statements::new(table, false),
        }))
    }
}

async fn connect(url: &str) -> Conn {
    let opts = OptsBuilder::from_opts(Opts::from_url(url).unwrap())
        .prefer_socket(false)
        .client_found_rows(true);
    let mut conn = Conn::new(opts).await.unwrap();
    for setting in SETTINGS {
        conn.query_drop(setting).await.unwrap();
    }
    conn
}

/// Runs a statement on a connection of its own.
pub async fn execute(url: &str, statement: &str) {
    let mut conn = connect(url).await;
    conn.query_drop(statement).await.unwrap();
    conn.disconnect().await.unwrap();
}

impl Shared {
    /// Runs a statement, and returns its first row and how many rows it found.
    async fn run(&self, statement: &str, params: Params) -> (Option<Row>, u64) {
        let permit = self.permits.acquire().await.unwrap();
        let conn = self.idle.lock().pop();
        let mut conn = conn.unwrap();
        let result = conn.exec_iter(statement, params).await.unwrap();
        let found = result.affected_rows();
        let rows: Vec<Row> = result.collect_and_drop().await.unwrap();
        self.idle.lock().push(conn);
        drop(permit);
        (rows.into_iter().next(), found)
    }

    async fn operate(
        &self,
        operation: Operation,
        id: Value,
        state: SessionState,
        version: Version,
    ) -> bool {
        let hash = |user| Sha256::digest(user).to_vec();
        match operation {
            Operation::Create | Operation::Save => {
                let statement = match operation {
                    Operation::Create => &self.statements.create,
                    _ => &self.statements.save,
                };
                let params = params! {
                    "id" => id,
                    "version" => 1,
                    "nonce" => Value::Bytes(nonce().to_le_bytes().into()),
                    "expires" => state.expires,
                    "hash" => state.user.as_deref().map(hash),
                    "user" => state.user.map(String::into_bytes),
                    "data" => Value::Bytes(state.data),
                    "expected" => version,
                };
                self.run(statement, params).await.1 == 1
            }
            Operation::Load => {
                let (row, _) = self
                    .run(&self.statements.load, params! { "id" => id })
                    .await;
                row.is_some()
            }
            Operation::Touch => {
                let params = params! {
                    "id" => id,
                    "expires" => EXPIRES,
                    "expected" => version,
                };
                self.run(&self.statements.touch, params).await.1 == 1
            }
            Operation::Delete => {
                let params = params! { "id" => id };
                self.run(&self.statements.delete, params).await.1 == 1
            }
        }
    }
}

impl Operate for Floor {
    async fn operate(
        &self,
        operation: Operation,
        id: &SessionId,
        state: &SessionState,
        version: Version,
    ) {
        let (shared, state) = (self.0.clone(), state.clone());
        let id = Value::Bytes(bytes(id).into());
        let task = async move { shared.operate(operation, id, state, version).await };
        assert!(tokio::spawn(task).await.unwrap(), "{operation}");
    }
}
