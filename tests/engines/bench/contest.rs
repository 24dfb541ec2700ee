//! Contestants, which perform the same operations in turn.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session3_store::{Maintenance, SessionId, SessionState, Version};
use tokio::runtime::Handle;

use crate::sessions::{EXPIRES, id, state};

/// An operation of a session store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Creates a session.
    Create,
    /// Loads a session.
    Load,
    /// Replaces the state of a session.
    Save,
    /// Updates the times of a session.
    Touch,
    /// Deletes a session.
    Delete,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Load => "load",
            Self::Save => "save",
            Self::Touch => "touch",
            Self::Delete => "delete",
        })
    }
}

/// A session that an operation uses.
#[derive(Clone, Copy)]
pub struct Use {
    /// The number of the session.
    pub number: u64,
    /// The version of the session, which a save and a touch expect.
    pub version: Version,
}

/// An operation on several sessions, which is timed as a whole.
pub struct Batch {
    /// The operation.
    pub operation: Operation,
    /// How many operations wait at the same time, at most.
    pub tasks: usize,
    /// Whether the sessions have a user.
    pub has_user: bool,
    /// The sessions.
    pub uses: Vec<Use>,
}

/// A store, or a substitute for one, whose operations are measured.
pub trait Contestant {
    /// Returns whether the contestant has this operation.
    fn can(&self, operation: Operation, has_user: bool) -> bool;

    /// Performs a batch, and returns the time that it took.
    fn run(&mut self, batch: &Batch) -> Duration;
}

/// One operation on one session.
pub trait Operate: Send + Sync + 'static {
    /// Performs the operation. `version` is that of the session.
    ///
    /// # Panics
    ///
    /// If the operation fails.
    fn operate(
        &self,
        operation: Operation,
        id: &SessionId,
        state: &SessionState,
        version: Version,
    ) -> impl Future<Output = ()> + Send;
}

/// A contestant in this process.
pub struct Local<O> {
    runtime: Handle,
    operate: Arc<O>,
}

impl<O: Operate> Local<O> {
    /// Creates a contestant whose tasks run on this runtime.
    pub fn new(runtime: &Handle, operate: O) -> Self {
        Self {
            runtime: runtime.clone(),
            operate: Arc::new(operate),
        }
    }
}

impl<O: Operate> Contestant for Local<O> {
    fn can(&self, _: Operation, _: bool) -> bool {
        true
    }

    fn run(&mut self, batch: &Batch) -> Duration {
        let state = Arc::new(state(batch.has_user));
        let operation = batch.operation;
        let share = |task| {
            let share = batch.uses.iter().skip(task).step_by(batch.tasks);
            share.copied().collect()
        };
        let shares: Vec<Vec<Use>> = (0..batch.tasks).map(share).collect();
        self.runtime.block_on(async {
            let start = Instant::now();
            let spawn = |share: Vec<Use>| {
                let (operate, state) = (self.operate.clone(), state.clone());
                tokio::spawn(async move {
                    for Use { number, version } in share {
                        let id = id(number);
                        operate.operate(operation, &id, &state, version).await;
                    }
                })
            };
            let tasks: Vec<_> = shares.into_iter().map(spawn).collect();
            for task in tasks {
                task.await.unwrap();
            }
            start.elapsed()
        })
    }
}

/// A store of session3.
pub struct Ours(pub Arc<dyn Maintenance>);

impl Operate for Ours {
    async fn operate(
        &self,
        operation: Operation,
        id: &SessionId,
        state: &SessionState,
        version: Version,
    ) {
        let store = &self.0;
        match operation {
            Operation::Create => drop(store.create_session(id, state).await.unwrap()),
            Operation::Load => drop(store.load_session(id).await.unwrap().unwrap()),
            Operation::Save => drop(store.save_session(id, state, version).await.unwrap()),
            Operation::Touch => store.touch_session(id, EXPIRES, version).await.unwrap(),
            Operation::Delete => assert!(store.delete_session(id).await.unwrap()),
        }
    }
}
