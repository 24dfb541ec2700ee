//! Bodies that end as they should: a request's within its limit, a response's
//! only when it is whole.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::task::JoinHandle;
use tokio::time::error::Elapsed;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

/// What the task of a request comes to.
pub type Ended = Result<wasmtime::Result<()>, Elapsed>;

/// A request's body that fails when it gets too long.
pub struct LimitedBody {
    body: Incoming,
    /// Bytes that may still come.
    left: u64,
    is_too_long: Arc<AtomicBool>,
}

impl LimitedBody {
    /// A body, and what tells whether it became too long.
    pub fn new(body: Incoming, max: u64) -> (Self, Arc<AtomicBool>) {
        let is_too_long = Arc::new(AtomicBool::new(false));
        let body = Self {
            body,
            left: max,
            is_too_long: is_too_long.clone(),
        };
        (body, is_too_long)
    }
}

impl Body for LimitedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.is_too_long.load(Ordering::Relaxed) {
            return Poll::Ready(None);
        }
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)?) else {
            return Poll::Ready(None);
        };
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        let Some(left) = self.left.checked_sub(length) else {
            self.is_too_long.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(Error::HttpRequestBodySize(None))));
        };
        self.left = left;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response's body that ends only when the component did: one that trapped,
/// or ran into the time limit, must not look like a whole one to the client.
pub struct WholeBody {
    body: HyperOutgoingBody,
    /// `None` once it has ended.
    task: Option<JoinHandle<Ended>>,
}

impl WholeBody {
    /// The body that this task is writing.
    pub fn new(body: HyperOutgoingBody, task: JoinHandle<Ended>) -> Self {
        let task = Some(task);
        Self { body, task }
    }
}

impl Body for WholeBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)) {
            return Poll::Ready(Some(frame));
        }
        let Some(task) = &mut self.task else {
            return Poll::Ready(None);
        };
        let ended = ready!(Pin::new(task).poll(context));
        self.task = None;
        match ended {
            Ok(Ok(Ok(()))) => Poll::Ready(None),
            _ => Poll::Ready(Some(Err(Error::HttpResponseIncomplete))),
        }
    }
}
