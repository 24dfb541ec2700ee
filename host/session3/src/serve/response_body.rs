//! The body of a response, between the application that writes it and the client that takes
//! it.
//!
//! What fits the buffer frees the instance of the application, however slowly the client
//! takes it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;
use wasmtime_wasi_http::Error;

use super::buffers::{Buffers, Share, cost};
use super::connection::RequestInFlight;
use super::pace::{CROWDED_PACE, Pace};
use super::time_limit::Exchange;

/// How much of a response the server holds for its client, in bytes. The last frame may
/// exceed this.
pub const MAX_HELD: usize = 1 << 20;

/// The writer's end of a body.
pub struct BodyWriter {
    state: Arc<Mutex<State>>,
    buffers: Buffers,
}

/// The body as hyper takes it. It ends regularly only if the application has ended
/// regularly: an incomplete body must not look complete to the client.
pub struct ResponseBody {
    state: Arc<Mutex<State>>,
    exchange: Exchange,
    /// The request has its whole response when this is dropped.
    request: RequestInFlight,
}

/// The view of a body for those who watch its client.
#[derive(Clone)]
pub struct BodyWatch(Weak<Mutex<State>>);

struct State {
    /// Only the last one may have no share of the memory.
    frames: VecDeque<(Frame<Bytes>, Option<Share>)>,
    /// What the frames cost of the memory.
    held: usize,
    /// The number of bytes in the frames.
    length: usize,
    /// Whether the body is complete; `None` before its end.
    end: Option<bool>,
    /// Whether the client does not take the rest.
    is_abandoned: bool,
    pace: Pace,
    /// When the whole response has to be taken.
    deadline: Instant,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Creates the body of the response to a request, which the connection watches. A client that
/// takes fewer than [`PACE`](super::pace::PACE) bytes in
/// `pace` stalls, and so does one that has not taken all in `limit`.
pub fn response_body(
    buffers: &Buffers,
    exchange: Exchange,
    request: RequestInFlight,
    (pace, limit): (Duration, Duration),
) -> (BodyWriter, ResponseBody) {
    let state = State {
        frames: VecDeque::new(),
        held: 0,
        length: 0,
        end: None,
        is_abandoned: false,
        pace: Pace::new(pace),
        deadline: Instant::now() + limit,
        reader: None,
        writer: None,
    };
    let state = Arc::new(Mutex::new(state));
    let writer = BodyWriter {
        state: state.clone(),
        buffers: buffers.clone(),
    };
    let body = ResponseBody {
        state,
        exchange,
        request,
    };
    body.request
        .connection()
        .watch(BodyWatch(Arc::downgrade(&body.state)));
    (writer, body)
}

impl State {
    /// Returns whether there is room for a frame. One frame always fits.
    fn has_room(&mut self, buffers: &Buffers) -> bool {
        self.frames.is_empty() || (self.held < MAX_HELD && self.is_shared(buffers))
    }

    /// Returns whether all frames have their share of the memory, which the last one may get
    /// now.
    fn is_shared(&mut self, buffers: &Buffers) -> bool {
        let Some((frame, share)) = self.frames.back_mut() else {
            return true;
        };
        if share.is_none() {
            *share = buffers.take(cost(size(frame)));
        }
        share.is_some()
    }

    fn wake(waker: &mut Option<Waker>) {
        if let Some(waker) = waker.take() {
            waker.wake();
        }
    }
}

impl BodyWriter {
    /// Waits for room for a frame.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        // Also with room, the writer has to learn that the client is gone.
        state.writer = Some(context.waker().clone());
        match state.has_room(&self.buffers) || state.is_abandoned {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Waits until the server may hold all frames without the instance of the application.
    pub fn poll_shared(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.is_abandoned || state.is_shared(&self.buffers) {
            return Poll::Ready(());
        }
        state.writer = Some(context.waker().clone());
        Poll::Pending
    }

    /// Returns whether the client does not take the rest.
    pub fn is_abandoned(&self) -> bool {
        self.state.lock().is_abandoned
    }

    /// Adds a frame.
    pub fn push(&self, frame: Frame<Bytes>) {
        let mut state = self.state.lock();
        let size = size(&frame);
        let is_empty = frame.is_data() && size == 0;
        if state.is_abandoned || is_empty {
            return;
        }
        state.held += cost(size);
        state.length += size;
        state
            .frames
            .push_back((frame, self.buffers.take(cost(size))));
        state.pace.wait();
        State::wake(&mut state.reader);
    }

    /// Ends the body, which is complete or not.
    pub fn end(&self, is_complete: bool) {
        let mut state = self.state.lock();
        state.end.get_or_insert(is_complete);
        State::wake(&mut state.reader);
    }
}

impl Drop for BodyWriter {
    /// Without an end so far, the body is not complete.
    fn drop(&mut self) {
        self.end(false);
    }
}

/// Returns the number of bytes in a frame.
fn size(frame: &Frame<Bytes>) -> usize {
    frame.data_ref().map_or(0, Bytes::len)
}

impl BodyWatch {
    /// Returns whether the client stalls, or `None` once the body was taken or dropped. The
    /// client has less time if there is little memory for more bodies.
    pub fn is_stalled(&self, is_crowded: bool) -> Option<bool> {
        let state = self.0.upgrade()?;
        let state = state.lock();
        if state.is_abandoned {
            return None;
        }
        let is_late = Instant::now() >= state.deadline;
        let is_in_the_way = is_crowded && state.pace.waited() >= CROWDED_PACE;
        Some(is_late || is_in_the_way || state.pace.left().is_none())
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut state = self.state.lock();
        let Some((frame, share)) = state.frames.pop_front() else {
            return match state.end {
                Some(true) => Poll::Ready(None),
                Some(false) => Poll::Ready(Some(Err(Error::HttpResponseIncomplete))),
                None => {
                    state.reader = Some(context.waker().clone());
                    Poll::Pending
                }
            };
        };
        let size = size(&frame);
        state.held -= cost(size);
        state.length -= size;
        state.pace.note(size as u64);
        if state.frames.is_empty() {
            state.pace.settle();
        }
        self.exchange.note_progress(size as u64);
        State::wake(&mut state.writer);
        drop(state);
        let share = share.unwrap_or_default();
        self.request.connection().note_taken(size, share);
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        let state = self.state.lock();
        state.frames.is_empty() && state.end == Some(true)
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.state.lock();
        let has_trailers = state.frames.iter().any(|(frame, _)| frame.is_trailers());
        match state.end == Some(true) && !has_trailers {
            true => SizeHint::with_exact(state.length as u64),
            false => SizeHint::default(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        state.is_abandoned = true;
        state.frames.clear();
        State::wake(&mut state.writer);
    }
}
