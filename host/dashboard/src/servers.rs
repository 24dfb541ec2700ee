//! The metrics of running servers, which are asked for them again and again while an operator
//! looks.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use parking_lot::{Mutex, RwLock};
use session3::metrics::{
    CONNECTIONS_OPEN, EVENTS, REQUEST_SECONDS, REQUESTS, REQUESTS_RUNNING, STORE_SECONDS,
};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::metrics_text::{Series, parse};

/// How often the servers are asked.
const INTERVAL: Duration = Duration::from_secs(2);
/// The number of answers that are kept: those of two minutes.
const MAX_SAMPLES: usize = 61;
/// How long the servers are asked after the last look.
const ATTENTION: Duration = Duration::from_secs(600);
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The largest answer, in bytes.
const MAX_ANSWER: usize = 8 << 20;

/// The address of the metrics of a server: `http://HOST:PORT`, with the path `/metrics` unless it
/// has another one.
///
/// ```
/// use session3_dashboard::servers::MetricsUrl;
///
/// let url: MetricsUrl = "http://127.0.0.1:9090".parse().expect("a URL");
/// assert_eq!(url.to_string(), "http://127.0.0.1:9090/metrics");
/// assert!("127.0.0.1:9090".parse::<MetricsUrl>().is_err());
/// ```
#[derive(Clone, Debug)]
pub struct MetricsUrl {
    host: String,
    port: u16,
    path: String,
}

/// A text that is not a [`MetricsUrl`].
#[derive(Debug, Error)]
#[error("write http://HOST:PORT, as `session3 serve --metrics` prints it")]
pub struct NotAMetricsUrl;

impl FromStr for MetricsUrl {
    type Err = NotAMetricsUrl;

    fn from_str(text: &str) -> Result<Self, NotAMetricsUrl> {
        let uri: Uri = text.parse().map_err(|_| NotAMetricsUrl)?;
        let authority = uri.authority().ok_or(NotAMetricsUrl)?;
        // A user and a password would be sent nowhere.
        if uri.scheme_str() != Some("http") || authority.as_str().contains('@') {
            return Err(NotAMetricsUrl);
        }
        Ok(Self {
            host: authority.host().into(),
            port: authority.port_u16().unwrap_or(80),
            path: match uri.path() {
                "/" => "/metrics".into(),
                path => path.into(),
            },
        })
    }
}

impl fmt::Display for MetricsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}{}", self.host, self.port, self.path)
    }
}

/// Why a server did not give its metrics.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NoMetrics {
    /// It did not answer in time.
    #[error("it does not answer within 2 seconds")]
    TooLate,
    /// There was no connection.
    #[error("it cannot be reached: {0}")]
    Unreachable(#[source] std::io::Error),
    /// It closed the connection, or did not speak HTTP.
    #[error("its answer cannot be read: {0}")]
    Http(#[from] hyper::Error),
    /// Its answer is too large, or broke off.
    #[error("its answer cannot be read: {0}")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It answered with an error.
    #[error("it answers with {0}")]
    Status(StatusCode),
}

impl MetricsUrl {
    /// Asks the server for its metrics.
    ///
    /// # Errors
    ///
    /// See [`NoMetrics`].
    pub async fn ask(&self) -> Result<Totals, NoMetrics> {
        let text = timeout(TIMEOUT, self.fetch()).await;
        Ok(Totals::read(&text.map_err(|_| NoMetrics::TooLate)??))
    }

    async fn fetch(&self) -> Result<String, NoMetrics> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, self.port)).await;
        let stream = TokioIo::new(stream.map_err(NoMetrics::Unreachable)?);
        let (mut sender, connection) = http1::handshake(stream).await?;
        // It ends with the sender.
        let connection = tokio::spawn(connection);
        let mut request = Request::new(Empty::<Bytes>::new());
        if let Ok(path) = self.path.parse() {
            *request.uri_mut() = path;
        }
        if let Ok(host) = format!("{}:{}", self.host, self.port).parse() {
            request.headers_mut().insert(header::HOST, host);
        }
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(NoMetrics::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await;
        connection.abort();
        let body = body.map_err(NoMetrics::Body)?.to_bytes();
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

/// What a server has counted, since its start or during some time.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// The number of requests, by status.
    pub requests: BTreeMap<String, f64>,
    /// How long the requests took.
    pub request_seconds: Histogram,
    /// How long each operation of the store took.
    pub store_seconds: BTreeMap<String, Histogram>,
    /// The number of saves and touches that met those of another request.
    pub conflicts: f64,
    /// The number of events, by event and reason.
    pub events: BTreeMap<String, f64>,
    /// The number of requests that run at this moment.
    pub running: f64,
    /// The number of connections that are open at this moment.
    pub connections: f64,
}

/// Numbers of durations, by upper bounds in seconds.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// The upper bounds in ascending order, and how many durations were at most that long.
    buckets: Vec<(f64, f64)>,
}

