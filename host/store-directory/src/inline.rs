//! Which operations may block the task that calls them.
//!
//! A call to the file system takes microseconds, less than it takes to hand it to another
//! thread. But if the disk stalls, it blocks the thread that makes it. So one thread of the
//! runtime never makes such a call: it serves whatever needs no session, and hands operations
//! to threads that may block.
//!
//! A load of a session that the system has in its memory is no such operation, since it does not
//! wait for the disk.

use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use session3_store::StoreError;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::spawn_blocking;

/// The operations that run in the tasks that call them.
#[derive(Default)]
pub struct Inline {
    running: AtomicUsize,
    /// How many of them may run at a time.
    max: OnceLock<usize>,
}

/// The place of an operation, which is free again when this is dropped.
pub struct InlinePlace<'a>(&'a AtomicUsize);

impl Inline {
    /// Takes a place for an operation, if there is one.
    pub fn take(&self) -> Option<InlinePlace<'_>> {
        let max = match self.max.get() {
            Some(max) => *max,
            None => self.find_max(),
        };
        let place = InlinePlace(&self.running);
        (self.running.fetch_add(1, Relaxed) < max).then_some(place)
    }
}

impl Inline {
    /// Returns how many threads of the runtime may block at a time: all but one. A runtime with
    /// a single thread for all tasks has no other choice than to block it.
    #[cold]
    fn find_max(&self) -> usize {
        match Handle::try_current() {
            Ok(runtime) if runtime.runtime_flavor() != RuntimeFlavor::CurrentThread => {
                let max = runtime.metrics().num_workers() - 1;
                *self.max.get_or_init(|| max)
            }
            _ => usize::MAX,
        }
    }
}

impl Drop for InlinePlace<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Runs an operation on a thread that may block. It runs to its end, even if no task waits for
/// the result any more.
pub async fn on_other_thread<T: Send + 'static>(
    operation: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    blocking(|| Handle::current().block_on(operation)).await
}

/// Does work on a thread that may block. It is done to its end, even if no task waits for the
/// result any more.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        },
    }
}
