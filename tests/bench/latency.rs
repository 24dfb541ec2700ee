//! How long clients wait who request a page at a steady rate.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// The number of connections.
const CONNECTIONS: u32 = 8;

/// Requests a page this many times a second, and returns the milliseconds within which 99 of 100
/// requests were answered. The time of a request counts from the moment for which it was planned,
/// so that a server that stalls gains nothing from the requests that wait for it.
pub fn percentile_99(
    runtime: &Runtime,
    url: &str,
    cookies: &[String],
    rate: f64,
    window: Duration,
) -> f64 {
    let url: Uri = url.parse().unwrap();
    let interval = Duration::from_secs_f64(f64::from(CONNECTIONS) / rate);
    let start = Instant::now() + Duration::from_millis(20);
    let mut waits = runtime.block_on(async {
        let mut clients = JoinSet::new();
        for number in 0..CONNECTIONS {
            let cookies = cookies.iter().skip(number as usize).step_by(8).cloned();
            let first = start + interval / CONNECTIONS * number;
            clients.spawn(ask(url.clone(), cookies.collect(), first, interval, window));
        }
        clients.join_all().await.concat()
    });
    waits.sort();
    waits[waits.len() * 99 / 100].as_secs_f64() * 1e3
}

/// Requests the page again and again over one connection, and returns how long each request took.
async fn ask(
    url: Uri,
    cookies: Vec<String>,
    first: Instant,
    interval: Duration,
    window: Duration,
) -> Vec<Duration> {
    let authority = url.authority().unwrap().as_str();
    let stream = TcpStream::connect(authority).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async { connection.await.unwrap_or_default() });
    let (mut waits, mut planned) = (Vec::new(), first);
    for cookie in cookies.iter().cycle() {
        if planned > first + window {
            break;
        }
        tokio::time::sleep_until(planned.into()).await;
        let request = Request::get(url.path())
            .header("Host", authority)
            .header("Cookie", cookie)
            .body(Empty::<Bytes>::new());
        sender.ready().await.unwrap();
        let response = sender.send_request(request.unwrap()).await.unwrap();
        assert!(response.status().is_success(), "{url}: {response:?}");
        response.into_body().collect().await.unwrap();
        waits.push(planned.elapsed());
        planned += interval;
    }
    waits
}
