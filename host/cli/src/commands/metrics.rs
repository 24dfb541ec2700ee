//! `--metrics ADDRESS`: a server with metrics for Prometheus at `/metrics`, and a health
//! check at `/healthz`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use session3::metrics::{INSTANCE_WAIT_SECONDS, REQUEST_SECONDS};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::readiness::Readiness;

/// The upper bounds of the buckets of a histogram, in seconds: from a load of an open
/// file to a flush that waits for other flushes.
const BUCKETS: [f64; 14] = [
    0.000_002, 0.000_005, 0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.005,
    0.02, 0.1, 1.0, 5.0,
];

/// The upper bounds of the buckets of what takes as long as a request, in seconds.
const REQUEST_BUCKETS: [f64; 12] = [
    0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 10.0,
];

/// How often measured values are aggregated. Otherwise they would take more and more memory
/// while no client asks for the metrics.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The largest number of connections at a time. More clients wait.
const MAX_CONNECTIONS: usize = 64;

/// How long a client may take to send the header of a request, and how long a connection may
/// be idle between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest time of a connection, so that a client that reads no response does not occupy
/// one for ever.
const MAX_CONNECTION_TIME: Duration = Duration::from_secs(300);

/// The gauge that is 1, with the `version` of the program.
const BUILD_INFO: &str = "session3_build_info";
/// The gauge that is 1 if the last reload succeeded, and 0 if it failed.
const LAST_RELOAD: &str = "session3_last_reload_successful";

/// Starts to collect metrics.
pub fn collect() -> Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets(&BUCKETS)?
        .set_buckets_for_metric(full(REQUEST_SECONDS), &REQUEST_BUCKETS)?
        .set_buckets_for_metric(full(INSTANCE_WAIT_SECONDS), &REQUEST_BUCKETS)?
        .install_recorder()?;
    session3::metrics::describe();
    describe_gauge!(BUILD_INFO, "1, with the version of the program");
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    describe_gauge!(
        LAST_RELOAD,
        "1 if the last reload succeeded, or there was none; 0 if it failed"
    );
    note_reload(true);
    tokio::spawn(run_upkeep(handle.clone()));
    Ok(handle)
}

/// Notes whether a reload after SIGHUP succeeded in all that it loads.
pub fn note_reload(is_successful: bool) {
    gauge!(LAST_RELOAD).set(f64::from(u8::from(is_successful)));
}

fn full(name: &str) -> Matcher {
    Matcher::Full(name.to_owned())
}

/// Serves metrics on this address for as long as the program runs. Returns the address with the
/// actual port.
pub async fn serve(
    address: SocketAddr,
    handle: PrometheusHandle,
    readiness: Readiness,
) -> Result<SocketAddr> {
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address} for metrics: choose another address with --metrics")
    })?;
    let address = listener.local_addr()?;
    tokio::spawn(accept(listener, handle, readiness));
    Ok(address)
}

async fn run_upkeep(handle: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}

async fn accept(listener: TcpListener, handle: PrometheusHandle, readiness: Readiness) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(permit) = connections.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = serve_connection(stream, handle.clone(), readiness.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!("a connection to the metrics could not be accepted: {error}");
                // Too many files may be open: wait until some are closed.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, handle: PrometheusHandle, readiness: Readiness) {
    let service = service_fn(move |request| {
        let (handle, readiness) = (handle.clone(), readiness.clone());
        async move { Ok::<_, Infallible>(answer(&request, &handle, &readiness).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = timeout(MAX_CONNECTION_TIME, connection).await {
        tracing::debug!("a connection to the metrics failed: {error}");
    }
}

async fn answer(
    request: &Request<Incoming>,
    handle: &PrometheusHandle,
    readiness: &Readiness,
) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Use GET or HEAD.\n".into());
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(header::ALLOW, allowed);
        return response;
    }
    match request.uri().path() {
        "/metrics" => plain(StatusCode::OK, handle.render()),
        "/healthz" => plain(StatusCode::OK, "fine\n".into()),
        "/readyz" => match readiness.check().await {
            Ok(()) => plain(StatusCode::OK, "ready\n".into()),
            Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, why + "\n"),
        },
        _ => plain(
            StatusCode::NOT_FOUND,
            "Try /metrics, /healthz or /readyz.\n".into(),
        ),
    }
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; version=0.0.4");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