impl Totals {
    /// Reads the text of a server's metrics.
    fn read(text: &str) -> Self {
        let mut totals = Self::default();
        let request_buckets = format!("{REQUEST_SECONDS}_bucket");
        let store_buckets = format!("{STORE_SECONDS}_bucket");
        let store_count = format!("{STORE_SECONDS}_count");
        for series in parse(text).filter(|series| series.value.is_finite()) {
            let label = |name: &str| series.labels.get(name).cloned().unwrap_or_default();
            match series.name.as_str() {
                REQUESTS => *totals.requests.entry(label("status")).or_default() += series.value,
                REQUESTS_RUNNING => totals.running = series.value,
                CONNECTIONS_OPEN => totals.connections = series.value,
                EVENTS => {
                    let (event, reason) = (label("event"), label("reason"));
                    let name = match reason.as_str() {
                        "" => event,
                        reason => format!("{event}: {reason}"),
                    };
                    *totals.events.entry(name).or_default() += series.value;
                }
                name if name == request_buckets => totals.request_seconds.add(&series),
                name if name == store_buckets => {
                    let operation = totals.store_seconds.entry(label("operation"));
                    operation.or_default().add(&series);
                }
                name if name == store_count && label("result") == "conflict" => {
                    totals.conflicts += series.value;
                }
                _ => {}
            }
        }
        totals
    }

    /// Returns what was counted since `earlier`. The numbers of a moment stay as they are.
    fn since(&self, earlier: &Self) -> Self {
        let store_seconds = self.store_seconds.iter().map(|(name, histogram)| {
            let change = match earlier.store_seconds.get(name) {
                Some(earlier) => histogram.since(earlier),
                None => histogram.clone(),
            };
            (name.clone(), change)
        });
        Self {
            requests: since(&self.requests, &earlier.requests),
            request_seconds: self.request_seconds.since(&earlier.request_seconds),
            store_seconds: store_seconds.collect(),
            conflicts: grown(self.conflicts, earlier.conflicts),
            events: since(&self.events, &earlier.events),
            running: self.running,
            connections: self.connections,
        }
    }

    /// Returns the number of all requests.
    pub fn all_requests(&self) -> f64 {
        self.requests.values().sum()
    }
}

/// Returns how much counters have grown.
fn since(now: &BTreeMap<String, f64>, earlier: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let grown = now.iter().map(|(name, value)| {
        let earlier = earlier.get(name).copied().unwrap_or_default();
        (name.clone(), grown(*value, earlier))
    });
    grown.collect()
}

/// Returns how much a counter has grown. One that is smaller than before has begun anew, with the
/// server.
fn grown(now: f64, earlier: f64) -> f64 {
    if now < earlier { now } else { now - earlier }
}

impl Histogram {
    fn add(&mut self, series: &Series) {
        let bound = series
            .labels
            .get("le")
            .and_then(|bound| bound.parse::<f64>().ok());
        let Some(bound) = bound.filter(|bound| !bound.is_nan()) else {
            return;
        };
        match self
            .buckets
            .binary_search_by(|(other, _)| other.total_cmp(&bound))
        {
            Ok(place) => self.buckets[place].1 += series.value,
            Err(place) => self.buckets.insert(place, (bound, series.value)),
        }
    }

    fn since(&self, earlier: &Self) -> Self {
        let buckets = self.buckets.iter().map(|(bound, count)| {
            let before = earlier.buckets.iter().find(|(other, _)| other == bound);
            (
                *bound,
                grown(*count, before.map_or(0.0, |(_, count)| *count)),
            )
        });
        Self {
            buckets: buckets.collect(),
        }
    }

    /// Returns the number of durations.
    pub fn count(&self) -> f64 {
        self.buckets.last().map_or(0.0, |(_, count)| *count)
    }

    /// Returns the duration that this part of all durations does not exceed, estimated within the
    /// bounds of a bucket; `None` if there are no durations.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let wanted = self.count() * part;
        let mut before = (0.0, 0.0);
        for (bound, count) in &self.buckets {
            if *count >= wanted && *count > before.1 {
                let share = (wanted - before.1) / (count - before.1);
                // Above the highest bound, nothing is known but that bound.
                let seconds = match bound.is_finite() {
                    true => before.0 + (bound - before.0) * share.clamp(0.0, 1.0),
                    false => before.0,
                };
                return Duration::try_from_secs_f64(seconds).ok();
            }
            before = (*bound, *count);
        }
        None
    }
}

/// A server, and what it has answered during the last two minutes.
pub struct Server {
    url: MetricsUrl,
    state: RwLock<Answers>,
}

#[derive(Default)]
struct Answers {
    samples: VecDeque<(Instant, Totals)>,
    problem: Option<String>,
}

/// What a server did during the time for which its answers are known.
pub struct Window {
    /// The length of that time; zero after the first answer.
    pub time: Duration,
    /// What was counted during that time.
    pub change: Totals,
    /// The number of requests in a second, from answer to answer.
    pub request_rates: Vec<f64>,
    /// The number of conflicts in a second between the last two answers.
    pub conflict_rate: f64,
}

impl Server {
    /// Creates a server that was not asked yet.
    pub fn new(url: MetricsUrl) -> Self {
        Self {
            url,
            state: RwLock::default(),
        }
    }

