//! The lease on a session that an exclusive request holds.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::AbortHandle;

/// A lease on one session, which makes other exclusive requests for it wait.
///
/// The lease ends when this value is dropped, or at its deadline.
pub struct SessionLock {
    guard: Arc<Guard>,
    timer: AbortHandle,
}

/// The store's own lock, which is released by dropping it. `None` once the lease ended.
type Guard = Mutex<Option<Box<dyn Any + Send>>>;

impl SessionLock {
    /// Creates a lease that holds `guard` for `time` at most.
    ///
    /// The store's own lock is released by dropping `guard`. This must be called
    /// within a tokio runtime, which runs the timer of the deadline.
    pub fn new(guard: impl Send + 'static, time: Duration) -> Self {
        let guard: Arc<Guard> = Arc::new(Mutex::new(Some(Box::new(guard))));
        let timed = guard.clone();
        let timer = tokio::spawn(async move {
            tokio::time::sleep(time).await;
            timed.lock().take();
        });
        Self {
            guard,
            timer: timer.abort_handle(),
        }
    }

    /// Returns whether the deadline has not passed yet.
    pub fn is_held(&self) -> bool {
        self.guard.lock().is_some()
    }
}

impl Drop for SessionLock {
    fn drop(&mut self) {
        self.timer.abort();
        self.guard.lock().take();
    }
}
