//! What the log and the metrics say of each request and each connection.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use session3_store::SessionId;
use tokio::time::Instant;
use tracing::{Span, error_span};

use crate::metrics::{
    CONNECTIONS, CONNECTIONS_OPEN, FAILED_REQUESTS, INSTANCE_WAIT_SECONDS, INSTANCES,
    REQUEST_SECONDS, REQUESTS, REQUESTS_RUNNING,
};
use crate::text::escaped;

/// The target of the lines of the access log, by which a subscriber can tell them from others.
pub const ACCESS_LOG: &str = "session3::access";

/// The header in which an application learns the ID of a request, and in which a trusted proxy
/// may choose it.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The largest length of a path in the log, in bytes.
const MAX_PATH: usize = 200;
/// The largest length of an ID that a proxy chooses, in bytes.
const MAX_ID: usize = 64;
/// The values of the label `status`.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The session of a request, which the host learns when the session manager loads or creates it.
pub type SessionOfRequest = Arc<OnceLock<SessionId>>;

/// The metrics of a server. Creating them looks them up, so that a request need not.
pub struct ServeMetrics {
    requests: [Counter; CLASSES.len()],
    request_seconds: Histogram,
    running: Gauge,
    /// How long requests waited for a place among those that run.
    pub instance_wait: Histogram,
    /// The instances that were created.
    pub created_instances: Counter,
    /// The requests that an instance served after its first one.
    pub reused_instances: Counter,
    connections: Counter,
    open_connections: Gauge,
}

impl ServeMetrics {
    /// Looks up the metrics in the recorder that is installed.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            requests: CLASSES.map(|class| counter!(REQUESTS, "status" => class)),
            request_seconds: histogram!(REQUEST_SECONDS),
            running: gauge!(REQUESTS_RUNNING),
            instance_wait: histogram!(INSTANCE_WAIT_SECONDS),
            created_instances: counter!(INSTANCES, "kind" => "new"),
            reused_instances: counter!(INSTANCES, "kind" => "reused"),
            connections: counter!(CONNECTIONS),
            open_connections: gauge!(CONNECTIONS_OPEN),
        })
    }

    /// Counts a connection, until the result is dropped.
    pub fn connection(self: &Arc<Self>) -> ConnectionCount {
        self.connections.increment(1);
        self.open_connections.increment(1);
        ConnectionCount(self.clone())
    }

    fn note_request(&self, status: Option<StatusCode>, time: Duration) {
        let class = status.map_or(0, |status| usize::from(status.as_u16() / 100));
        if let Some(counter) = self.requests.get(class) {
            counter.increment(1);
        }
        self.request_seconds.record(time);
    }
}

/// Counts a request to which the server answered in place of the application, or whose response
/// it cut off.
pub fn count_failure(reason: &'static str) {
    counter!(FAILED_REQUESTS, "reason" => reason).increment(1);
}

/// An open connection in the metrics.
pub struct ConnectionCount(Arc<ServeMetrics>);

impl Drop for ConnectionCount {
    fn drop(&mut self) {
        self.0.open_connections.decrement(1);
    }
}

/// A request from its arrival until its client has the whole response, or is gone.
pub struct ObservedRequest {
    /// The span of the request, which has its ID, method and path.
    pub span: Span,
    began: Instant,
    metrics: Arc<ServeMetrics>,
    client: Option<IpAddr>,
    /// Where the session is noted, if the request becomes a line of the access log.
    session: Option<SessionOfRequest>,
    /// The status of the response, once there is one.
    status: Option<StatusCode>,
    /// The size of the content that was taken for the client.
    bytes: u64,
}

impl ObservedRequest {
    /// Begins to observe a request, and tells the application its ID.
    pub fn begin<B>(
        request: &mut Request<B>,
        client: Option<IpAddr>,
        metrics: &Arc<ServeMetrics>,
        has_access_log: bool,
    ) -> Self {
        let id = chosen_id(request).unwrap_or_else(|| format!("{:016x}", rand::random::<u64>()));
        let span = error_span!(
            "request",
            %id,
            method = %request.method(),
            path = %shown(request.uri().path()),
        );
        if let Ok(id) = HeaderValue::try_from(id) {
            request.headers_mut().insert(REQUEST_ID, id);
        }
        let session = has_access_log.then(SessionOfRequest::default);
        if let Some(session) = &session {
            request.extensions_mut().insert(session.clone());
        }
        metrics.running.increment(1);
        Self {
            span,
            began: Instant::now(),
            metrics: metrics.clone(),
            client,
            session,
            status: None,
            bytes: 0,
        }
    }

    /// Observes the response with this status until its body ends.
    pub fn respond<B>(mut self, status: StatusCode, body: B) -> ObservedBody<B> {
        self.status = Some(status);
        ObservedBody {
            body,
            request: self,
        }
    }

    fn log(&self, time: Duration, session: &OnceLock<SessionId>) {
        let status = self.status.map(|status| status.as_u16());
        let session = session.get().map(SessionId::to_string);
        let client = self.client.map(tracing::field::display);
        tracing::info!(
            target: ACCESS_LOG,
            parent: &self.span,
            status,
            bytes = self.bytes,
            seconds = time.as_secs_f64(),
            client,
            session,
            "{}",
            match status {
                Some(_) => "answered",
                None => "the client left without an answer",
            }
        );
    }
}

impl Drop for ObservedRequest {
    fn drop(&mut self) {
        let time = self.began.elapsed();
        self.metrics.running.decrement(1);
        self.metrics.note_request(self.status, time);
        if let Some(session) = &self.session {
            self.log(time, session);
        }
    }
}

/// The body of a response, with the request that it ends.
pub struct ObservedBody<B> {
    body: B,
    request: ObservedRequest,
}

impl<B: Body<Data = Bytes> + Unpin> Body for ObservedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            self.request.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
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

/// Returns the ID that a trusted proxy has chosen, if it is short and plain.
fn chosen_id<B>(request: &Request<B>) -> Option<String> {
    let id = request.headers().get(REQUEST_ID)?.to_str().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_usable = (1..=MAX_ID).contains(&id.len()) && id.bytes().all(is_plain);
    is_usable.then(|| id.to_owned())
}

/// Returns a path for the log: its beginning, with control characters escaped.
fn shown(path: &str) -> String {
    let end = path.floor_char_boundary(MAX_PATH);
    match end < path.len() {
        true => format!("{}…", escaped(&path[..end])),
        false => escaped(path),
    }
}
