//! The body of a response.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use crate::call::Call;
use crate::error::OutboundError;
use crate::failure;

/// The body of a response as it arrives. It is not held in memory, and the server waits while
/// it is not read. Dropping it early closes the connection, or with HTTP/2 the stream.
pub struct ResponseBody {
    /// `None` after the end, so that the request is no longer under way.
    open: Option<Open>,
    between_bytes: Duration,
}

struct Open {
    incoming: Incoming,
    /// Runs while the server is waited for.
    timer: Option<Pin<Box<Sleep>>>,
    call: Arc<Call>,
}

impl ResponseBody {
    pub(crate) fn new(incoming: Incoming, between_bytes: Duration, call: Arc<Call>) -> Self {
        let has_body = !incoming.is_end_stream();
        Self {
            open: has_body.then_some(Open {
                incoming,
                timer: None,
                call,
            }),
            between_bytes,
        }
    }
}

impl Open {
    /// Polls for the next frame. The time limit counts from the first poll that found none: the
    /// time that the application takes is not the server's.
    fn poll(
        &mut self,
        between_bytes: Duration,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OutboundError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(context) {
            self.timer = None;
            let failed = |error| {
                let call = &self.call;
                call.cause(|| failure::of_response(&call.target, error))
            };
            return Poll::Ready(frame.map(|frame| frame.map_err(failed)));
        }
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep(between_bytes)));
        ready!(timer.as_mut().poll(context));
        let error = OutboundError::BetweenBytesTimeout(self.call.target.clone());
        Poll::Ready(Some(Err(error)))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = OutboundError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OutboundError>>> {
        let this = self.get_mut();
        let Some(open) = &mut this.open else {
            return Poll::Ready(None);
        };
        let frame = ready!(open.poll(this.between_bytes, context));
        if !matches!(frame, Some(Ok(_))) {
            this.open = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.open
            .as_ref()
            .is_none_or(|open| open.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.open {
            Some(open) => open.incoming.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_open = self.open.is_some();
        f.debug_struct("ResponseBody")
            .field("is_open", &is_open)
            .finish()
    }
}
