//! What a store and its tasks share.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::Value;
use session3_store::queue::Queues;
use session3_store::{Clock, SessionState, StoreError, Timestamp};
use tokio::task::JoinError;

use crate::call::Calls;
use crate::connector::Connector;
use crate::schema::Schema;
use crate::statements::Statements;

pub struct Inner {
    pub connector: Arc<Connector>,
    pub calls: Calls,
    pub statements: Statements,
    pub schema: Schema,
    pub queues: Queues,
    pub lock_timeout: Duration,
    pub max_state_bytes: u64,
    pub clock: Option<Arc<dyn Clock>>,
}

impl Inner {
    /// Runs an operation in a task of its own, so that it runs to its end although the caller
    /// no longer waits.
    pub async fn spawn<T, F>(
        self: &Arc<Self>,
        operation: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let task = tokio::spawn(operation(self.clone()));
        task.await.map_err(interrupted)?
    }

    /// Returns the time of a given clock, `None` if the server's decides.
    pub fn time(&self) -> Option<Timestamp> {
        self.clock.as_ref().map(|clock| clock.now())
    }

    /// Returns the time for a statement, which has no use for it if the server's clock
    /// decides.
    pub fn now(&self) -> Value {
        self.time().into()
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
