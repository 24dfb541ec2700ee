//! The lock that orders the exclusive requests for one session.

use std::any::Any;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::AbortHandle;

use crate::mutex::open;

/// Held until it is dropped or its time is over.
pub struct SessionLock {
    guard: Arc<Guard>,
    timer: AbortHandle,
}

/// What gives the lock back when it is dropped.
type Guard = Mutex<Option<Box<dyn Any + Send>>>;

impl SessionLock {
    /// A lock that ends when `guard` is dropped, after `time` at the latest.
    pub fn new(guard: impl Send + 'static, time: Duration) -> Self {
        let guard: Arc<Guard> = Arc::new(Mutex::new(Some(Box::new(guard))));
        let timed = guard.clone();
        let timer = tokio::spawn(async move {
            tokio::time::sleep(time).await;
            open(&timed).take();
        });
        Self {
            guard,
            timer: timer.abort_handle(),
        }
    }

    /// Whether its time is not over.
    pub fn is_held(&self) -> bool {
        open(&self.guard).is_some()
    }
}

impl Drop for SessionLock {
    fn drop(&mut self) {
        self.timer.abort();
        open(&self.guard).take();
    }
}
