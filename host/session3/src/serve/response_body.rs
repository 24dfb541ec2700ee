//! The body of a response, between the application that writes it and the client that takes
//! it.
//!
//! What fits the buffer frees the instance of the application, however slowly the client
//! takes it. A part that hyper has taken is still watched, until hyper has written it: a client of
//! HTTP/2 decides when it is.

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
use super::pace::{CROWDED_PACE, PACE, Pace};
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
    frames: VecDeque<Held>,
    /// What the frames cost of the memory.
    held: usize,
    /// The number of bytes in the frames.
    length: usize,
    /// The number of bytes that hyper has taken and not written yet.
    taken: usize,
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

/// A frame that hyper has not taken, or the rest of it.
struct Held {
    frame: Frame<Bytes>,
    /// What the whole frame costs of the memory.
    cost: usize,
    share: Option<Share>,
}

/// Bytes that hyper has taken. It drops them when it has written them, or when the client does not
/// want the response any more.
struct Taken {
    data: Bytes,
    state: Arc<Mutex<State>>,
    /// The share of the memory, if these are the last bytes of their frame.
    _share: Share,
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
        taken: 0,
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
        let Some(last) = self.frames.back_mut() else {
            return true;
        };
        if last.share.is_none() {
            last.share = buffers.take(last.cost);
        }
        last.share.is_some()
    }

    /// Takes the next frame for hyper, or the first [`PACE`] bytes of it: how the client keeps the
    /// pace is known after each part.
    fn take(&mut self) -> Option<(Frame<Bytes>, Share)> {
        let mut next = self.frames.pop_front()?;
        let taken = match next.frame.data_mut() {
            Some(data) if data.len() > PACE as usize => {
                let first = Frame::data(data.split_to(PACE as usize));
                self.frames.push_front(next);
                (first, Share::default())
            }
            _ => {
                self.held -= next.cost;
                (next.frame, next.share.unwrap_or_default())
            }
        };
        let size = size(&taken.0);
        self.length -= size;
        self.taken += size;
        Some(taken)
    }

    /// Notes that hyper has written bytes, or drops them.
    fn give_back(&mut self, bytes: usize) {
        self.taken -= bytes;
        self.pace.note(bytes as u64);
        if self.frames.is_empty() && self.taken == 0 {
            self.pace.settle();
        }
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
        let cost = cost(size);
        state.held += cost;
        state.length += size;
        state.frames.push_back(Held {
            frame,
            cost,
            share: self.buffers.take(cost),
        });
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
    /// Returns whether something of the body may be left.
    pub fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Returns whether the client stalls, or `None` once the body was written or dropped. The
    /// client has less time if there is little memory for more bodies.
    pub fn is_stalled(&self, is_crowded: bool) -> Option<bool> {
        let state = self.0.upgrade()?;
        let state = state.lock();
        if state.is_abandoned && state.taken == 0 {
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
        let Some((frame, share)) = state.take() else {
            return match state.end {
                Some(true) => Poll::Ready(None),
                Some(false) => Poll::Ready(Some(Err(Error::HttpResponseIncomplete))),
                None => {
                    state.reader = Some(context.waker().clone());
                    Poll::Pending
                }
            };
        };
        self.exchange.note_progress(size(&frame) as u64);
        State::wake(&mut state.writer);
        drop(state);
        let frame = frame.map_data(|data| {
            Bytes::from_owner(Taken {
                data,
                state: self.state.clone(),
                _share: share,
            })
        });
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        let state = self.state.lock();
        state.frames.is_empty() && state.end == Some(true)
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.state.lock();
        let has_trailers = state.frames.iter().any(|held| held.frame.is_trailers());
        match state.end == Some(true) && !has_trailers {
            true => SizeHint::with_exact(state.length as u64),
            false => SizeHint::default(),
        }
    }
}

impl AsRef<[u8]> for Taken {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.state.lock().give_back(self.data.len());
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

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use hyper::Version;
    use tokio::sync::watch;
    use tokio::time::{advance, pause};

    use super::super::ServeOptions;
    use super::super::connection::{Connection, Timeouts};
    use super::*;

    const PERIOD: Duration = Duration::from_secs(10);

    /// Returns the body of a response whose application has written `sizes`, and how it is
    /// watched.
    fn written(sizes: &[usize], buffers: &Buffers) -> (ResponseBody, BodyWatch) {
        let timeouts = Timeouts::new(&ServeOptions::default());
        let connection = Connection::new(timeouts, watch::channel(()).1);
        let request = connection.begin_request(Version::HTTP_2);
        let limits = (PERIOD, 100 * PERIOD);
        let (writer, body) = response_body(buffers, Exchange::default(), request, limits);
        for size in sizes {
            writer.push(Frame::data(vec![b'x'; *size].into()));
        }
        writer.end(true);
        let watch = BodyWatch(Arc::downgrade(&body.state));
        (body, watch)
    }

    /// Takes the next part, as hyper does.
    fn take(body: &mut ResponseBody) -> Option<Bytes> {
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(body).poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
            _ => None,
        }
    }

    #[tokio::test]
    async fn a_client_has_to_take_what_hyper_holds_however_little_that_is() {
        pause();
        let buffers = Buffers::new(1000);
        let (mut body, watch) = written(&[4], &buffers);
        let held = take(&mut body).expect("a part");
        // hyper drops a body that it has taken whole.
        drop(body);
        assert_eq!(watch.is_stalled(false), Some(false));
        assert!(buffers.take(900).is_none(), "hyper holds some memory");
        advance(PERIOD).await;
        assert_eq!(watch.is_stalled(false), Some(true));
        drop(held);
        assert_eq!(watch.is_stalled(false), None);
        assert!(buffers.take(1000).is_some());
    }

    #[tokio::test]
    async fn each_part_that_a_client_takes_earns_it_time() {
        pause();
        let buffers = Buffers::new(1 << 20);
        let length = 5 * PACE as usize + 1;
        let (mut body, watch) = written(&[length, 1], &buffers);
        assert_eq!(body.size_hint().exact(), Some(length as u64 + 1));
        for left in (1..=5).rev() {
            advance(PERIOD - Duration::from_secs(1)).await;
            assert_eq!(watch.is_stalled(false), Some(false));
            let part = take(&mut body).expect("a part");
            assert_eq!(part.len(), PACE as usize);
            let rest = (left - 1) * PACE + 2;
            assert_eq!(body.size_hint().exact(), Some(rest));
        }
        assert_eq!(take(&mut body).expect("a part").len(), 1);
        assert_eq!(take(&mut body).expect("a part").len(), 1);
        assert!(take(&mut body).is_none() && body.is_end_stream());
        // It owes nothing.
        advance(10 * PERIOD).await;
        assert_eq!(watch.is_stalled(false), Some(false));
        assert!(buffers.take(1 << 20).is_some());
    }
}
