//! Bodies that end as they should: a request's within its limit, a response's
//! only when it is whole.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::EXPECT;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use super::running::Running;

/// How long the rest of a body that nobody wants is read.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// A request's body that fails when it gets too long.
pub struct LimitedBody {
    /// `None` only once it is dropped.
    body: Option<Incoming>,
    /// Bytes that may still come.
    left: u64,
    is_too_long: Arc<AtomicBool>,
    /// Whether the client sends it without waiting until it is asked for.
    is_coming: bool,
}

impl LimitedBody {
    /// The same request, whose body may have so many bytes.
    pub fn limit(request: Request<Incoming>, max: u64) -> Request<Self> {
        let is_coming = !request.headers().contains_key(EXPECT);
        request.map(|body| Self {
            body: Some(body),
            left: max,
            is_too_long: Arc::default(),
            is_coming,
        })
    }

    /// Whether it will be too long, when the client said its length.
    pub fn will_be_too_long(&self) -> bool {
        self.size_hint().lower() > self.left
    }

    /// Tells, also later, whether it became too long.
    pub fn is_too_long(&self) -> Arc<AtomicBool> {
        self.is_too_long.clone()
    }
}

impl Drop for LimitedBody {
    /// Reads on for a while: a connection that is closed while the client still
    /// sends is reset, and the response lost with it (RFC 9112 §9.6).
    fn drop(&mut self) {
        let Some(mut body) = self.body.take() else {
            return;
        };
        if body.is_end_stream() || !self.is_coming {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        runtime.spawn(timeout(DRAIN_TIME, async move {
            while let Some(Ok(_)) = body.frame().await {}
        }));
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
        self.is_coming = true;
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let Some(frame) = ready!(Pin::new(body).poll_frame(context)?) else {
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
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

/// A response's body that ends only when the component did: one that trapped,
/// or ran into the time limit, must not look like a whole one to the client.
pub struct WholeBody {
    body: HyperOutgoingBody,
    running: Running,
}

impl WholeBody {
    /// The body that this component is writing.
    pub fn new(body: HyperOutgoingBody, running: Running) -> Self {
        Self { body, running }
    }
}

impl Body for WholeBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.running.is_over() {
            return Poll::Ready(None);
        }
        self.running.work(context);
        if let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)) {
            return Poll::Ready(Some(frame));
        }
        match ready!(self.running.poll_end(context)) {
            Ok(Ok(())) => Poll::Ready(None),
            _ => Poll::Ready(Some(Err(Error::HttpResponseIncomplete))),
        }
    }
}

/// A response's body that tells when all of it was taken; when it is dropped
/// before that, the other end finds out too.
pub struct SentBody {
    body: HyperOutgoingBody,
    tell: Option<oneshot::Sender<()>>,
}

impl SentBody {
    /// Tells this one.
    pub fn new(body: HyperOutgoingBody, tell: oneshot::Sender<()>) -> Self {
        let tell = Some(tell);
        Self { body, tell }
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none()
            && let Some(tell) = self.tell.take()
        {
            // Nobody need want to know.
            let _ = tell.send(());
        }
        Poll::Ready(frame)
    }
}