    /// Returns the address of its metrics.
    pub fn url(&self) -> &MetricsUrl {
        &self.url
    }

    /// Asks it for its metrics, and keeps the answer.
    pub async fn ask(&self) {
        let answer = self.url.ask().await;
        let mut state = self.state.write();
        match answer {
            Ok(totals) => {
                state.problem = None;
                state.samples.push_back((Instant::now(), totals));
                if state.samples.len() > MAX_SAMPLES {
                    state.samples.pop_front();
                }
            }
            Err(error) => state.problem = Some(error.to_string()),
        }
    }

    /// Returns why the last question was not answered.
    pub fn problem(&self) -> Option<String> {
        self.state.read().problem.clone()
    }

    /// Returns what the server did during the last two minutes; `None` before its first answer.
    pub fn window(&self) -> Option<Window> {
        let state = self.state.read();
        let (first, last) = (state.samples.front()?, state.samples.back()?);
        let pairs = state.samples.iter().zip(state.samples.iter().skip(1));
        let rates: Vec<_> = pairs
            .map(|((earlier, before), (at, totals))| {
                let seconds = at.duration_since(*earlier).as_secs_f64().max(0.001);
                let change = totals.since(before);
                (change.all_requests() / seconds, change.conflicts / seconds)
            })
            .collect();
        Some(Window {
            time: last.0.duration_since(first.0),
            change: last.1.since(&first.1),
            request_rates: rates.iter().map(|(requests, _)| *requests).collect(),
            conflict_rate: rates.last().map_or(0.0, |(_, conflicts)| *conflicts),
        })
    }
}

/// Servers that are asked in the background.
pub struct Servers {
    servers: Vec<Server>,
    looked: Mutex<Instant>,
    wanted: Notify,
}

impl Servers {
    /// Starts to ask these servers, every two seconds while an operator looks.
    pub fn watch(urls: Vec<MetricsUrl>) -> Arc<Self> {
        let servers = Arc::new(Self {
            servers: urls.into_iter().map(Server::new).collect(),
            looked: Mutex::new(Instant::now()),
            wanted: Notify::new(),
        });
        tokio::spawn(servers.clone().run());
        servers
    }

    /// Returns the servers, and notes that an operator looks.
    pub fn look(&self) -> &[Server] {
        *self.looked.lock() = Instant::now();
        self.wanted.notify_one();
        &self.servers
    }

    async fn run(self: Arc<Self>) {
        loop {
            let looked = *self.looked.lock();
            if looked.elapsed() > ATTENTION {
                self.wanted.notified().await;
            }
            for server in &self.servers {
                server.ask().await;
            }
            sleep(INTERVAL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLIER: &str = "\
session3_requests_total{status=\"2xx\"} 10
session3_requests_running 3
session3_store_seconds_count{operation=\"save\",result=\"conflict\"} 1
session3_request_seconds_bucket{le=\"0.1\"} 10
session3_request_seconds_bucket{le=\"1\"} 10
session3_request_seconds_bucket{le=\"+Inf\"} 10
";
    const LATER: &str = "\
session3_requests_total{status=\"2xx\"} 30
session3_requests_total{status=\"5xx\"} 2
session3_requests_running 1
session3_events_total{event=\"ended\",reason=\"idle\"} 4
session3_store_seconds_count{operation=\"save\",result=\"conflict\"} 6
session3_request_seconds_bucket{le=\"0.1\"} 20
session3_request_seconds_bucket{le=\"1\"} 30
session3_request_seconds_bucket{le=\"+Inf\"} 30
";

    #[test]
    fn what_was_counted_between_two_answers_is_known() {
        let change = Totals::read(LATER).since(&Totals::read(EARLIER));
        assert_eq!(change.requests["2xx"], 20.0);
        assert_eq!(change.all_requests(), 22.0);
        assert_eq!(change.conflicts, 5.0);
        assert_eq!(change.events["ended: idle"], 4.0);
        assert_eq!(change.running, 1.0);
        assert_eq!(change.request_seconds.count(), 20.0);
        let quantile = |part| change.request_seconds.quantile(part).expect("durations");
        assert_eq!(quantile(0.5), Duration::from_millis(100));
        assert_eq!(quantile(0.75), Duration::from_millis(550));
    }

    #[test]
    fn a_server_that_has_begun_anew_has_counted_since_its_start() {
        let change = Totals::read(EARLIER).since(&Totals::read(LATER));
        assert_eq!(change.requests["2xx"], 10.0);
        assert_eq!(change.conflicts, 1.0);
    }

    #[test]
    fn hostile_answers_have_no_quantiles() {
        for text in [
            "",
            "session3_request_seconds_bucket{le=\"NaN\"} 1",
            "session3_request_seconds_bucket{le=\"-1e300\"} 5",
            "session3_request_seconds_bucket{le=\"+Inf\"} NaN",
        ] {
            assert_eq!(
                Totals::read(text).request_seconds.quantile(0.5),
                None,
                "{text}"
            );
        }
    }
}
