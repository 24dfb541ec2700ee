//! The execution of a component for one request.
//!
//! The guest is polled in the task of its connection, as long as that task waits for it:
//! to spawn a task for the guest, and to wake one task from the other, would take longer
//! than many guests run.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::time::error::Elapsed;

/// How a guest ended: whether it trapped, or exceeded the time limit.
pub type Outcome = Result<wasmtime::Result<()>, Elapsed>;

/// A guest that serves a request. If this is dropped before the guest has ended, the guest
/// continues in a task of its own.
pub struct RunningGuest {
    /// `None` once the guest has ended.
    guest: Option<Pin<Box<dyn Future<Output = Outcome> + Send>>>,
    /// The outcome of a guest that has ended, until [`poll_outcome`](Self::poll_outcome)
    /// returns it.
    outcome: Option<Outcome>,
}

impl RunningGuest {
    /// Wraps the future of a guest, without polling it.
    pub fn new(guest: impl Future<Output = Outcome> + Send + 'static) -> Self {
        Self {
            guest: Some(Box::pin(guest)),
            outcome: None,
        }
    }

    /// Drives the guest until another future is ready, and returns the output of that one.
    pub async fn run_until<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = std::pin::pin!(other);
        poll_fn(|context| {
            self.poll_guest(context);
            other.as_mut().poll(context)
        })
        .await
    }

    /// Drives the guest to its end, and returns its outcome.
    pub async fn finish(&mut self) -> Outcome {
        poll_fn(|context| self.poll_outcome(context)).await
    }

    /// Drives the guest, and returns its outcome once it has ended. The outcome is
    /// returned only once; later calls are pending for ever.
    pub fn poll_outcome(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        self.poll_guest(context);
        match self.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }

    /// Drives the guest as far as it can run without waiting.
    pub fn poll_guest(&mut self, context: &mut Context<'_>) {
        // Taken out while it is polled: a guest that panics must not be polled again.
        let Some(mut guest) = self.guest.take() else {
            return;
        };
        match guest.as_mut().poll(context) {
            Poll::Ready(outcome) => self.outcome = Some(outcome),
            Poll::Pending => self.guest = Some(guest),
        }
    }

    /// Returns whether the guest has ended, and its outcome was returned.
    pub fn is_outcome_taken(&self) -> bool {
        self.guest.is_none() && self.outcome.is_none()
    }
}

impl Drop for RunningGuest {
    fn drop(&mut self) {
        if let Some(guest) = self.guest.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(guest);
        }
    }
}
