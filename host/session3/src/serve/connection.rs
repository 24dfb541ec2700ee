//! A connection with a client: how long it may be idle, and how slow its client may be.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::Version;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use session3_listen::Stream;
use tokio::sync::Notify;
use tokio::time::Instant;
use wasmtime_wasi_http::Error;

use super::ServeOptions;
use super::buffers::Share;
use super::pace::{CROWDED_PACE, Pace};
use super::response_body::BodyWatch;

/// How long an idle connection is kept if there are too many.
const CROWDED_IDLE: Duration = Duration::from_secs(5);
/// The longest time between two checks of a connection.
const MAX_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// How long the clients of a server may take.
#[derive(Clone, Copy)]
pub struct Timeouts {
    header: Duration,
    idle: Duration,
    client: Duration,
    /// How often a connection is checked.
    pub check_interval: Duration,
}

impl Timeouts {
    /// Returns the timeouts of these options.
    pub fn new(options: &ServeOptions) -> Self {
        let (header, idle) = (options.header_timeout, options.idle_timeout);
        let client = options.client_timeout;
        let shortest = header.min(idle).min(client) / 4;
        Self {
            header,
            idle,
            client,
            check_interval: shortest.clamp(Duration::from_millis(10), MAX_CHECK_INTERVAL),
        }
    }
}

/// What is known of a connection.
pub struct Connection {
    timeouts: Timeouts,
    /// Notified when a request begins.
    begins: Notify,
    state: Mutex<State>,
}

struct State {
    /// The number of requests without a whole response.
    requests: usize,
    /// Whether a request came, and with which version.
    version: Option<Version>,
    /// Since when there is no request.
    idle_since: Instant,
    /// When the first bytes came after that.
    header_since: Option<Instant>,
    bodies: Vec<BodyWatch>,
    outgoing: Outgoing,
    /// Whether the connection was told to end.
    is_finishing: bool,
}

/// The bytes of bodies that hyper has taken for a client, and those that the client's system
/// has taken. What is between them takes memory.
struct Outgoing {
    /// How many bytes hyper has taken.
    taken: u64,
    /// How many bytes the client's system has taken, with those of headers.
    written: u64,
    /// The memory of what hyper has taken, with the number of bytes until its end.
    shares: VecDeque<(u64, Share)>,
    pace: Pace,
}

impl Outgoing {
    fn take(&mut self, bytes: u64, share: Share) {
        self.taken = self.taken.max(self.written) + bytes;
        self.shares.push_back((self.taken, share));
        self.pace.wait();
    }

    fn write(&mut self, bytes: u64) {
        self.written += bytes;
        while self
            .shares
            .front()
            .is_some_and(|(end, _)| *end <= self.written)
        {
            self.shares.pop_front();
        }
        self.pace.note(bytes);
        if self.shares.is_empty() {
            self.pace.settle();
        }
    }

    fn is_stalled(&self, is_crowded: bool) -> bool {
        self.pace.left().is_none() || (is_crowded && self.pace.waited() >= CROWDED_PACE)
    }
}

/// Whether there is little room for more.
#[derive(Clone, Copy, Default)]
pub struct Crowding {
    /// Most connections are open that may be.
    pub connections: bool,
    /// Most of the memory for bodies is taken.
    pub bodies: bool,
}

/// What becomes of a connection.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// It stays.
    Keep,
    /// It ends in an orderly way.
    Finish,
    /// It is closed.
    Close,
}

impl Connection {
    /// Creates what is known of a new connection.
    pub fn new(timeouts: Timeouts) -> Arc<Self> {
        let state = State {
            requests: 0,
            version: None,
            idle_since: Instant::now(),
            header_since: None,
            bodies: Vec::new(),
            outgoing: Outgoing {
                taken: 0,
                written: 0,
                shares: VecDeque::new(),
                pace: Pace::new(timeouts.client),
            },
            is_finishing: false,
        };
        Arc::new(Self {
            timeouts,
            begins: Notify::new(),
            state: Mutex::new(state),
        })
    }

    /// Notes that a request came. The result is dropped with its response.
    pub fn begin_request(self: &Arc<Self>, version: Version) -> RequestInFlight {
        let mut state = self.state.lock();
        state.requests += 1;
        state.version = Some(version);
        state.header_since = None;
        self.begins.notify_waiters();
        RequestInFlight(self.clone())
    }

    /// Waits until there is a request. With HTTP/2, there is no need to wait: the server tells
    /// the client which of its requests it still answers.
    pub async fn next_request(&self) {
        let begins = self.begins.notified();
        let needs_none = {
            let state = self.state.lock();
            state.requests > 0 || state.version == Some(Version::HTTP_2)
        };
        if !needs_none {
            begins.await;
        }
    }

    /// Watches how the client takes the body of a response.
    pub fn watch(&self, body: BodyWatch) {
        self.state.lock().bodies.push(body);
    }

