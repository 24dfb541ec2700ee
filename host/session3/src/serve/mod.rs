//! Serving a component's `wasi:http` over HTTP/1.1 and HTTP/2.

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

/// How long a client may take to send a request's header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a client of HTTP/2 that says nothing is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// A component, ready to answer requests: each gets an instance of its own. A
/// clone is the same server.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    /// What new requests get.
    application: watch::Sender<Arc<Application>>,
    sessions: SessionsCtx,
    options: ServeOptions,
    /// One for each request that runs or waits.
    places: Arc<Semaphore>,
}

impl Server {
    /// Compiles a component and links it to the sessions' store. It gets WASI's
    /// HTTP, clocks and random numbers; files and environment as the options
    /// grant them, none by default; no network. What it prints is logged.
    pub fn new(
        component: &[u8],
        sessions: SessionsCtx,
        options: ServeOptions,
    ) -> wasmtime::Result<Self> {
        let application = Application::new(component, &options)?;
        let shared = Shared {
            application: watch::Sender::new(Arc::new(application)),
            sessions,
            places: Arc::new(Semaphore::new(options.places())),
            options,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Compiles another component, which gets the requests from then on; those
    /// under way finish with the one that they began with. When it fails,
    /// everything stays as it was.
    pub fn replace(&self, component: &[u8]) -> wasmtime::Result<()> {
        let application = Application::new(component, &self.shared.options)?;
        self.shared.application.send_replace(Arc::new(application));
        Ok(())
    }

    /// Answers requests until `stop` is done; then finishes the ones under way.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let Self { shared } = self;
        let connections = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => shared.clone().connect(stream, address, &connections),
                    // Too many open files, say: others have to end first.
                    Err(error) => {
                        tracing::warn!("a connection was not accepted: {error}");
                        sleep(Duration::from_millis(50)).await;
                    }
                },
                () = &mut stop => break,
            }
        }
        drop(listener);
        // Nothing runs longer than the time limit; what hangs then is a client.
        let limit = shared.options.time_limit;
        if timeout(limit, connections.shutdown()).await.is_err() {
            tracing::warn!("some clients did not take their answers in time");
        }
        // A component may go on after its response, to save something, say.
        let places = u32::try_from(shared.options.places()).unwrap_or(u32::MAX);
        let _ = timeout(limit, shared.places.acquire_many(places)).await;
    }
}

impl Shared {
    fn connect(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        connections: &GracefulShutdown,
    ) {
        // Without it, a small response waits for the client's acknowledgement.
        let _ = stream.set_nodelay(true);
        let has_asked = Arc::new(AtomicBool::new(false));
        let asked = has_asked.clone();
        let service = service_fn(move |request| {
            asked.store(true, Ordering::Relaxed);
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
                ended = connection => if let Err(error) = ended {
                    tracing::debug!("{address}: {error}");
                },
                () = silence(&has_asked) => tracing::debug!("{address}: it asked for nothing"),
            }
        });
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<HyperOutgoingBody> {
        let request = LimitedBody::limit(request, self.options.max_body);
        // wasi:http cannot say it otherwise (RFC 9112 §3.2).
        if authority_of(&request).is_none() {
            return answer(StatusCode::BAD_REQUEST, "The request names no host.\n");
        }
        match self.run(request).await {
            Ok(response) => response,
            Err(failure) => fail(failure),
        }
    }

    async fn run(
        &self,
        request: Request<LimitedBody>,
    ) -> Result<Response<HyperOutgoingBody>, Failure> {
        if request.body().will_be_too_long() {
            return Err(Failure::BodyTooLong);
        }
        let place = self.places.clone().try_acquire_owned();
        let place = place.map_err(|_| Failure::Overloaded)?;
        let application = self.application.borrow().clone();
        let sessions = self.sessions.for_new_instance();
        application
            .run(request, sessions, &self.options, place)
            .await
    }
}

/// The host that a request is for, by its target or its header.
fn authority_of<B>(request: &Request<B>) -> Option<Authority> {
    let by_header = || {
        let host = request.headers().get(HOST)?;
        Authority::try_from(host.as_bytes()).ok()
    };
    request.uri().authority().cloned().or_else(by_header)
}

/// Done when a client has connected and asked for nothing: until it is known
/// which HTTP it speaks, nothing else limits that.
async fn silence(has_asked: &AtomicBool) {
    sleep(HEADER_TIMEOUT).await;
    if has_asked.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}

fn fail(failure: Failure) -> Response<HyperOutgoingBody> {
    match failure {
        Failure::TimedOut => {
            tracing::error!("a request ran into its time limit");
            answer(StatusCode::GATEWAY_TIMEOUT, "The request took too long.\n")
        }
        Failure::Overloaded => {
            tracing::warn!("a request was refused: too many are under way");
            let text = "Too many requests are under way: try again.\n";
            let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, text);
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
        Failure::BodyTooLong => {
            let text = "The request's body is too long.\n";
            answer(StatusCode::PAYLOAD_TOO_LARGE, text)
        }
        Failure::Guest(error) => {
            tracing::error!("a request failed: {}", escaped(&error));
            let text = "The application failed.\n";
            answer(StatusCode::INTERNAL_SERVER_ERROR, text)
        }
    }
}

fn answer(status: StatusCode, text: &'static str) -> Response<HyperOutgoingBody> {
    let body = Full::new(Bytes::from_static(text.as_bytes()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}
