//! The server, which answers HTTP/1.1 and HTTP/2 with a component that exports `wasi:http`.

mod application;
mod body;
mod handler;
mod options;
mod output;
mod running;
mod state;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HOST, HeaderValue, RETRY_AFTER};
use hyper::http::uri::Authority;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::ctx::SessionsCtx;
use crate::text::escaped;

use application::{Application, Failure};
use body::LimitedBody;
pub use options::ServeOptions;

/// How long a client may take to send the header of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a silent HTTP/2 client is pinged. A client that does not answer is
/// disconnected.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// A server for a component, which runs each request in a new instance.
///
/// Clones share one server, so that one of them can [replace](Self::replace) the
/// component while another one serves. The [documentation of the crate](crate) has a
/// complete example.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    /// The component that serves new requests.
    application: watch::Sender<Arc<Application>>,
    sessions: SessionsCtx,
    options: ServeOptions,
    /// One permit for each request that may run or wait.
    admissions: Arc<Semaphore>,
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
    /// memory than the options allow; if a granted directory or the cache cannot be
    /// opened.
    pub fn new(
        component: &[u8],
        sessions: SessionsCtx,
        options: ServeOptions,
    ) -> wasmtime::Result<Self> {
        let application = Application::new(component, &options)?;
        let shared = Shared {
            application: watch::Sender::new(Arc::new(application)),
            sessions,
            admissions: Arc::new(Semaphore::new(options.max_admitted())),
            options,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Compiles another component, which serves all requests from then on. Requests that
    /// are running finish with the previous component.
    ///
    /// # Errors
    ///
    /// The errors of [`new`](Self::new). The server then continues with the previous
    /// component.
    pub fn replace(&self, component: &[u8]) -> wasmtime::Result<()> {
        let application = Application::new(component, &self.shared.options)?;
        self.shared.application.send_replace(Arc::new(application));
        Ok(())
    }

    /// Accepts connections and answers requests until `stop` is ready. Then it returns
    /// when the requests that are running have finished, at the latest after twice the
    /// time limit of a request.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let Self { shared } = self;
        let connections = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => {
                        shared.clone().spawn_connection(stream, address, &connections);
                    }
                    // Too many files may be open: wait until some are closed.
                    Err(error) => {
                        tracing::warn!("a connection could not be accepted: {error}");
                        sleep(Duration::from_millis(50)).await;
                    }
                },
                () = &mut stop => break,
            }
        }
        drop(listener);
        // No request runs longer than the time limit, so only clients can delay the end
        // further.
        let limit = shared.options.time_limit;
        if timeout(limit, connections.shutdown()).await.is_err() {
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
    /// Serves a connection in a task of its own.
    fn spawn_connection(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        connections: &GracefulShutdown,
    ) {
        // Otherwise a small response would wait until the client acknowledges the
        // previous one.
        let _ = stream.set_nodelay(true);
        let has_request = Arc::new(AtomicBool::new(false));
        let received = has_request.clone();
        let service = service_fn(move |request| {
            received.store(true, Ordering::Relaxed);
            let shared = self.clone();
            async move { Ok::<_, Infallible>(shared.answer(request).await) }
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection.into_owned());
        tokio::spawn(async move {
            tokio::select! {
                result = connection => if let Err(error) = result {
                    tracing::debug!("the connection with {address} failed: {error}");
                },
                () = first_request_timeout(&has_request) => {
                    tracing::debug!("the connection with {address} was closed: it had no request");
                }
            }
        });
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<HyperOutgoingBody> {
        let request = LimitedBody::limit(request, self.options.max_body);
        // RFC 9112 §3.2 requires this response, and wasmtime's `wasi:http` takes no
        // request without a host.
        if authority_of(&request).is_none() {
            return text_response(StatusCode::BAD_REQUEST, "The request names no host.\n");
        }
        match self.run(request).await {
            Ok(response) => response,
            Err(failure) => failure_response(failure),
        }
    }

    async fn run(
        &self,
        request: Request<LimitedBody>,
    ) -> Result<Response<HyperOutgoingBody>, Failure> {
        if request.body().will_be_too_long() {
            return Err(Failure::BodyTooLong);
        }
        let admission = self.admissions.clone().try_acquire_owned();
        let admission = admission.map_err(|_| Failure::Overloaded)?;
        let application = self.application.borrow().clone();
        let sessions = self.sessions.for_new_instance();
        application
            .run(request, sessions, &self.options, admission)
            .await
    }
}

/// Returns the host that a request is for, from its target or from its header `Host`.
fn authority_of<B>(request: &Request<B>) -> Option<Authority> {
    let by_header = || {
        let host = request.headers().get(HOST)?;
        Authority::try_from(host.as_bytes()).ok()
    };
    request.uri().authority().cloned().or_else(by_header)
}

/// Completes if the first request of a connection takes longer than [`HEADER_TIMEOUT`];
/// otherwise never. hyper has its own timeouts only once it knows the client's version of
/// HTTP.
async fn first_request_timeout(has_request: &AtomicBool) {
    sleep(HEADER_TIMEOUT).await;
    if has_request.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}

/// Logs why a request failed, and returns the response to the client.
fn failure_response(failure: Failure) -> Response<HyperOutgoingBody> {
    match failure {
        Failure::TimedOut => {
            tracing::error!("a request failed: it exceeded the time limit");
            text_response(StatusCode::GATEWAY_TIMEOUT, "The request took too long.\n")
        }
        Failure::Overloaded => {
            tracing::warn!("a request was refused: too many requests are running and waiting");
            let text = "Too many requests are under way: try again.\n";
            let mut response = text_response(StatusCode::SERVICE_UNAVAILABLE, text);
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
        Failure::BodyTooLong => {
            let text = "The request's body is too long.\n";
            text_response(StatusCode::PAYLOAD_TOO_LARGE, text)
        }
        Failure::Guest(error) => {
            tracing::error!("a request failed: {}", escaped(&error));
            let text = "The application failed.\n";
            text_response(StatusCode::INTERNAL_SERVER_ERROR, text)
        }
    }
}

fn text_response(status: StatusCode, text: &'static str) -> Response<HyperOutgoingBody> {
    let body = Full::new(Bytes::from_static(text.as_bytes()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}
