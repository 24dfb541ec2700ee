//! Benchmarks of whole requests over HTTP, which the program wrk sends: to the demo with its
//! sessions, to the same page without sessions, to hyper alone, and to Session3, the Python
//! library, on Quixote's own server.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use session3_components::DEMO;
use session3_test_fixtures::PLAIN;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::peers;
use crate::targets::Targets;
use crate::{Plan, median};
use session3_test_program::{Browser, Demo, session3};
use session3_test_support::directory::{Directory, file_system};

/// The script of wrk.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/visitors.lua");
/// The number of connections that wrk keeps.
const CONNECTIONS: &str = "8";
/// The number of visitors, each with a session.
const VISITORS: usize = 64;

/// A page that wrk requests, and the rates that it had.
struct Page {
    name: &'static str,
    url: String,
    /// The file with the cookies of the visitors.
    visitors: PathBuf,
    /// The responses per second, in each round.
    rates: Vec<f64>,
}

/// Measures the pages and the start of the program, on one file system.
pub fn measure(plan: &Plan, runtime: &Runtime, place: &Path) {
    let directory = Directory::new(place, "web");
    let directory = directory.path();
    let Plan { rounds, .. } = plan;
    println!("\n{}", file_system(place));
    println!("requests over HTTP, {CONNECTIONS} at a time; answers a second, {rounds} rounds\n");
    println!("{:<36}{:>9}{:>9}{:>9}", "", "median", "least", "most");
    let mut targets = Targets::default();
    measure_pages(plan, runtime, directory, &mut targets);
    measure_start(plan, directory, &mut targets);
    targets.print();
}

fn measure_pages(plan: &Plan, runtime: &Runtime, directory: &Path, targets: &mut Targets) {
    let demo = serve(directory, "demo", DEMO);
    let plain = serve(directory, "plain", PLAIN);
    let session3 = serve_session3(&directory.join("session3"));
    let ours = visitors(&demo, directory.join("demo.cookies"));
    let theirs = visitors(&session3, directory.join("session3.cookies"));
    let alone = runtime.block_on(serve_alone(Browser::new().get(&demo, "").text));
    let mut pages = [
        Page::new("hyper alone, a fixed answer", &alone, "", &ours),
        Page::new("the page without sessions", &plain.url, "", &ours),
        Page::new("the counter page", &demo.url, "", &ours),
        Page::new("add 1 to the counter", &demo.url, "increment", &ours),
        Page::new("Session3's counter page", &session3.url, "", &theirs),
        Page::new("Session3, add 1", &session3.url, "increment", &theirs),
    ];
    // The first round only warms up.
    for round in 0..=plan.rounds {
        for page in &mut pages {
            let rate = page.ask();
            if round > 0 {
                page.rates.push(rate);
            }
        }
    }
    for Page { name, rates, .. } in &pages {
        line(name, rates, 0);
    }
    let [_, without, shows, adds, their_page, their_adding] = &pages;
    let to_none = line("the counter page: to none", &shows.to(without), 2);
    targets.at_least("the counter page's rate to none", to_none, 0.75);
    line("add 1: to no sessions", &adds.to(without), 2);
    let to_session3 = line("the counter page: to Session3", &shows.to(their_page), 1);
    targets.at_least("the counter page's rate to Session3's", to_session3, 8.0);
    line("add 1: to Session3", &adds.to(their_adding), 1);
}

impl Page {
    fn new(name: &'static str, server: &str, page: &str, visitors: &Path) -> Self {
        Self {
            name,
            url: format!("{server}{page}"),
            visitors: visitors.to_owned(),
            rates: Vec::new(),
        }
    }

    /// Lets wrk request the page for a second, and returns the responses per second.
    fn ask(&self) -> f64 {
        let output = Command::new("wrk")
            .args(["--threads", "1", "--connections", CONNECTIONS])
            .args(["--duration", "1s", "--script", SCRIPT, &self.url])
            .arg(&self.visitors)
            .output()
            .unwrap_or_else(|error| panic!("wrk: {error}; tools/install-peers installs it"));
        let said = String::from_utf8(output.stdout).unwrap();
        let answers = said.lines().find_map(|line| line.strip_prefix("answers "));
        let Some((rate, "0")) = answers.and_then(|answers| answers.split_once(' ')) else {
            panic!("{}: {said}", self.name);
        };
        rate.parse().unwrap()
    }

    /// Returns the ratio of the rate to that of another page, in each round.
    fn to(&self, other: &Self) -> Vec<f64> {
        let rounds = self.rates.iter().zip(&other.rates);
        rounds.map(|(ours, other)| ours / other).collect()
    }
}

/// Measures the time from the start of the program to its first response to a visitor with a
/// session. The compiled code of the components is already in the cache.
fn measure_start(plan: &Plan, directory: &Path, targets: &mut Targets) {
    let mut browser = Browser::new();
    let (mut listening, mut answered) = (Vec::new(), Vec::new());
    for round in 0..=plan.rounds {
        let start = Instant::now();
        let demo = serve(directory, "demo", DEMO);
        let listens = start.elapsed();
        assert_eq!(browser.get(&demo, "").status, 200);
        let answers = start.elapsed();
        if round == 0 {
            browser.get(&demo, "keep");
            continue;
        }
        listening.push(listens.as_secs_f64() * 1e3);
        answered.push(answers.as_secs_f64() * 1e3);
    }
    line("ms from start until it listens", &listening, 1);
    let first = line("ms from start to its first answer", &answered, 1);
    targets.at_most("ms from start to its first answer", first, 50.0);
}

/// Starts `session3 serve` with an application.
fn serve(directory: &Path, name: &str, application: &[u8]) -> Demo {
    let file = directory.join(format!("{name}.wasm"));
    fs::write(&file, application).unwrap();
    let mut command = session3();
    command.arg("serve").arg(file).args(["--grant", "admin"]);
    Demo::run(command.arg("--store").arg(directory.join(name)))
}

fn serve_session3(directory: &Path) -> Demo {
    let mut command = peers::python("counter.py");
    // The server reports clients that disconnect when their second is over.
    Demo::run(command.arg(directory).stderr(Stdio::null()))
}

/// Creates the sessions of the visitors, and writes their cookies to a file.
fn visitors(server: &Demo, file: PathBuf) -> PathBuf {
    let cookies: String = (0..VISITORS)
        .map(|_| {
            let mut browser = Browser::new();
            browser.get(server, "keep");
            browser.cookie + "\n"
        })
        .collect();
    fs::write(&file, cookies).unwrap();
    file
}

/// Starts a server that answers every request with this page, and returns its URL.
async fn serve_alone(page: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let page = Bytes::from(page);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let page = page.clone();
            let answer = service_fn(move |_: Request<Incoming>| {
                let response = Response::new(Full::new(page.clone()));
                async { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
            // The connection ends when its client disconnects.
            tokio::spawn(async { connection.await.unwrap_or_default() });
        }
    });
    url
}

/// Prints a line of the table, and returns the median.
fn line(name: &str, values: &[f64], digits: usize) -> f64 {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    let median = median(values.to_vec());
    println!("  {name:<34}{median:>9.digits$}{least:>9.digits$}{most:>9.digits$}");
    median
}
