//! Serving a component's `wasi:http/incoming-handler` over HTTP/1.1.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{error::Elapsed, timeout};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use crate::engine::MAX_INSTANCES;
use crate::linker::{SessionsCtx, SessionsView, add_to_linker};

/// What remains to be done for a request that a component makes.
type Transfer = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// How long a client may take to send a request's header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How to serve.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    is_secure: bool,
    time_limit: Duration,
}

impl ServeOptions {
    /// Whether to tell the component that the browser came over TLS, which a
    /// proxy in front has ended; not by default.
    pub fn secure(mut self, is_secure: bool) -> Self {
        self.is_secure = is_secure;
        self
    }

    /// How long a request may run before it is answered 504; 10 seconds by
    /// default.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            is_secure: false,
            time_limit: Duration::from_secs(10),
        }
    }
}

/// A component, ready to answer requests: each gets an instance of its own.
pub struct Server {
    pre: ProxyPre<RequestState>,
    sessions: SessionsCtx,
    options: ServeOptions,
    instances: Arc<Semaphore>,
}

/// The state of one instance.
struct RequestState {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoNetwork,
    table: ResourceTable,
    sessions: SessionsCtx,
}

/// A component may answer requests, not make them.
struct NoNetwork;

impl Server {
    /// Compiles a component and links it to the sessions' store. It gets
    /// WASI's HTTP, clocks and random numbers; no files, no environment, no
    /// network.
    pub fn new(
        engine: &Engine,
        component: &[u8],
        sessions: SessionsCtx,
        options: ServeOptions,
    ) -> wasmtime::Result<Self> {
        let component = Component::new(engine, component)?;
        let mut linker = Linker::new(engine);
        wasmtime_wasi_http::p2::add_to_linker_async(&mut linker)?;
        add_to_linker(&mut linker)?;
        Ok(Self {
            pre: ProxyPre::new(linker.instantiate_pre(&component)?)?,
            sessions,
            options,
            instances: Arc::new(Semaphore::new(MAX_INSTANCES as usize)),
        })
    }

    /// Answers requests until `stop` is done; then finishes the ones under way.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let server = Arc::new(self);
        let connections = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => server.clone().connect(stream, address, &connections),
                    // Too many open files, say: others have to end first.
                    Err(error) => {
                        tracing::warn!("a connection was not accepted: {error}");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                () = &mut stop => break,
            }
        }
        drop(listener);
        // Nothing runs longer than the time limit; what hangs then is a client.
        let limit = server.options.time_limit;
        if timeout(limit, connections.shutdown()).await.is_err() {
            tracing::warn!("some clients did not take their answers in time");
        }
        // A component may go on after its response, to save something, say.
        let _ = timeout(limit, server.instances.acquire_many(MAX_INSTANCES)).await;
    }

    fn connect(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        connections: &GracefulShutdown,
    ) {
        // Without it, a small response waits for the client's acknowledgement.
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request| {
            let server = self.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("{address}: {error}");
            }
        });
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<HyperOutgoingBody> {
        // wasi:http cannot say it otherwise (RFC 9112 §3.2).
        if request.uri().authority().is_none() && !request.headers().contains_key(header::HOST) {
            return failure(StatusCode::BAD_REQUEST, "The request names no host.\n");
        }
        match self.run(request).await {
            Ok(response) => response,
            Err(Failure::TimedOut) => {
                tracing::error!("a request ran into its time limit");
                failure(StatusCode::GATEWAY_TIMEOUT, "The request took too long.\n")
            }
            Err(Failure::Guest(error)) => {
                tracing::error!("a request failed: {error}");
                failure(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "The application failed.\n",
                )
            }
        }
    }

    /// Runs the component in a task of its own, which may go on after the
    /// response's head.
    async fn run(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<HyperOutgoingBody>, Failure> {
        let (sender, receiver) = oneshot::channel();
        let mut store = self.store();
        let scheme = if self.options.is_secure {
            Scheme::Https
        } else {
            Scheme::Http
        };
        let mut http = store.data_mut().http();
        let request = http.new_incoming_request(scheme, request)?;
        let out = http.new_response_outparam(sender)?;
        let pre = self.pre.clone();
        let instances = self.instances.clone();
        let time_limit = self.options.time_limit;
        let task = tokio::spawn(async move {
            let work = async {
                let _instance = instances.acquire().await;
                let proxy = pre.instantiate_async(&mut store).await?;
                let handler = proxy.wasi_http_incoming_handler();
                handler.call_handle(&mut store, request, out).await
            };
            timeout(time_limit, work).await
        });
        match receiver.await {
            Ok(Ok(response)) => Ok(response.map(|body| WholeBody { body, task }.boxed_unsync())),
            Ok(Err(code)) => Err(Failure::Guest(format!("it answered {code:?}"))),
            // It ended without a response.
            Err(_) => Err(match task.await {
                Ok(Ok(Ok(()))) => Failure::Guest("it did not respond".into()),
                Ok(Ok(Err(error))) => error.into(),
                Ok(Err(_)) => Failure::TimedOut,
                Err(error) => Failure::Guest(error.to_string()),
            }),
        }
    }

    fn store(&self) -> Store<RequestState> {
        let state = RequestState {
            wasi: WasiCtx::builder().build(),
            http: WasiHttpCtx::new(),
            hooks: NoNetwork,
            table: ResourceTable::new(),
            sessions: self.sessions.clone(),
        };
        let mut store = Store::new(self.pre.engine(), state);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        store
    }
}

/// A response's body that ends only when the component did: one that trapped,
/// or ran into the time limit, must not look like a whole one to the client.
struct WholeBody {
    body: HyperOutgoingBody,
    task: JoinHandle<Result<wasmtime::Result<()>, Elapsed>>,
}

impl Body for WholeBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)) {
            return Poll::Ready(Some(frame));
        }
        match ready!(Pin::new(&mut self.task).poll(context)) {
            Ok(Ok(Ok(()))) => Poll::Ready(None),
            _ => Poll::Ready(Some(Err(Error::HttpResponseIncomplete))),
        }
    }
}

/// Why a request got no response from the component.
enum Failure {
    TimedOut,
    Guest(String),
}

impl From<wasmtime::Error> for Failure {
    /// The cause without the backtrace: one line in the log.
    fn from(error: wasmtime::Error) -> Self {
        Self::Guest(error.root_cause().to_string())
    }
}

fn failure(status: StatusCode, text: &'static str) -> Response<HyperOutgoingBody> {
    let body = Full::new(Bytes::from_static(text.as_bytes()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}

impl WasiHttpHooks for NoNetwork {
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Transfer), Error>> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}

impl WasiView for RequestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for RequestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

impl SessionsView for RequestState {
    fn sessions(&mut self) -> &mut SessionsCtx {
        &mut self.sessions
    }
}
