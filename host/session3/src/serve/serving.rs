//! Serving a listener: its connections, from their acceptance to their end, and the end of the
//! server.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use session3_listen::{Accepted, Connection as Connected, HandshakeError, Listener, Stream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::Shared;
use super::client::ClientEnd;
use super::connection::{
    CROWDED_IDLE, Connection, Crowding, NEXT_REQUEST, Timeouts, Verdict, WatchedStream,
};
use super::observed::ConnectionCount;
use super::running::RequestsEnd;
use crate::log_limit::LogLimit;

/// How often a silent HTTP/2 client is pinged. A client that does not answer is
/// disconnected.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// For how long the end of the server accepts connections. Those that the system has accepted for
/// it, and of which it does not know yet, would be reset.
const LAST_CONNECTIONS: Duration = Duration::from_millis(100);
/// How much longer the end of the server waits than an application may run, so that the last
/// response reaches its client.
const SENDING: Duration = Duration::from_secs(1);
/// The largest size of the headers of a request, in bytes.
const MAX_HEADERS_SIZE: u32 = 64 << 10;
/// How much of a response hyper holds, in bytes.
const MAX_SEND: usize = 16 << 10;
/// How much of the responses of a connection the system holds before it has sent it, in bytes.
const MAX_UNSENT: u32 = 32 << 10;
/// How many requests a connection of HTTP/2 may have at a time.
const MAX_STREAMS: u32 = 100;
/// How much of the bodies of requests a connection of HTTP/2 may send before the server has
/// read it, in bytes, for each request and for all together.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;

/// Limits the lines about connections that could not be accepted, which come while too many files
/// are open.
static ACCEPT_FAILURES: LazyLock<LogLimit> = LazyLock::new(|| LogLimit::new(5));

/// What the connections of a listener know of its end.
#[derive(Clone)]
struct End {
    /// Changes when the server ends. The end waits until each connection has dropped this.
    stopped: watch::Receiver<()>,
    requests_end: RequestsEnd,
}

impl Shared {
    /// Serves a listener until `stop` is ready and what it has begun is over.
    pub async fn serve(self: Arc<Self>, listener: Listener, stop: impl Future<Output = ()>) {
        let options = &self.host.options;
        let listener = listener.handshake_timeout(options.header_timeout);
        let (stop_sender, stopped) = watch::channel(());
        let (requests, requests_end) = watch::channel(());
        let end = End {
            stopped,
            requests_end,
        };
        let mut closing = pin!(async {
            stop.await;
            sleep(LAST_CONNECTIONS).await;
        });
        loop {
            tokio::select! {
                accepted = self.accept(&listener) => {
                    if let Some((accepted, permit)) = accepted {
                        self.clone().spawn_connection(accepted, permit, end.clone());
                    }
                }
                () = &mut closing => break,
            }
        }
        drop((listener, end));
        stop_sender.send_replace(());
        // No application runs longer than the time limit, so only clients can delay the end
        // further.
        let limit = options.time_limit;
        let in_time = timeout(limit + NEXT_REQUEST + SENDING, stop_sender.closed());
        if in_time.await.is_err() {
            tracing::warn!(
                "the server stops although some clients have not received their whole \
                 response: they took longer than the time limit of a request"
            );
        }
        // An instance may continue after its response, for example to save a session.
        let _ = timeout(limit, requests.closed()).await;
    }

    /// Accepts a connection, and waits until there may be another one.
    async fn accept(&self, listener: &Listener) -> Option<(Accepted, OwnedSemaphorePermit)> {
        match listener.accept().await {
            Ok(accepted) => {
                let permit = self.connections.clone().acquire_owned().await.ok()?;
                Some((accepted, permit))
            }
            // Too many files may be open: wait until some are closed.
            Err(error) => {
                if ACCEPT_FAILURES.allows_line("failures to accept a connection") {
                    tracing::warn!("a connection could not be accepted: {error}");
                }
                sleep(Duration::from_millis(50)).await;
                None
            }
        }
    }

