//! The server, which answers HTTP/1.1 and HTTP/2 with a component that exports `wasi:http`.

mod application;
mod authority;
mod buffers;
mod client;
mod connection;
mod handler;
mod instances;
mod observed;
mod options;
mod outbound;
mod output;
mod pace;
mod refusal;
mod request_body;
mod response_body;
mod running;
mod sent_body;
mod sent_file;
mod state;
mod static_directory;
mod static_files;
mod time_limit;
mod turns;
mod without_content;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONNECTION, HeaderValue, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use session3_listen::{Accepted, Listener, Stream};
use session3_outbound::{Options, Outbound, Rules};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::Instrument;
use wasmtime_wasi_http::Error;

use crate::ctx::SessionsCtx;
use crate::text::escaped;

use application::{Answering, Application, Failure};
use buffers::Buffers;
use client::ClientEnd;
use connection::{
    AnsweringBody, Connection, Crowding, RequestInFlight, Timeouts, Verdict, WatchedStream,
};
pub use observed::ACCESS_LOG;
use observed::{ConnectionCount, ObservedBody, ObservedRequest, ServeMetrics, count_failure};
pub use options::ServeOptions;
use request_body::{Fault, RequestBody};
use response_body::{BodyWriter, MAX_HELD, ResponseBody, response_body};
use running::Writing;
use sent_file::SentFile;
use static_files::{FileResponse, StaticFiles};
use time_limit::Exchange;
use without_content::WithoutContent;

/// How often a silent HTTP/2 client is pinged. A client that does not answer is
/// disconnected.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long the end of the server waits for one more request of a connection of HTTP/1 that has
/// none. The request may be under way; its response tells the client that the connection closes.
const NEXT_REQUEST: Duration = Duration::from_secs(1);
/// How much longer the end of the server waits than an application may run, so that the last
/// response reaches its client.
const SENDING: Duration = Duration::from_secs(1);
/// The largest size of the headers of a request, in bytes.
const MAX_HEADERS_SIZE: u32 = 64 << 10;
/// The largest number of headers of a request.
const MAX_HEADERS: usize = 100;
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
/// How much of the bodies of requests and responses the server holds for its clients, in bytes:
/// for each request that may run, and at least. It is as much as a response may hold, so that
/// slow clients of as many large responses as there are instances leave all instances to others.
const HELD_PER_INSTANCE: usize = MAX_HELD;
const MIN_HELD: usize = 64 << 20;

/// How many static files may be open at a time. A file that fits the buffer of its client is
/// closed at once.
const MAX_OPEN_FILES: usize = 1024;

/// A response to a client.
type ServerResponse = Response<UnsyncBoxBody<Bytes, Error>>;

/// A server for a component. By default, each request gets a new instance of it.
///
/// Clones share one server, so that one of them can [replace](Self::replace) the
/// component while another one serves. The [documentation of the crate](crate) has a
/// complete example.
///
/// A component that computes occupies a thread of the runtime for 5 ms at a time. Set tokio's
/// `event_interval` and `global_queue_interval` to 1 and 2, so that a busy thread
/// looks for new requests soon.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    /// The component that serves new requests.
    application: watch::Sender<Arc<Application>>,
    static_files: watch::Sender<Arc<StaticFiles>>,
    /// One permit for each static file that may be open.
    open_files: Arc<Semaphore>,
    sessions: SessionsCtx,
    options: Arc<ServeOptions>,
    /// One permit for each request that may run or wait.
    admissions: Arc<Semaphore>,
    /// One permit for each connection.
    connections: Arc<Semaphore>,
    buffers: Buffers,
    outbound: Outbound,
    metrics: Arc<ServeMetrics>,
}

