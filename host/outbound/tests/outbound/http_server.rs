//! A server of hyper, which echoes requests.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A server on 127.0.0.1 that runs until it is dropped.
pub struct HttpServer {
    pub address: SocketAddr,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    closed: AtomicUsize,
    requests: AtomicUsize,
}

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

impl HttpServer {
    /// Starts a server whose responses have the bodies of their requests.
    pub async fn echo(tls: Option<TlsAcceptor>) -> Self {
        Self::start(tls, |request| Response::new(request.into_body().boxed())).await
    }

    pub async fn start(
        tls: Option<TlsAcceptor>,
        answer: impl Fn(Request<Incoming>) -> Answer + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let counted = counts.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.connections.fetch_add(1, Ordering::SeqCst);
                let (tls, answer, counted) = (tls.clone(), answer.clone(), counted.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, false, answer, &counted).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                                serve(stream, is_http2, answer, &counted).await;
                            }
                        }
                    }
                    counted.closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            address,
            counts,
            task,
        }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Returns the number of connections that there were.
    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    /// Returns the number of connections that are open.
    pub fn open_connections(&self) -> usize {
        self.connections() - self.counts.closed.load(Ordering::SeqCst)
    }

    /// Returns the number of requests that there were.
    pub fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    is_http2: bool,
    answer: impl Fn(Request<Incoming>) -> Answer,
    counts: &Counts,
) {
    let service = service_fn(|request| {
        counts.requests.fetch_add(1, Ordering::SeqCst);
        let answer = answer(request);
        async { Ok::<_, Infallible>(answer) }
    });
    let stream = TokioIo::new(stream);
    let _ = if is_http2 {
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.serve_connection(stream, service).await
    } else {
        let builder = hyper::server::conn::http1::Builder::new();
        builder.serve_connection(stream, service).await
    };
}

/// Returns a response with this text.
pub fn text_answer(text: impl Into<Bytes>) -> Answer {
    Response::new(
        Full::new(text.into())
            .map_err(|never| match never {})
            .boxed(),
    )
}
