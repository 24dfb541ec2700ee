//! A connection with a client: how long it may be idle, and how slow its client may be.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::Version;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use session3_listen::Stream;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::ServeOptions;
use super::response_body::BodyWatch;
use super::running::RequestsEnd;

/// How long an idle connection, or one in a handshake, is kept if there are too many.
pub const CROWDED_IDLE: Duration = Duration::from_secs(5);
/// How long the end of the server waits for one more request of a connection that has none. The
/// request may be under way; its response tells the client that the connection closes.
pub const NEXT_REQUEST: Duration = Duration::from_secs(1);
/// The longest time between two checks of a connection.
const MAX_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// How long the clients of a server may take.
#[derive(Clone, Copy)]
pub struct Timeouts {
    header: Duration,
    idle: Duration,
    /// How often a connection is checked.
    pub check_interval: Duration,
}

impl Timeouts {
    /// Returns the timeouts of these options.
    pub fn new(options: &ServeOptions) -> Self {
        let (header, idle) = (options.header_timeout, options.idle_timeout);
        let shortest = header.min(idle).min(options.client_timeout) / 4;
        Self {
            header,
            idle,
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
    requests_end: RequestsEnd,
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
    /// The bodies of responses that the client may not have taken.
    bodies: Vec<BodyWatch>,
    /// Whether the connection was told to end.
    is_finishing: bool,
    /// Whether the server ends.
    is_ending: bool,
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
    /// Creates what is known of a new connection. The end of its server waits for its requests
    /// with `requests_end`.
    pub fn new(timeouts: Timeouts, requests_end: RequestsEnd) -> Arc<Self> {
        let state = State {
            requests: 0,
            version: None,
            idle_since: Instant::now(),
            header_since: None,
            bodies: Vec::new(),
            is_finishing: false,
            is_ending: false,
        };
        Arc::new(Self {
            timeouts,
            begins: Notify::new(),
            state: Mutex::new(state),
            requests_end,
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

    /// Notes that the server ends. From then on, the connection is closed as soon as it has had
    /// nothing to do for a second.
    pub fn end(&self) {
        self.state.lock().is_ending = true;
    }

    /// Watches how the client takes the body of a response.
    pub fn watch(&self, body: BodyWatch) {
        let bodies = &mut self.state.lock().bodies;
        // A connection may have many requests between two checks.
        if bodies.len() == bodies.capacity() {
            bodies.retain(BodyWatch::is_alive);
        }
        bodies.push(body);
    }

    /// Decides what becomes of the connection, which may have less time if there are too many
    /// others.
    pub fn check(&self, crowding: Crowding) -> Verdict {
        let mut state = self.state.lock();
        let mut has_stalled = false;
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
        let idle = match state.bodies.is_empty() {
            true => state.idle_since.elapsed(),
            false => Duration::ZERO,
        };
        let is_idle = state.version.is_some() && idle >= limit(self.timeouts.idle);
        let is_over = state.is_ending && idle >= NEXT_REQUEST;
        match (has_late_header || is_over, is_idle) {
            (true, _) => Verdict::Close,
            (_, true) if state.is_finishing => Verdict::Close,
            (_, true) => {
                state.is_finishing = true;
                Verdict::Finish
            }
            _ => Verdict::Keep,
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

    /// Returns what the end of the server waits for until the request is over, even if its client
    /// is gone.
    pub fn requests_end(&self) -> RequestsEnd {
        self.0.requests_end.clone()
    }
}

impl Drop for RequestInFlight {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.requests -= 1;
        state.idle_since = Instant::now();
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
        Pin::new(&mut self.stream).poll_write(context, bytes)
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
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, pause};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn connection() -> Arc<Connection> {
        let timeouts = Timeouts::new(&ServeOptions::default());
        Connection::new(timeouts, tokio::sync::watch::channel(()).1)
    }

    #[tokio::test]
    async fn a_connection_without_a_request_is_closed_soon_after_the_server_ends() {
        pause();
        for version in [None, Some(Version::HTTP_11), Some(Version::HTTP_2)] {
            let connection = connection();
            let request = version.map(|version| connection.begin_request(version));
            advance(10 * SECOND).await;
            assert_eq!(connection.check(Crowding::default()), Verdict::Keep);
            connection.end();
            if request.is_some() {
                assert_eq!(connection.check(Crowding::default()), Verdict::Keep);
                drop(request);
                assert_eq!(connection.check(Crowding::default()), Verdict::Keep);
                advance(SECOND).await;
            }
            assert_eq!(connection.check(Crowding::default()), Verdict::Close);
        }
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
