//! The order of this process's exclusive requests for one session. Only the first of them asks
//! the server, so that the others need not ask repeatedly.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use session3_store::SessionId;
use tokio::sync::OwnedMutexGuard;

/// The place at the head of a queue, which ends when this value is dropped.
pub type Turn = OwnedMutexGuard<()>;

/// A queue for each session that a request holds or waits for.
#[derive(Default)]
pub struct Queues(Mutex<HashMap<SessionId, Weak<tokio::sync::Mutex<()>>>>);

impl Queues {
    /// Waits for the head of the queue of a session.
    pub async fn wait(&self, id: &SessionId) -> Turn {
        self.queue(id).lock_owned().await
    }

    fn queue(&self, id: &SessionId) -> Arc<tokio::sync::Mutex<()>> {
        let mut queues = self.0.lock();
        if let Some(queue) = queues.get(id).and_then(Weak::upgrade) {
            return queue;
        }
        // Forgetting all unused queues only when the map grows keeps this constant on average.
        if queues.len() == queues.capacity() {
            queues.retain(|_, queue| queue.strong_count() > 0);
        }
        let queue = Arc::default();
        queues.insert(*id, Arc::downgrade(&queue));
        queue
    }
}
