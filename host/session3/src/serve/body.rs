//! Bodies of requests, which are limited in length, and of responses, which end regularly
//! only if they are complete.

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

use super::running::RunningGuest;

/// How long the rest of a request's body is read and dropped when the application does not
/// read it.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// The body of a request, which fails when it exceeds its limit.
pub struct LimitedBody {
    /// `None` only while this value is dropped.
    body: Option<Incoming>,
    /// The number of bytes that may still follow.
    remaining: u64,
    is_too_long: Arc<AtomicBool>,
    /// Whether the client sends the body. With the header `Expect: 100-continue`, it
    /// waits until the body is read for the first time.
    is_client_sending: bool,
}

impl LimitedBody {
    /// Limits the body of a request to `max` bytes.
    pub fn limit(request: Request<Incoming>, max: u64) -> Request<Self> {
        let is_client_sending = !request.headers().contains_key(EXPECT);
        request.map(|body| Self {
            body: Some(body),
            remaining: max,
            is_too_long: Arc::default(),
            is_client_sending,
        })
    }

    /// Returns whether the body is known to exceed the limit, from the length that the
    /// client announced.
    pub fn will_be_too_long(&self) -> bool {
        self.size_hint().lower() > self.remaining
    }

    /// Returns a flag that is set when the body exceeds the limit. It stays valid after
    /// the body is dropped.
    pub fn is_too_long(&self) -> Arc<AtomicBool> {
        self.is_too_long.clone()
    }
}

impl Drop for LimitedBody {
    /// Continues to read the body for a while. If the connection were closed while the
    /// client still sends, it would be reset, and the client could lose the response
    /// (RFC 9112 §9.6).
    fn drop(&mut self) {
        let Some(mut body) = self.body.take() else {
            return;
        };
        if body.is_end_stream() || !self.is_client_sending {
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
        self.is_client_sending = true;
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let Some(frame) = ready!(Pin::new(body).poll_frame(context)?) else {
            return Poll::Ready(None);
        };
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        let Some(remaining) = self.remaining.checked_sub(length) else {
            self.is_too_long.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(Error::HttpRequestBodySize(None))));
        };
        self.remaining = remaining;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

/// The body of a response, which ends only after the guest has ended, and fails if the
/// guest trapped or exceeded the time limit: an incomplete body must not look complete to
/// the client.
pub struct WholeBody {
    body: HyperOutgoingBody,
    running: RunningGuest,
}

impl WholeBody {
    /// Wraps the body that this guest is writing.
    pub fn new(body: HyperOutgoingBody, running: RunningGuest) -> Self {
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
        if self.running.is_outcome_taken() {
            return Poll::Ready(None);
        }
        self.running.poll_guest(context);
        if let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)) {
            return Poll::Ready(Some(frame));
        }
        match ready!(self.running.poll_outcome(context)) {
            Ok(Ok(())) => Poll::Ready(None),
            _ => Poll::Ready(Some(Err(Error::HttpResponseIncomplete))),
        }
    }
}

/// The body of a response, which sends a message when all of it was taken. If it is dropped
/// earlier, the receiver gets an error.
pub struct SentBody {
    body: HyperOutgoingBody,
    /// `None` once the message was sent.
    sent_sender: Option<oneshot::Sender<()>>,
}

impl SentBody {
    /// Wraps a body, whose end is reported to `sent_sender`.
    pub fn new(body: HyperOutgoingBody, sent_sender: oneshot::Sender<()>) -> Self {
        let sent_sender = Some(sent_sender);
        Self { body, sent_sender }
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
            && let Some(sent_sender) = self.sent_sender.take()
        {
            // The receiver may have been dropped.
            let _ = sent_sender.send(());
        }
        Poll::Ready(frame)
    }
}
