//! Queues of the requests of one process that want the same lock. Each has its turn in the
//! order in which they came, and the others wait without trying.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use crate::SessionId;

/// Wakes its waiters in the order in which they came.
type Queue = tokio::sync::Mutex<()>;

/// The queues that have a request in them, one for each session.
///
/// A store whose locks are elsewhere, in a file or on a server, lets the requests of its
/// process queue here. Only the first one then tries to get the lock.
///
/// ```
/// use std::time::Duration;
///
/// use session3_store::{SessionId, queue::Queues};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (queues, id) = (Queues::default(), SessionId::from(1));
/// let turn = queues.wait(&id, Duration::from_secs(5)).await;
/// assert!(queues.wait(&id, Duration::ZERO).await.is_none());
/// drop(turn);
/// assert!(queues.wait(&id, Duration::ZERO).await.is_some());
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Queues(Arc<Mutex<HashMap<SessionId, Weak<Queue>>>>);

/// The turn of a request, which ends when it is dropped.
pub struct Turn {
    // Dropped before the place, which removes the queue if it is empty then.
    _guard: OwnedMutexGuard<()>,
    _place: Place,
}

/// A place in a queue, which is given up when it is dropped.
struct Place {
    queues: Queues,
    id: SessionId,
    queue: Option<Arc<Queue>>,
}

impl Queues {
    /// Waits for the turn; `None` if that takes longer than `limit`.
    pub async fn wait(&self, id: &SessionId, limit: Duration) -> Option<Turn> {
        let (place, queue) = self.join(id);
        let guard = match queue.clone().try_lock_owned() {
            Ok(guard) => guard,
            Err(_) => timeout(limit, queue.lock_owned()).await.ok()?,
        };
        Some(Turn {
            _guard: guard,
            _place: place,
        })
    }

    fn join(&self, id: &SessionId) -> (Place, Arc<Queue>) {
        let mut queues = self.0.lock();
        let queue = queues.get(id).and_then(Weak::upgrade).unwrap_or_else(|| {
            let queue = Arc::default();
            queues.insert(*id, Arc::downgrade(&queue));
            queue
        });
        let place = Place {
            queues: self.clone(),
            id: *id,
            queue: Some(queue.clone()),
        };
        (place, queue)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queues = self.queues.0.lock();
        drop(self.queue.take());
        let queue = queues.get(&self.id);
        if queue.is_some_and(|queue| queue.strong_count() == 0) {
            queues.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_queue_exists_only_while_a_request_is_in_it() {
        let queues = Queues::default();
        let id = SessionId::from(1);
        let first = queues.wait(&id, LONG).await;
        assert!(queues.wait(&id, Duration::ZERO).await.is_none());
        assert_eq!(queues.0.lock().len(), 1);
        let second = tokio::spawn({
            let queues = queues.clone();
            async move { queues.wait(&id, LONG).await }
        });
        tokio::task::yield_now().await;
        drop(first);
        let second = second.await.expect("no panic");
        assert!(second.is_some());
        drop(second);
        assert!(queues.0.lock().is_empty());
    }
}
