//! An application that serves a request.
//!
//! Until it has sent the head of its response, it is polled in the task of its connection:
//! to spawn a task for it, and to wake one task from the other, would take longer than many
//! applications run. After that, it is polled in a task of its own, unless it has ended, so
//! that it does not depend on how its client takes the response.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Bytes};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tracing::{Instrument, Span};
use wasmtime_wasi_http::Error;

use crate::text::escaped;

use super::failure::cut_off;
use super::response_body::BodyWriter;
use super::time_limit::{Exchange, Late, TimeLimit};
use super::turns::Turn;

/// The place of a request among those that run, and among those that run or wait. It is held
/// until the response does not need them any more.
pub type Permits = (OwnedSemaphorePermit, Admission);

/// The place of a request among those that run or wait.
pub struct Admission {
    _permit: OwnedSemaphorePermit,
    _end: RequestsEnd,
}

/// What the end of a server waits for: until each clone is dropped.
pub type RequestsEnd = watch::Receiver<()>;

impl Admission {
    /// Admits a request, for which the end of its server waits.
    pub fn new(permit: OwnedSemaphorePermit, end: RequestsEnd) -> Self {
        Self {
            _permit: permit,
            _end: end,
        }
    }
}

/// How an application ended by itself: whether it trapped. Its places come back.
pub type Ended = (wasmtime::Result<()>, Permits);

/// How an application ended.
pub type Outcome = Result<Ended, Late>;

/// An application that serves a request, within its time limit. If this is dropped before
/// the application has ended, the application continues in a task of its own.
pub struct Running {
    /// `None` once the application has ended.
    limited: Option<Limited>,
    /// The span of the request, for what the application prints.
    span: Span,
    /// The outcome, until it is taken.
    outcome: Option<Outcome>,
}

/// A future with a time limit, and with its share of the processors.
struct Limited {
    work: Pin<Box<dyn Future<Output = Ended> + Send>>,
    limit: TimeLimit,
    turn: Turn,
}

impl Future for Limited {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let Self { work, limit, turn } = &mut *self;
        limit.go_on();
        match turn.poll(context, |context| work.as_mut().poll(context)) {
            Poll::Ready(ended) => Poll::Ready(Ok(ended)),
            Poll::Pending => limit.poll_late(context).map(Err),
        }
    }
}

impl Running {
    /// Wraps the future of an application, without polling it.
    pub fn new(
        work: impl Future<Output = Ended> + Send + 'static,
        limit: TimeLimit,
        turn: Turn,
    ) -> Self {
        let work = Box::pin(work);
        Self {
            limited: Some(Limited { work, limit, turn }),
            span: Span::current(),
            outcome: None,
        }
    }

    /// Drives the application until another future is ready, and returns the output of that
    /// one.
    pub async fn run_until<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = std::pin::pin!(other);
        poll_fn(|context| {
            self.poll(context);
            other.as_mut().poll(context)
        })
        .await
    }

    /// Drives the application to its end, and returns its outcome. This may be called once.
    pub async fn finish(&mut self) -> Outcome {
        poll_fn(|context| {
            self.poll(context);
            self.outcome.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Drives the application as far as it can run without waiting.
    fn poll(&mut self, context: &mut Context<'_>) {
        // Taken out while it is polled: an application that panics must not be polled again.
        let Some(mut limited) = self.limited.take() else {
            return;
        };
        let _entered = self.span.enter();
        match Pin::new(&mut limited).poll(context) {
            Poll::Ready(outcome) => self.outcome = Some(outcome),
            Poll::Pending => self.limited = Some(limited),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(limited) = self.limited.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(limited.instrument(self.span.clone()));
        }
    }
}

/// An application that writes the body of its response. This moves the body into the buffer
/// of the client, and ends when the application has ended and its places are not needed any
/// more.
pub struct Writing {
    running: Running,
    /// What the application writes; `None` after its end.
    body: Option<UnsyncBoxBody<Bytes, Error>>,
    writer: BodyWriter,
    exchange: Exchange,
    /// Whether the body is incomplete.
    has_failed: bool,
    /// The places of an application that has ended.
    permits: Option<Permits>,
}

impl Writing {
    /// Begins to move the body that a running application writes.
    pub fn new(
        running: Running,
        body: UnsyncBoxBody<Bytes, Error>,
        writer: BodyWriter,
        exchange: Exchange,
    ) -> Self {
        Self {
            running,
            body: Some(body),
            writer,
            exchange,
            has_failed: false,
            permits: None,
        }
    }

    /// Moves what can be moved now, and leaves the rest to a task of its own.
    pub async fn begin(mut self) {
        let is_done = poll_fn(|context| Poll::Ready(Pin::new(&mut self).poll(context).is_ready()));
        if !is_done.await {
            tokio::spawn(self);
        }
    }

    /// Moves the frames that the application has written. Returns whether there were any.
    fn move_frames(&mut self, context: &mut Context<'_>) -> bool {
        let mut has_moved = false;
        while let Some(body) = &mut self.body {
            let has_room = self.writer.poll_room(context).is_ready();
            self.exchange.wait_for_room(!has_room);
            if !has_room {
                break;
            }
            if self.writer.is_abandoned() {
                // The application learns that its client is gone.
                self.body = None;
                return true;
            }
            match Pin::new(body).poll_frame(context) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(frame))) => self.writer.push(frame),
                Poll::Ready(Some(Err(_))) => {
                    (self.has_failed, self.body) = (true, None);
                }
                Poll::Ready(None) => self.body = None,
            }
            has_moved = true;
        }
        has_moved
    }

    /// Takes the outcome of an application that has ended.
    fn take_outcome(&mut self) {
        let _entered = self.running.span.clone().entered();
        match self.running.outcome.take() {
            Some(Ok((Ok(()), permits))) => self.permits = Some(permits),
            Some(Ok((Err(error), permits))) => {
                self.cut_off(&escaped(&error.root_cause().to_string()));
                self.permits = Some(permits);
            }
            Some(Err(late)) => self.cut_off(&late.to_string()),
            None => {}
        }
    }

    /// Notes that the application did not end its response.
    fn cut_off(&mut self, why: &str) {
        cut_off("a response", why);
        self.has_failed = true;
    }
}

impl Future for Writing {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            self.running.poll(context);
            if !self.move_frames(context) {
                break;
            }
        }
        self.take_outcome();
        // An application that has ended may have passed on the body of its request.
        if self.running.limited.is_some() || (self.body.is_some() && !self.has_failed) {
            return Poll::Pending;
        }
        self.writer.end(!self.has_failed);
        self.writer.poll_shared(context)
    }
}
