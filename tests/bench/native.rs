//! The directory store, called natively.

use std::hint::black_box;
use std::time::{Duration, Instant};

use session3_store::{SessionState, SessionStore, StoreError};
use session3_store_directory::{DirectoryStore, Options};
use tokio::runtime::Runtime;

use crate::operations::{Contestant, Operation};
use crate::sessions::{Sessions, id, is_old, state};

/// A directory store as a contestant.
pub struct Native<'a> {
    runtime: &'a Runtime,
    store: DirectoryStore,
    sessions: &'a Sessions,
    states: [SessionState; 2],
}

impl<'a> Native<'a> {
    /// Opens the store of these sessions. `user` becomes the user of every state that is written.
    pub fn new(
        runtime: &'a Runtime,
        sessions: &'a Sessions,
        options: Options,
        user: Option<String>,
    ) -> Self {
        let state_of = |is_old| SessionState {
            user: user.clone(),
            ..state(is_old)
        };
        Self {
            runtime,
            store: DirectoryStore::open(&sessions.directory, options).unwrap(),
            sessions,
            states: [false, true].map(state_of),
        }
    }

    async fn perform(&self, operation: Operation, number: u64) -> Result<(), StoreError> {
        let Self { store, .. } = self;
        let (id, state) = (id(number), &self.states[usize::from(is_old(number))]);
        match operation {
            Operation::Create => {
                store.create_session(&id, state).await?;
            }
            Operation::Load => {
                black_box(store.load_session(&id).await?.unwrap());
            }
            Operation::Save => {
                let version = self.version(number);
                let version = store.save_session(&id, state, version).await?;
                self.sessions.versions.borrow_mut()[number as usize] = version;
            }
            Operation::Touch => {
                let version = self.version(number);
                store.touch_session(&id, state.expires, version).await?;
            }
            Operation::Delete => assert!(store.delete_session(&id).await?),
        }
        Ok(())
    }

    fn version(&self, number: u64) -> u64 {
        self.sessions.versions.borrow()[number as usize]
    }
}

impl Contestant for Native<'_> {
    fn can(&self, _: Operation) -> bool {
        true
    }

    fn run(&mut self, operation: Operation, numbers: &[u64]) -> Duration {
        self.runtime.block_on(async {
            let start = Instant::now();
            for number in numbers {
                self.perform(operation, *number).await.unwrap();
            }
            start.elapsed()
        })
    }
}