    /// Serves a connection in a task of its own.
    fn spawn_connection(
        self: Arc<Self>,
        accepted: Accepted,
        permit: OwnedSemaphorePermit,
        end: End,
    ) {
        let count = self.host.metrics.connection();
        tokio::spawn(async move {
            let _places: (OwnedSemaphorePermit, ConnectionCount) = (permit, count);
            let peer = accepted.peer();
            if let Err(error) = self.serve_connection(accepted, end).await {
                tracing::debug!("the connection with {peer} failed: {error}");
            }
        });
    }

    async fn serve_connection(
        self: Arc<Self>,
        accepted: Accepted,
        mut end: End,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let timeouts = Timeouts::new(&self.host.options);
        let Some(connected) = self.handshake(accepted, &timeouts, end.clone()).await? else {
            return Ok(());
        };
        let client = ClientEnd::of(&connected);
        let stream = connected.stream;
        // Otherwise a small response would wait until the client acknowledges the
        // previous one.
        let _ = stream.set_nodelay(true);
        limit_unsent(&stream);
        let connection = Connection::new(timeouts, end.requests_end);
        // This receiver never waits, so the stop remains a change for it.
        let stop = end.stopped.clone();
        let service = service_fn(|request: Request<Incoming>| {
            let (shared, client, stop) = (self.clone(), client.clone(), stop.clone());
            let version = request.version();
            let in_flight = connection.begin_request(version);
            async move {
                let mut response = shared.observe(request, in_flight, &client).await;
                let is_ending = stop.has_changed().unwrap_or(true);
                if is_ending && version < Version::HTTP_2 {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                Ok::<_, Infallible>(response)
            }
        });
        let builder = builder();
        let stream = WatchedStream::new(stream, connection.clone());
        let mut serving = pin!(builder.serve_connection(stream, service));
        let mut checks = interval(timeouts.check_interval);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // A connection that always has something to read comes last.
                biased;
                Ok(()) = end.stopped.changed() => {
                    tokio::select! {
                        result = &mut serving => return result,
                        () = connection.next_request() => {}
                        () = sleep(NEXT_REQUEST) => {}
                    }
                    connection.end();
                    serving.as_mut().graceful_shutdown();
                    checks.reset_after(NEXT_REQUEST);
                }
                _ = checks.tick() => match connection.check(self.crowding()) {
                    Verdict::Keep => {}
                    Verdict::Finish => serving.as_mut().graceful_shutdown(),
                    Verdict::Close => return Ok(()),
                },
                result = &mut serving => return result,
            }
        }
    }

    /// Waits until a client has introduced itself. Returns `None` if it takes too long for a
    /// server with too many connections, or for one that ends.
    async fn handshake(
        &self,
        accepted: Accepted,
        timeouts: &Timeouts,
        mut end: End,
    ) -> Result<Option<Connected>, HandshakeError> {
        let stopped = async {
            // This fails only if the server ends at once.
            let _ = end.stopped.changed().await;
            sleep(NEXT_REQUEST).await;
        };
        tokio::select! {
            connected = accepted.handshake() => connected.map(Some),
            () = self.be_crowded(timeouts) => Ok(None),
            () = stopped => Ok(None),
        }
    }

    /// Waits until a connection that begins now has no more time to be idle, since there are too
    /// many.
    async fn be_crowded(&self, timeouts: &Timeouts) {
        sleep(CROWDED_IDLE).await;
        while !self.crowding().connections {
            sleep(timeouts.check_interval).await;
        }
    }

    fn crowding(&self) -> Crowding {
        let free = self.connections.available_permits();
        Crowding {
            connections: free < self.host.options.max_connections as usize / 4,
            bodies: self.buffers.are_crowded(),
        }
    }
}

/// Limits how much of the responses of a connection the system holds before it has sent it.
///
/// Otherwise it takes some megabytes for each client, and then nothing until a third of them was
/// sent: a client that takes 64 kB in each second would seem to take nothing for a quarter of a
/// minute.
fn limit_unsent(stream: &Stream) {
    if let Err(error) = stream.limit_unsent(MAX_UNSENT) {
        tracing::debug!("the buffer of a connection cannot be limited: {error}");
    }
}

/// Returns how connections are served.
fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(MAX_HEADERS_SIZE as usize)
        .half_close(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .max_header_list_size(MAX_HEADERS_SIZE)
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(MAX_SEND)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}