    /// Decides what becomes of the connection, which may have less time if there are too many
    /// others.
    pub fn check(&self, crowding: Crowding) -> Verdict {
        let mut state = self.state.lock();
        let mut has_stalled = state.outgoing.is_stalled(crowding.bodies);
        state.bodies.retain(|body| {
            let is_stalled = body.is_stalled(crowding.bodies);
            has_stalled |= is_stalled == Some(true);
            is_stalled.is_some()
        });
        if has_stalled {
            return Verdict::Close;
        }
        if state.requests > 0 {
            return Verdict::Keep;
        }
        let limit = |time: Duration| match crowding.connections {
            true => time.min(CROWDED_IDLE),
            false => time,
        };
        let is_late = |since: Instant| since.elapsed() >= limit(self.timeouts.header);
        let has_late_header = match state.version {
            None => is_late(state.idle_since),
            // Frames that are no requests, such as pings, come at any time.
            Some(Version::HTTP_2) => false,
            Some(_) => state.header_since.is_some_and(is_late),
        };
        let has_nothing_to_do = state.version.is_some() && state.outgoing.shares.is_empty();
        let is_idle = has_nothing_to_do && state.idle_since.elapsed() >= limit(self.timeouts.idle);
        match (has_late_header, is_idle) {
            (true, _) => Verdict::Close,
            (_, true) if state.is_finishing => Verdict::Close,
            (_, true) => {
                state.is_finishing = true;
                Verdict::Finish
            }
            _ => Verdict::Keep,
        }
    }

    /// Notes that hyper has taken a part of a body, with its share of the memory, which is given
    /// back when the client's system has taken the part.
    pub fn note_taken(&self, bytes: usize, share: Share) {
        self.state.lock().outgoing.take(bytes as u64, share);
    }

    fn note_written(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.state.lock().outgoing.write(*bytes as u64);
        }
    }

    fn note_read(&self) {
        let mut state = self.state.lock();
        if state.requests == 0 {
            state.header_since.get_or_insert_with(Instant::now);
        }
    }
}

/// A request without a whole response.
pub struct RequestInFlight(Arc<Connection>);

impl RequestInFlight {
    /// Returns the connection of the request.
    pub fn connection(&self) -> &Connection {
        &self.0
    }
}

impl Drop for RequestInFlight {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.requests -= 1;
        state.idle_since = Instant::now();
    }
}

/// The body of a response, with the request that it answers.
pub struct AnsweringBody<B> {
    body: B,
    /// The request has its whole response when this is dropped.
    request: RequestInFlight,
}

impl<B> AnsweringBody<B> {
    /// Creates the body of the response to a request.
    pub fn new(body: B, request: RequestInFlight) -> Self {
        Self { body, request }
    }
}

impl<B: Body<Data = Bytes, Error = Error> + Unpin> Body for AnsweringBody<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            let size = frame.data_ref().map_or(0, Bytes::len);
            self.request.connection().note_taken(size, Share::default());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The stream of a connection, which notes when something is received.
pub struct WatchedStream {
    stream: TokioIo<Stream>,
    connection: Arc<Connection>,
}

impl WatchedStream {
    /// Wraps the stream of a connection.
    pub fn new(stream: Stream, connection: Arc<Connection>) -> Self {
        Self {
            stream: TokioIo::new(stream),
            connection,
        }
    }
}

impl Read for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.connection.note_read();
        Poll::Ready(Ok(()))
    }
}

impl Write for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.connection.note_written(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.connection.note_written(&written);
        written
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, pause};

    use super::super::buffers::Buffers;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn connection() -> Arc<Connection> {
        Connection::new(Timeouts::new(&ServeOptions::default()))
    }

    #[tokio::test]
    async fn a_client_without_a_request_is_disconnected() {
        pause();
        let connection = connection();
        advance(29 * SECOND).await;
        connection.note_read();
        assert_eq!(connection.check(Crowding::default()), Verdict::Keep);
        advance(SECOND).await;
        assert_eq!(connection.check(Crowding::default()), Verdict::Close);
    }

    #[tokio::test]
    async fn a_request_may_come_late_but_not_slowly() {
        pause();
        let connection = connection();
        drop(connection.begin_request(Version::HTTP_11));
        advance(40 * SECOND).await;
        assert_eq!(connection.check(Crowding::default()), Verdict::Keep);
        connection.note_read();
        advance(29 * SECOND).await;
        connection.note_read();
        assert_eq!(connection.check(Crowding::default()), Verdict::Keep);
        advance(SECOND).await;
        assert_eq!(connection.check(Crowding::default()), Verdict::Close);
    }

    #[tokio::test]
    async fn a_client_that_does_not_take_what_hyper_has_taken_is_disconnected() {
        pause();
        let (connection, buffers) = (connection(), Buffers::new(40_000));
        let _request = connection.begin_request(Version::HTTP_2);
        for (written, verdict) in [(20_300, Verdict::Keep), (300, Verdict::Close)] {
            let share = buffers.take(20_000).expect("there is room");
            connection.note_taken(20_000, share);
            connection.note_written(&Poll::Ready(Ok(written)));
            assert_eq!(buffers.take(30_000).is_some(), verdict == Verdict::Keep);
            advance(31 * SECOND).await;
            assert_eq!(connection.check(Crowding::default()), verdict);
        }
    }

    #[tokio::test]
    async fn an_idle_connection_ends_whatever_it_receives() {
        pause();
        for (connections, seconds) in [(false, 75), (true, 5)] {
            let crowding = Crowding {
                connections,
                bodies: false,
            };
            let connection = connection();
            let request = connection.begin_request(Version::HTTP_2);
            advance(100 * SECOND).await;
            assert_eq!(connection.check(crowding), Verdict::Keep);
            drop(request);
            for _ in 1..seconds {
                advance(SECOND).await;
                connection.note_read();
                assert_eq!(connection.check(crowding), Verdict::Keep);
            }
            advance(SECOND).await;
            assert_eq!(connection.check(crowding), Verdict::Finish);
            assert_eq!(connection.check(crowding), Verdict::Close);
        }
    }
}
