//! The statements that a connection has prepared.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio_postgres::{Client, Error, Row, Statement};

use crate::call::Value;

/// The statements that a connection has prepared, by their text. The server parses and plans
/// each of them once.
#[derive(Default)]
pub struct Prepared(Mutex<HashMap<String, Statement>>);

impl Prepared {
    /// Runs a statement, which is prepared before its first use.
    pub async fn query(
        &self,
        client: &Client,
        statement: &str,
        values: &[Value],
    ) -> Result<Vec<Row>, Error> {
        let (values, types): (Vec<_>, Vec<_>) = values.iter().map(Value::parameter).unzip();
        let known = self.0.lock().get(statement).cloned();
        let prepared = match known {
            Some(prepared) => prepared,
            None => {
                let prepared = client.prepare_typed(statement, &types).await?;
                let mut statements = self.0.lock();
                statements.insert(statement.to_owned(), prepared.clone());
                prepared
            }
        };
        client.query(&prepared, &values).await
    }
}
