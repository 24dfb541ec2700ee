//! Benchmarks of whole requests over HTTP, which the program wrk sends: to the demo with its
//! sessions, to the same page without sessions, to hyper alone, and to Session3, the Python
//! library, on Quixote's own server.

use std::convert::Infallible;
use std::path::Path;
use std::process::Stdio;
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

use crate::Plan;
use crate::page::{self, Page, line, visitors};
use crate::peers;
use crate::targets::Targets;
use session3_test_program::{Browser, Demo};
use session3_test_support::directory::Directory;

/// Measures the pages and the start of the program, on one file system.
pub fn measure(plan: &Plan, runtime: &Runtime, place: &Path) {
    let directory = Directory::new(place, "web");
    let directory = directory.path();
    page::print_head(plan, place);
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
    page::measure(plan, &mut pages);
    let [_, without, shows, adds, their_page, their_adding] = &pages;
    let to_none = line("the counter page: to none", &shows.to(without), 2);
    targets.at_least("the counter page's rate to none", to_none, 0.75);
    line("add 1: to no sessions", &adds.to(without), 2);
    let to_session3 = line("the counter page: to Session3", &shows.to(their_page), 1);
    targets.at_least("the counter page's rate to Session3's", to_session3, 8.0);
    line("add 1: to Session3", &adds.to(their_adding), 1);
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

/// Starts `session3 serve` with an application and a directory store.
fn serve(directory: &Path, name: &str, application: &[u8]) -> Demo {
    let store = directory.join(name);
    page::serve(directory, name, application, store.to_str().unwrap())
}

fn serve_session3(directory: &Path) -> Demo {
    let mut command = peers::python("counter.py");
    // The server reports clients that disconnect when their second is over.
    Demo::run(command.arg(directory).stderr(Stdio::null()))
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
