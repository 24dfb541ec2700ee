//! What a store and its tasks share.

use std::sync::Arc;
use std::time::Duration;

use session3_store::queue::Queues;
use session3_store::{Clock, SessionState, StoreError};
use tokio::task::JoinError;

use crate::call::{Answer, Calls, Value};
use crate::connector::Connector;
use crate::schema::Schema;
use crate::statements::Statements;
use crate::values::Number;

pub struct Inner {
    pub connector: Arc<Connector>,
    pub calls: Calls,
    pub statements: Statements,
    pub schema: Schema,
    pub queues: Queues,
    pub timeout: Duration,
    pub lock_timeout: Duration,
    pub max_state_bytes: u64,
    pub clock: Option<Arc<dyn Clock>>,
}

impl Inner {
    /// Runs a statement in a task of its own, so that it runs to its end although the caller
    /// no longer waits. It runs again if its answer was lost.
    pub async fn run(
        self: &Arc<Self>,
        statement: fn(&Statements) -> &String,
        values: Vec<Value>,
    ) -> Result<Answer, StoreError> {
        self.run_or(statement, statement, values).await
    }

    /// Runs a statement as [`run`](Self::run) does, and `again` if its answer was lost.
    pub async fn run_or(
        self: &Arc<Self>,
        statement: fn(&Statements) -> &String,
        again: fn(&Statements) -> &String,
        values: Vec<Value>,
    ) -> Result<Answer, StoreError> {
        let inner = self.clone();
        let task = tokio::spawn(async move {
            let (statement, again) = (statement(&inner.statements), again(&inner.statements));
            inner.calls.run_or(statement, again, &values).await
        });
        task.await.map_err(interrupted)?
    }

    /// Returns the time for a statement, which is null if the server's clock decides.
    pub fn now(&self) -> Value {
        Value::Time(self.clock.as_ref().map(|clock| Number(clock.now())))
    }

    pub fn check_size(&self, state: &SessionState) -> Result<(), StoreError> {
        match state.size() as u64 > self.max_state_bytes {
            true => Err(StoreError::TooLarge(self.max_state_bytes)),
            false => Ok(()),
        }
    }
}

/// Returns the error of an operation whose task did not end.
pub fn interrupted(error: JoinError) -> StoreError {
    StoreError::Unavailable(format!("the task of the operation did not end: {error}"))
}
