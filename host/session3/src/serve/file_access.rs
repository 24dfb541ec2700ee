//! How much a server does with its static files at a time.
//!
//! Work on a file takes a thread until the file system answers, and nothing can take the thread
//! back. The runtime has few hundreds of them, which the store of the sessions and the files of
//! the application need, too.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

/// How many static files are looked up or read at a time.
const MAX_FILE_THREADS: usize = 64;
/// How many static files may be open at a time, beside those that are looked up. A file that fits
/// the buffer of its client is closed at once.
const MAX_OPEN_FILES: usize = 1024;

/// The limits for the static files of a server.
pub struct FileAccess {
    /// One permit for each thread that may work on a file.
    threads: Arc<Semaphore>,
    /// One permit for each file that may stay open.
    open_files: Arc<Semaphore>,
    limit: Duration,
}

impl FileAccess {
    /// Creates the limits. Each piece of work on a file may take `limit`.
    pub fn new(limit: Duration) -> Self {
        Self {
            threads: Arc::new(Semaphore::new(MAX_FILE_THREADS)),
            open_files: Arc::new(Semaphore::new(MAX_OPEN_FILES)),
            limit,
        }
    }

    /// Does work on a file, and returns its result; `None` if that takes longer than the time
    /// limit, with the time in which the work waits for a thread. The work then goes on until its
    /// file system answers, and counts among the work that is done at a time until then.
    pub async fn work<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let deadline = Instant::now() + self.limit;
        let thread = self.threads.clone().acquire_owned();
        let thread = timeout_at(deadline, thread).await.ok()?.ok()?;
        let working = async move {
            let result = work.await;
            drop(thread);
            result
        };
        let working = tokio::spawn(working.in_current_span());
        timeout_at(deadline, working).await.ok()?.ok()
    }

    /// Returns the permit for a file that stays open; `None` if there are too many.
    pub fn try_open(&self) -> Option<OwnedSemaphorePermit> {
        self.open_files.clone().try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;
    use tokio::time::pause;

    use super::*;

    #[tokio::test]
    async fn work_that_does_not_end_keeps_its_thread_and_no_more_than_there_are() {
        pause();
        let access = FileAccess::new(Duration::from_secs(10));
        let mut ends = Vec::new();
        for _ in 0..MAX_FILE_THREADS - 1 {
            let (end, ended) = oneshot::channel::<()>();
            assert!(access.work(ended).await.is_none());
            ends.push(end);
        }
        assert_eq!(access.work(async { 1 }).await, Some(1));
        assert_eq!(access.work(pending::<()>()).await, None);
        let start = Instant::now();
        assert_eq!(access.work(async { 1 }).await, None, "no thread is left");
        // The clock of the runtime counts in milliseconds.
        let waited = start.elapsed().as_secs_f64();
        assert!((10.0..10.1).contains(&waited), "{waited}");
        drop(ends.pop());
        assert_eq!(access.work(async { 1 }).await, Some(1));
    }
}