impl Server {
    /// Compiles a component and links it to the store of the sessions.
    ///
    /// The component can use `wasi:http` to answer requests, clocks and random numbers,
    /// and the directories and environment variables that the options grant. It cannot
    /// use the network. Its output is logged.
    ///
    /// # Errors
    ///
    /// If `component` is not a web application, imports something else, or needs more
    /// memory than the options allow; if a granted directory, a directory of static files or
    /// the cache cannot be opened.
    pub fn new(
        component: &[u8],
        sessions: SessionsCtx,
        options: ServeOptions,
    ) -> wasmtime::Result<Self> {
        let (options, metrics) = (Arc::new(options), ServeMetrics::new());
        let outbound = match &options.outbound {
            Some(outbound) => outbound.clone(),
            None => Outbound::new(Rules::default(), Options::default())?,
        };
        let static_files = options.open_static_files()?;
        let application = Application::new(
            component,
            sessions.for_new_instance(),
            options.clone(),
            outbound.clone(),
            metrics.clone(),
        )?;
        let held = MIN_HELD.max(options.max_instances as usize * HELD_PER_INSTANCE);
        let shared = Shared {
            application: watch::Sender::new(Arc::new(application)),
            static_files: watch::Sender::new(Arc::new(static_files)),
            open_files: Arc::new(Semaphore::new(MAX_OPEN_FILES)),
            sessions,
            admissions: Arc::new(Semaphore::new(options.max_admitted())),
            connections: Arc::new(Semaphore::new(options.max_connections as usize)),
            buffers: Buffers::new(held),
            outbound,
            metrics,
            options,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Compiles another component, which serves all requests from then on. Requests that
    /// are running finish with the previous component. The directories of static files are
    /// opened again, since their paths may lead to other directories by now.
    ///
    /// # Errors
    ///
    /// The errors of [`new`](Self::new). The server then continues with the previous
    /// component and the previous directories.
    pub fn replace(&self, component: &[u8]) -> wasmtime::Result<()> {
        let shared = &self.shared;
        let static_files = shared.options.open_static_files()?;
        let application = Application::new(
            component,
            shared.sessions.for_new_instance(),
            shared.options.clone(),
            shared.outbound.clone(),
            shared.metrics.clone(),
        )?;
        shared.application.send_replace(Arc::new(application));
        shared.static_files.send_replace(Arc::new(static_files));
        Ok(())
    }

    /// Accepts connections and answers requests until `stop` is ready. Then it returns
    /// when the requests that are running have finished, at the latest two seconds after
    /// twice the time limit of a request.
    pub async fn serve(self, listener: Listener, stop: impl Future<Output = ()>) {
        let Self { shared } = self;
        let (stop_sender, stopped) = watch::channel(());
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                accepted = shared.accept(&listener) => {
                    if let Some((accepted, permit)) = accepted {
                        shared.clone().spawn_connection(accepted, permit, stopped.clone());
                    }
                }
                () = &mut stop => break,
            }
        }
        drop(listener);
        stop_sender.send_replace(());
        // No application runs longer than the time limit, so only clients can delay the end
        // further.
        let limit = shared.options.time_limit;
        let all = shared
            .connections
            .acquire_many(shared.options.max_connections);
        if timeout(limit + NEXT_REQUEST + SENDING, all).await.is_err() {
            tracing::warn!(
                "the server stops although some clients have not received their whole \
                 response: they took longer than the time limit of a request"
            );
        }
        // An instance may continue after its response, for example to save a session.
        let admissions = u32::try_from(shared.options.max_admitted()).unwrap_or(u32::MAX);
        let _ = timeout(limit, shared.admissions.acquire_many(admissions)).await;
    }
}

