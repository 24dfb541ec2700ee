//! The statements of the store, with the client library `tokio-postgres` on as many connections,
//! which prepare them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use session3_store::{SessionId, SessionState, Version};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, Row, Statement};

use super::nonce;
use crate::contest::{Operate, Operation};
use crate::sessions::EXPIRES;
use session3_store_postgres::statements::Statements;
use session3_store_postgres::values::{Number, Uuid};

/// The number of connections of the store.
const CONNECTIONS: usize = 4;

/// The bare statements.
pub struct Floor(Arc<Shared>);

struct Shared {
    connections: Vec<Connection>,
    statements: Statements,
}

struct Connection {
    client: Client,
    /// The statements that were prepared, by their text.
    prepared: Mutex<HashMap<String, Statement>>,
    /// How many statements wait for their answers.
    users: AtomicUsize,
}

impl Floor {
    /// Connects as often as the store does.
    pub async fn connect(url: &str, table: &str) -> Self {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let (client, driver) = tokio_postgres::connect(url, NoTls).await.unwrap();
            tokio::spawn(driver);
            connections.push(Connection {
                client,
                prepared: Mutex::default(),
                users: AtomicUsize::new(0),
            });
        }
        Self(Arc::new(Shared {
            connections,
            statements: Statements::new(table, None),
        }))
    }
}

impl Connection {
    async fn query(&self, statement: &str, values: &[(&(dyn ToSql + Sync), Type)]) -> Vec<Row> {
        let (values, types): (Vec<_>, Vec<_>) = values.iter().cloned().unzip();
        let known = self.prepared.lock().get(statement).cloned();
        let prepared = match known {
            Some(prepared) => prepared,
            None => {
                let prepared = self.client.prepare_typed(statement, &types).await.unwrap();
                let mut statements = self.prepared.lock();
                statements.insert(statement.to_owned(), prepared.clone());
                prepared
            }
        };
        self.client.query(&prepared, &values).await.unwrap()
    }
}

impl Shared {
    async fn run(&self, statement: &str, values: &[(&(dyn ToSql + Sync), Type)]) -> Vec<Row> {
        let users = |connection: &&Connection| connection.users.load(Ordering::Relaxed);
        let connection = self.connections.iter().min_by_key(users).unwrap();
        connection.users.fetch_add(1, Ordering::Relaxed);
        let rows = connection.query(statement, values).await;
        connection.users.fetch_sub(1, Ordering::Relaxed);
        rows
    }

    async fn operate(
        &self,
        operation: Operation,
        id: &Uuid,
        state: &SessionState,
        version: Version,
    ) -> Vec<Row> {
        let Statements {
            create,
            load,
            save,
            touch,
            delete,
            ..
        } = &self.statements;
        let user = state.user.as_ref().map(String::as_bytes);
        let data = state.data.as_slice();
        let (nonce, version) = (Uuid(nonce()), Number(version));
        let (expires, no_time) = (Number(EXPIRES), None::<Number>);
        let (id, nonce): (Typed<'_>, Typed<'_>) = ((id, Type::UUID), (&nonce, Type::UUID));
        let version: Typed<'_> = (&version, Type::NUMERIC);
        let expires: Typed<'_> = (&expires, Type::NUMERIC);
        let now: Typed<'_> = (&no_time, Type::NUMERIC);
        let (user, data): (Typed<'_>, Typed<'_>) = ((&user, Type::BYTEA), (&data, Type::BYTEA));
        match operation {
            Operation::Create => {
                self.run(create, &[id, nonce, expires, user, data, now])
                    .await
            }
            Operation::Load => self.run(load, &[id]).await,
            Operation::Save => {
                let values = [id, version, nonce, expires, user, data, now];
                self.run(save, &values).await
            }
            Operation::Touch => self.run(touch, &[id, version, expires, now]).await,
            Operation::Delete => self.run(delete, &[id]).await,
        }
    }
}

/// A value of a statement, with its type.
type Typed<'a> = (&'a (dyn ToSql + Sync), Type);

impl Operate for Floor {
    async fn operate(
        &self,
        operation: Operation,
        id: &SessionId,
        state: &SessionState,
        version: Version,
    ) {
        let (shared, id, state) = (self.0.clone(), Uuid(id.to_bits()), state.clone());
        let task = async move { shared.operate(operation, &id, &state, version).await };
        let rows = tokio::spawn(task).await.unwrap();
        let row = rows.first().unwrap();
        match operation {
            Operation::Save | Operation::Touch => assert!(row.get::<_, bool>(2)),
            Operation::Create | Operation::Load | Operation::Delete => {}
        }
    }
}
