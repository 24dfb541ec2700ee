//! `--metrics ADDRESS`: numbers for Prometheus at `/metrics`, and `/healthz`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use session3::metrics::{COMMIT_SECONDS, EVENTS, STORE_SECONDS};
use tokio::net::{TcpListener, TcpStream};

/// From a load of a kept file to a flush that waits for others.
const BUCKETS: [f64; 14] = [
    0.000_002, 0.000_005, 0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.005,
    0.02, 0.1, 1.0, 5.0,
];

/// How often numbers are gathered that nobody has asked for, which would otherwise
/// pile up.
const UPKEEP: Duration = Duration::from_secs(5);

/// Collects from now on, and answers on this address for as long as the program
/// runs.
pub async fn serve(address: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: choose another one with --metrics")
    })?;
    let address = listener.local_addr()?;
    let handle = PrometheusBuilder::new()
        .set_buckets(&BUCKETS)?
        .install_recorder()?;
    metrics::describe_counter!(EVENTS, "What happened to sessions");
    metrics::describe_histogram!(STORE_SECONDS, "Time of each operation of the store");
    metrics::describe_histogram!(COMMIT_SECONDS, "Time of each commit, merges included");
    tokio::spawn(keep_up(handle.clone()));
    tokio::spawn(accept(listener, handle));
    Ok(address)
}

async fn keep_up(handle: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}

async fn accept(listener: TcpListener, handle: PrometheusHandle) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connect(stream, handle.clone()))),
            Err(error) => {
                tracing::warn!("a connection to the metrics was not accepted: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connect(stream: TcpStream, handle: PrometheusHandle) {
    let service = service_fn(move |request| {
        let response = answer(&request, &handle);
        async move { Ok::<_, Infallible>(response) }
    });
    let builder = Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!("a connection to the metrics failed: {error}");
    }
}

fn answer(request: &Request<Incoming>, handle: &PrometheusHandle) -> Response<Full<Bytes>> {
    let (status, text) = match request.uri().path() {
        "/metrics" => (StatusCode::OK, handle.render()),
        "/healthz" => (StatusCode::OK, "fine\n".into()),
        _ => (StatusCode::NOT_FOUND, "Try /metrics or /healthz.\n".into()),
    };
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let plain = header::HeaderValue::from_static("text/plain; version=0.0.4");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