impl Shared {
    /// Accepts a connection, and waits until there may be another one.
    async fn accept(&self, listener: &Listener) -> Option<(Accepted, OwnedSemaphorePermit)> {
        match listener.accept().await {
            Ok(accepted) => {
                let permit = self.connections.clone().acquire_owned().await.ok()?;
                Some((accepted, permit))
            }
            // Too many files may be open: wait until some are closed.
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
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
        stopped: watch::Receiver<()>,
    ) {
        let count = self.metrics.connection();
        tokio::spawn(async move {
            let _places: (OwnedSemaphorePermit, ConnectionCount) = (permit, count);
            let peer = accepted.peer();
            if let Err(error) = self.serve_connection(accepted, stopped).await {
                tracing::debug!("the connection with {peer} failed: {error}");
            }
        });
    }

    async fn serve_connection(
        self: Arc<Self>,
        accepted: Accepted,
        mut stopped: watch::Receiver<()>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let connected = accepted.handshake().await?;
        let client = ClientEnd::of(&connected);
        let stream = connected.stream;
        // Otherwise a small response would wait until the client acknowledges the
        // previous one.
        let _ = stream.set_nodelay(true);
        limit_unsent(&stream);
        let timeouts = Timeouts::new(&self.options);
        let connection = Connection::new(timeouts);
        // This receiver never waits, so the stop remains a change for it.
        let end = stopped.clone();
        let service = service_fn(|request: Request<Incoming>| {
            let (shared, client, end) = (self.clone(), client.clone(), end.clone());
            let version = request.version();
            let in_flight = connection.begin_request(version);
            async move {
                let mut response = shared.observe(request, in_flight, &client).await;
                let is_ending = end.has_changed().unwrap_or(true);
                if is_ending && version < Version::HTTP_2 {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                Ok::<_, Infallible>(response)
            }
        });
        let builder = builder();
        let stream = WatchedStream::new(stream, connection.clone());
        let mut serving = std::pin::pin!(builder.serve_connection(stream, service));
        let mut checks = interval(timeouts.check_interval);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // A connection that always has something to read comes last.
                biased;
                Ok(()) = stopped.changed() => {
                    tokio::select! {
                        result = &mut serving => return result,
                        () = connection.next_request() => {}
                        () = sleep(NEXT_REQUEST) => {}
                    }
                    serving.as_mut().graceful_shutdown();
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

    fn crowding(&self) -> Crowding {
        let free = self.connections.available_permits();
        Crowding {
            connections: free < self.options.max_connections as usize / 4,
            bodies: self.buffers.are_crowded(),
        }
    }

    /// Answers a request, which the log and the metrics observe until its response ends.
    async fn observe(
        &self,
        mut request: Request<Incoming>,
        in_flight: RequestInFlight,
        client: &ClientEnd,
    ) -> Response<ObservedBody<UnsyncBoxBody<Bytes, Error>>> {
        let address = client.describe(&mut request, &self.options);
        let has_access_log = self.options.has_access_log;
        let observed = ObservedRequest::begin(&mut request, address, &self.metrics, has_access_log);
        let answering = self.answer(request, in_flight);
        let (head, body) = answering
            .instrument(observed.span.clone())
            .await
            .into_parts();
        let body = observed.respond(head.status, body);
        Response::from_parts(head, body)
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        in_flight: RequestInFlight,
    ) -> ServerResponse {
        let (max, time) = (self.options.max_body, self.options.client_timeout);
        let request = RequestBody::limit(request, max, time, &self.buffers);
        let is_head = request.method() == Method::HEAD;
        let response = match refusal(&request) {
            Some(failure) => failure_response(failure, in_flight),
            None => self.find_or_run(request, in_flight).await,
        };
        match is_head || has_no_body(response.status()) {
            true => response.map(|body| WithoutContent::new(body).boxed_unsync()),
            false => response,
        }
    }

    /// Answers a request with a static file, or else with the application.
    async fn find_or_run(
        &self,
        request: Request<RequestBody>,
        in_flight: RequestInFlight,
    ) -> ServerResponse {
        let (head, body) = request.into_parts();
        let head = Request::from_parts(head, ());
        let files = self.static_files.borrow().clone();
        let answered = match files.find(&head).await {
            Ok(Some(file)) => return self.respond_with_file(file, in_flight),
            Ok(None) => self.run(head.map(|()| body)).await,
            Err(error) => Err(Failure::File(error)),
        };
        match answered {
            Ok(answering) => self.respond(answering, in_flight).await,
            Err(failure) => failure_response(failure, in_flight),
        }
    }

    async fn run(&self, mut request: Request<RequestBody>) -> Result<Answering, Failure> {
        if !request.body().is_end_stream() {
            // While the body arrives, the headers wait with it.
            let size = size_of_headers(&request);
            let _share = self.buffers.take(size).ok_or(Failure::Overloaded)?;
            let received = request.body_mut().receive_beginning().await;
            received.map_err(Failure::Body)?;
        }
        let admission = self.admissions.clone().try_acquire_owned();
        let admission = admission.map_err(|_| Failure::Overloaded)?;
        let application = self.application.borrow().clone();
        application.run(request, admission).await
    }

    /// Returns the response of a component, which may still write the body.
    async fn respond(&self, answering: Answering, in_flight: RequestInFlight) -> ServerResponse {
        let Answering {
            response,
            running,
            exchange,
        } = answering;
        let (head, body) = response.into_parts();
        let (writer, for_client) = self.response_body(exchange.clone(), in_flight);
        Writing::new(running, body, writer, exchange).begin().await;
        Response::from_parts(head, for_client.boxed_unsync())
    }

    /// Creates the body of a response, whose client is bound by the limits of the options.
    fn response_body(
        &self,
        exchange: Exchange,
        in_flight: RequestInFlight,
    ) -> (BodyWriter, ResponseBody) {
        let times = (self.options.client_timeout, self.options.max_response_time);
        response_body(&self.buffers, exchange, in_flight, times)
    }

    /// Returns the response with a static file, whose client is bound by the limits of other
    /// responses.
    fn respond_with_file(&self, file: FileResponse, in_flight: RequestInFlight) -> ServerResponse {
        let FileResponse { response, length } = file;
        let (head, body) = response.into_parts();
        if length == 0 {
            let body = Empty::new().map_err(|never| match never {});
            let body = AnsweringBody::new(body, in_flight).boxed_unsync();
            return Response::from_parts(head, body);
        }
        let Ok(permit) = self.open_files.clone().try_acquire_owned() else {
            return failure_response(Failure::Overloaded, in_flight);
        };
        let (writer, for_client) = self.response_body(Exchange::default(), in_flight);
        let file = SentFile {
            body,
            length,
            permit,
        };
        tokio::spawn(file.send(writer).in_current_span());
        Response::from_parts(head, for_client.boxed_unsync())
    }
}

fn size_of_headers<B>(request: &Request<B>) -> usize {
    let headers = request.headers().iter();
    let size = headers.map(|(name, value)| name.as_str().len() + value.len());
    size.sum::<usize>() + request.uri().path().len()
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

/// Returns whether a response with this status has no body (RFC 9110 §6.4.1).
fn has_no_body(status: StatusCode) -> bool {
    [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
}

/// Returns why a request is refused before the application gets it.
fn refusal(request: &Request<RequestBody>) -> Option<Failure> {
    // RFC 9112 §3.2 asks for this.
    if !authority::names_its_host(request) {
        return Some(Failure::NoHost);
    }
    if request.headers().len() > MAX_HEADERS {
        return Some(Failure::TooManyHeaders);
    }
    request
        .body()
        .will_be_too_long()
        .then_some(Failure::Body(Fault::TooLong))
}

/// Logs why a request failed, and returns the response to the client.
fn failure_response(failure: Failure, in_flight: RequestInFlight) -> ServerResponse {
    count_failure(failure.reason());
    let (status, text) = match failure {
        Failure::TimedOut => {
            tracing::error!("a request failed: it exceeded the time limit");
            (StatusCode::GATEWAY_TIMEOUT, "The request took too long.\n")
        }
        Failure::Overloaded => {
            tracing::warn!("a request was refused: too many requests are running and waiting");
            let text = "Too many requests are under way: try again.\n";
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
        Failure::Body(fault) => match fault {
            Fault::TooLong => {
                let text = "The request's body is too long.\n";
                (StatusCode::PAYLOAD_TOO_LARGE, text)
            }
            Fault::TooSlow => {
                let text = "The request's body came too slowly.\n";
                (StatusCode::REQUEST_TIMEOUT, text)
            }
            Fault::Broken => {
                let text = "The request's body is not complete.\n";
                (StatusCode::BAD_REQUEST, text)
            }
        },
        Failure::NoHost => {
            let text = "The request does not name one host.\n";
            (StatusCode::BAD_REQUEST, text)
        }
        Failure::TooManyHeaders => {
            let text = "The request has too many headers.\n";
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, text)
        }
        Failure::File(error) => {
            tracing::error!("a static file could not be opened: {error}");
            let text = "The file could not be read.\n";
            (StatusCode::INTERNAL_SERVER_ERROR, text)
        }
        Failure::Guest(error) => {
            tracing::error!("a request failed: {}", escaped(&error));
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "The application failed.\n",
            )
        }
    };
    let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {});
    let mut response = Response::new(AnsweringBody::new(body, in_flight).boxed_unsync());
    *response.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
