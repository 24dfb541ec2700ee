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

use super::buffers::{Buffers, Share};
use super::pace::Pace;
use super::time_limit::Exchange;

/// How much of a response the server holds for its client, in bytes. The last frame may
/// exceed this.
pub const MAX_HELD: usize = 1 << 20;
/// How long a client may take for each [`PACE`](super::pace::PACE) bytes if there is little
/// memory for more bodies.
const CROWDED_PACE: Duration = Duration::from_secs(2);

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
}

/// The view of a body for those who watch its client.
#[derive(Clone)]
pub struct BodyWatch(Weak<Mutex<State>>);

struct State {
    frames: VecDeque<(Frame<Bytes>, Option<Share>)>,
    /// The number of bytes in the frames.
    held: usize,
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

/// Creates a body. A client that takes fewer than [`PACE`](super::pace::PACE) bytes in
/// `pace` stalls, and so does one that has not taken all in `limit`.
pub fn response_body(
    buffers: &Buffers,
    exchange: Exchange,
    pace: Duration,
    limit: Duration,
) -> (BodyWriter, ResponseBody) {
    let state = State {
        frames: VecDeque::new(),
        held: 0,
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
    (writer, ResponseBody { state, exchange })
}

impl State {
    /// Returns whether there is room for a frame. One frame always fits.
    fn has_room(&self) -> bool {
        let is_shared = self.frames.iter().all(|(_, share)| share.is_some());
        self.frames.is_empty() || (self.held < MAX_HELD && is_shared)
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
        if state.has_room() || state.is_abandoned {
            return Poll::Ready(());
        }
        state.writer = Some(context.waker().clone());
        Poll::Pending
    }

    /// Waits until the server may hold all frames without the instance of the application.
    pub fn poll_shared(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.is_abandoned || state.frames.iter().all(|(_, share)| share.is_some()) {
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
        if state.is_abandoned {
            return;
        }
        let size = frame.data_ref().map_or(0, Bytes::len);
        state.held += size;
        state.frames.push_back((frame, self.buffers.take(size)));
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

impl ResponseBody {
    /// Returns the view for those who watch the client.
    pub fn watch(&self) -> BodyWatch {
        BodyWatch(Arc::downgrade(&self.state))
    }
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
        let Some((frame, _)) = state.frames.pop_front() else {
            return match state.end {
                Some(true) => Poll::Ready(None),
                Some(false) => Poll::Ready(Some(Err(Error::HttpResponseIncomplete))),
                None => {
                    state.reader = Some(context.waker().clone());
                    Poll::Pending
                }
            };
        };
        let size = frame.data_ref().map_or(0, Bytes::len);
        state.held -= size;
        state.pace.note(size as u64);
        if state.frames.is_empty() {
            state.pace.stop_waiting();
        }
        self.exchange.note_step();
        State::wake(&mut state.writer);
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
            true => SizeHint::with_exact(state.held as u64),
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
