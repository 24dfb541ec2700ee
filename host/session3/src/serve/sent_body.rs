//! The body of a response of WASI 0.3, whose application learns when it was taken.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Bytes, Frame};
use tokio::sync::oneshot;
use wasmtime_wasi_http::Error;

/// The body of a response, which sends a message when all of it was taken. If it is dropped
/// earlier, the receiver gets an error.
pub struct SentBody {
    body: UnsyncBoxBody<Bytes, Error>,
    /// `None` once the message was sent.
    sent_sender: Option<oneshot::Sender<()>>,
}

impl SentBody {
    /// Wraps a body, whose end is reported to `sent_sender`.
    pub fn new(body: UnsyncBoxBody<Bytes, Error>, sent_sender: oneshot::Sender<()>) -> Self {
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
