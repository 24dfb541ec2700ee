//! A component at work on a request: in the task of the connection, as long as
//! that waits for it; a task of its own, and waking one up from the other, would
//! take longer than many a component does.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::time::error::Elapsed;

/// What it comes to.
pub type Ended = Result<wasmtime::Result<()>, Elapsed>;

/// Work that is done to its end, even when this is dropped before.
pub struct Running {
    /// `None` once it has ended.
    work: Option<Pin<Box<dyn Future<Output = Ended> + Send>>>,
    /// What it came to, until somebody asked.
    ended: Option<Ended>,
}

impl Running {
    /// Not begun yet.
    pub fn new(work: impl Future<Output = Ended> + Send + 'static) -> Self {
        Self {
            work: Some(Box::pin(work)),
            ended: None,
        }
    }

    /// Works on until something else has come that it may bring about.
    pub async fn run_until<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = std::pin::pin!(other);
        poll_fn(|context| {
            self.work(context);
            other.as_mut().poll(context)
        })
        .await
    }

    /// Works on to the end.
    pub async fn end(&mut self) -> Ended {
        poll_fn(|context| self.poll_end(context)).await
    }

    /// Works on; done at the end, for once.
    pub fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        self.work(context);
        match self.ended.take() {
            Some(ended) => Poll::Ready(ended),
            None => Poll::Pending,
        }
    }

    /// Works on as far as it can.
    pub fn work(&mut self, context: &mut Context<'_>) {
        // Taken out meanwhile: what panics is not gone on with.
        let Some(mut work) = self.work.take() else {
            return;
        };
        match work.as_mut().poll(context) {
            Poll::Ready(ended) => self.ended = Some(ended),
            Poll::Pending => self.work = Some(work),
        }
    }

    /// Whether it has ended, and somebody asked what it came to.
    pub fn is_over(&self) -> bool {
        self.work.is_none() && self.ended.is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(work) = self.work.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(work);
        }
    }
}
