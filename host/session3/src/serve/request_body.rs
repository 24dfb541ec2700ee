//! The body of a request: limited in length, and in how long the client may take for it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep, timeout};
use wasmtime_wasi_http::Error;

use super::buffers::{Buffers, Share, cost};
use super::pace::{CROWDED_PACE, Pace};
use super::time_limit::Exchange;

/// How long the rest of a request's body is read and dropped when the application does not
/// read it.
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// How much of a body is received before the request gets an instance, in bytes. A client
/// that sends its form slowly occupies none.
const MAX_EARLY: usize = 64 << 10;

/// Why a body is not complete.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// It is longer than its limit.
    TooLong,
    /// The client was too slow.
    TooSlow,
    /// The client closed the connection, or did not follow the protocol.
    Broken,
}

/// The fault of a body, which stays known after the body was dropped.
#[derive(Clone, Default)]
pub struct FaultCell(Arc<AtomicU8>);

impl FaultCell {
    /// Returns the fault, if there is one.
    pub fn get(&self) -> Option<Fault> {
        match self.0.load(Relaxed) {
            0 => None,
            1 => Some(Fault::TooLong),
            2 => Some(Fault::TooSlow),
            _ => Some(Fault::Broken),
        }
    }

    fn set(&self, fault: Fault) {
        let number = match fault {
            Fault::TooLong => 1,
            Fault::TooSlow => 2,
            Fault::Broken => 3,
        };
        self.0.store(number, Relaxed);
    }
}

/// The body of a request.
pub struct RequestBody {
    /// `None` only while this value is dropped.
    body: Option<Incoming>,
    /// What was received and not passed on yet.
    early: VecDeque<(Frame<Bytes>, Share)>,
    /// Whether the body ended behind that.
    has_ended: bool,
    /// The number of bytes that may still be received.
    remaining: u64,
    fault: FaultCell,
    exchange: Exchange,
    buffers: Buffers,
    existence: Arc<()>,
    pace: Pace,
    /// Wakes the task when the client may have been too slow.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether the body was read, upon which a client that waits for `100 Continue` sends it.
    was_read: bool,
    /// Whether the client waits for that.
    expects_continue: bool,
}

impl RequestBody {
    /// Limits the body of a request to `max` bytes. A client that sends fewer than
    /// [`PACE`](super::pace::PACE) bytes in `time` is too slow.
    pub fn limit(
        request: Request<Incoming>,
        max: u64,
        time: Duration,
        buffers: &Buffers,
    ) -> Request<Self> {
        let expects_continue = request.headers().contains_key(hyper::header::EXPECT);
        request.map(|body| Self {
            has_ended: body.is_end_stream(),
            body: Some(body),
            early: VecDeque::new(),
            remaining: max,
            fault: FaultCell::default(),
            exchange: Exchange::default(),
            buffers: buffers.clone(),
            existence: Arc::default(),
            pace: Pace::new(time),
            timer: None,
            was_read: false,
            expects_continue,
        })
    }

    /// Returns whether the body is known to exceed the limit, from the length that the
    /// client announced.
    pub fn will_be_too_long(&self) -> bool {
        let body = self.body.as_ref().map(Body::size_hint).unwrap_or_default();
        body.lower() > self.remaining
    }

    /// Returns the fault of the body, now and later.
    pub fn fault(&self) -> FaultCell {
        self.fault.clone()
    }

    /// Returns a handle that tells whether this body still exists.
    pub fn existence(&self) -> Weak<()> {
        Arc::downgrade(&self.existence)
    }

    /// Returns where this body notes that the application waits for it.
    pub fn exchange(&self) -> Exchange {
        self.exchange.clone()
    }

    /// Receives the beginning of the body, or all of it if it is small and there is room in
    /// the buffers.
    ///
    /// # Errors
    ///
    /// The fault of the body.
    pub async fn receive_beginning(&mut self) -> Result<(), Fault> {
        let mut length = 0;
        while length < MAX_EARLY && !self.has_ended {
            let frame = poll_fn(|context| self.poll_receive(context)).await;
            let Some(Ok(frame)) = frame else {
                break;
            };
            let cost = cost(frame.data_ref().map_or(0, Bytes::len));
            length += cost;
            let share = self.buffers.take(cost);
            let is_full = share.is_none();
            self.early.push_back((frame, share.unwrap_or_default()));
            if is_full {
                break;
            }
        }
        self.fault.get().map_or(Ok(()), Err)
    }

    /// Receives a frame of the body.
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(body) = self.body.as_mut().filter(|_| !self.has_ended) else {
            return Poll::Ready(None);
        };
        self.was_read = true;
        let polled = Pin::new(body).poll_frame(context);
        if polled.is_ready() {
            self.pace.stop_waiting();
        }
        match polled {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(self.count(frame))),
            Poll::Ready(Some(Err(error))) => {
                self.fail(Fault::Broken);
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                self.has_ended = true;
                Poll::Ready(None)
            }
            Poll::Pending => self.poll_too_slow(context).map(Some),
        }
    }

    /// Counts the bytes of a frame.
    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.pace.note(length);
        self.exchange.note_progress(length);
        let Some(remaining) = self.remaining.checked_sub(length) else {
            self.fail(Fault::TooLong);
            return Err(Error::HttpRequestBodySize(None));
        };
        self.remaining = remaining;
        Ok(frame)
    }

    /// Returns an error once the client was too slow.
    fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<Result<Frame<Bytes>, Error>> {
        self.pace.wait();
        while let Some(left) = self.pace.left() {
            let is_crowded = self.buffers.are_crowded();
            if is_crowded && self.pace.waited() >= CROWDED_PACE {
                break;
            }
            let timer = self.timer.insert(Box::pin(sleep(left.min(CROWDED_PACE))));
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
        self.fail(Fault::TooSlow);
        Poll::Ready(Err(Error::ConnectionReadTimeout))
    }

    fn fail(&mut self, fault: Fault) {
        self.fault.set(fault);
        self.has_ended = true;
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some((frame, _)) = self.early.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        let frame = self.poll_receive(context);
        self.exchange.wait_for_request(frame.is_pending());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.early.is_empty() && self.has_ended
    }

    /// Returns how long the rest is. The application of WASI gets no hint that it could use,
    /// so this only has to be right.
    fn size_hint(&self) -> SizeHint {
        match self.is_end_stream() {
            true => SizeHint::with_exact(0),
            false => SizeHint::default(),
        }
    }
}

impl Drop for RequestBody {
    /// Continues to read the body for a while. If the connection were closed while the
    /// client still sends, it would be reset, and the client could lose the response
    /// (RFC 9112 §9.6).
    fn drop(&mut self) {
        self.exchange.wait_for_request(false);
        let Some(mut body) = self.body.take() else {
            return;
        };
        let is_sending = self.was_read || !self.expects_continue;
        let is_received = self.has_ended && self.fault.get().is_none();
        let is_too_slow = self.fault.get() == Some(Fault::TooSlow);
        if body.is_end_stream() || is_received || !is_sending || is_too_slow {
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
