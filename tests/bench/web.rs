//! Benchmarks of whole requests over HTTP, which the program wrk sends: to the demo with its
//! sessions, in several languages, to the same page without sessions, to hyper alone, and to other
//! frameworks with the sessions that they usually have.

use std::convert::Infallible;
use std::path::Path;
use std::time::Instant;
use std::{fs, thread};

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
use crate::targets::Targets;
use crate::web_peers::{Peers, Server};
use session3_test_program::{Browser, Demo, Site};
use session3_test_support::directory::Directory;
use session3_test_support::picture::{self, Picture};

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

/// The servers of the pages: ours, and those of the peers.
struct Servers {
    /// hyper, with a page that does not change.
    alone: String,
    /// The demo's page without sessions: a new instance for each request, and used again.
    plain: [Demo; 2],
    /// The demo in Rust: a new instance for each request, and used again.
    demo: [Demo; 2],
    /// Applications in other languages, in the same two ways, and the page that creates a session.
    languages: Vec<(&'static str, [Demo; 2], &'static str)>,
    /// axum with our layer.
    layer: Server,
    peers: Peers,
}

impl Servers {
    fn start(runtime: &Runtime, directory: &Path) -> Self {
        let both = |name: &str, application: &[u8]| {
            REUSES.map(|reuse| serve(directory, &format!("{name}-{reuse}"), application, reuse))
        };
        let demo = both("demo", DEMO);
        let page = Browser::new().get(&demo[0], "").text;
        let languages =
            LANGUAGES.map(|(name, file, first)| (name, both(file, &application(file)), first));
        let program = std::env::current_exe().unwrap();
        let layer = Server::start(program.to_str().unwrap(), |command, port| {
            command.args(["axum", port]).arg(directory.join("layer"));
        });
        Self {
            alone: runtime.block_on(serve_alone(page)),
            plain: both("plain", PLAIN),
            demo,
            languages: languages.into(),
            layer,
            peers: Peers::start(directory),
        }
    }
}

/// How many requests an instance serves.
pub const REUSES: [u32; 2] = [1, 1000];

/// The name of an application in another language, its file, and its page that creates a session.
pub const LANGUAGES: [(&str, &str, &str); 4] = [
    ("C", "c", "keep"),
    ("JavaScript", "javascript", "keep"),
    ("Python", "python", "keep"),
    ("Flask", "python-flasking", "add/tea"),
];

/// Reads an application that `make guests` builds.
pub fn application(file: &str) -> Vec<u8> {
    let path = format!("{}/../guests/{file}.wasm", env!("CARGO_TARGET_TMPDIR"));
    fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The pages of a run.
struct Pages<'a> {
    directory: &'a Path,
    pages: Vec<Page>,
    /// The indexes of each counter page, and of the page that adds 1 to it.
    counters: Vec<[usize; 2]>,
}

impl Pages<'_> {
    /// Adds a page, whose visitors have sessions of their own, and returns its index.
    fn add(&mut self, name: &str, server: &impl Site, first: &str, page: &str) -> usize {
        let index = self.pages.len();
        let file = self.directory.join(format!("{index}.cookies"));
        let visitors = visitors(server, first, file);
        self.pages
            .push(Page::new(name, server.url(), page, &visitors));
        index
    }

    /// Adds a counter page, and the page that adds 1 to it.
    fn add_counter(&mut self, name: &str, server: &impl Site) -> [usize; 2] {
        let counter = [("", ""), (", add 1", "increment")]
            .map(|(what, page)| self.add(&format!("{name}{what}"), server, "keep", page));
        self.counters.push(counter);
        counter
    }

    /// Draws the rates of the counter pages.
    fn picture(&self) -> Picture {
        let server = |[page, add]: &[usize; 2]| picture::Server {
            name: self.pages[*page].name.clone(),
            pages: self.pages[*page].rate(),
            additions: self.pages[*add].rate(),
        };
        let servers: Vec<_> = self.counters.iter().map(server).collect();
        picture::of_servers(&servers)
    }

    /// Prints the ratio of the rates of two pages, and returns it.
    fn ratio(&self, what: &str, [one, other]: [usize; 2]) -> f64 {
        line(what, &self.pages[one].to(&self.pages[other]), 2)
    }
}

fn measure_pages(plan: &Plan, runtime: &Runtime, directory: &Path, targets: &mut Targets) {
    let servers = Servers::start(runtime, directory);
    let mut pages = Pages {
        directory,
        pages: Vec::new(),
        counters: Vec::new(),
    };
    let [fresh, again] = ["new instances", "used again"];
    let [demo, demo_again] = &servers.demo;
    pages.add("hyper alone, a fixed answer", &servers.alone, "", "");
    let plain = pages.add(&format!("no sessions, {fresh}"), &servers.plain[0], "", "");
    let plain_again = pages.add(&format!("no sessions, {again}"), &servers.plain[1], "", "");
    let ours = pages.add_counter(&format!("session3, {fresh}"), demo);
    let ours_again = pages.add_counter(&format!("session3, {again}"), demo_again);
    let languages: Vec<_> = servers
        .languages
        .iter()
        .map(|(name, both, first)| {
            let fresh = pages.add(&format!("{name}, {fresh}"), &both[0], first, "");
            (
                *name,
                [
                    pages.add(&format!("{name}, {again}"), &both[1], first, ""),
                    fresh,
                ],
            )
        })
        .collect();
    let layer = pages.add_counter("axum, session3's layer", &servers.layer);
    let peers = &servers.peers;
    let axum_files = pages.add_counter("axum, tower-sessions in files", &peers.axum_files);
    let axum_redis = pages.add_counter("axum, tower-sessions in Redis", &peers.axum_redis);
    let others: Vec<_> = peers
        .others
        .iter()
        .map(|(name, server)| (*name, pages.add_counter(name, server)))
        .collect();
    page::measure(plan, &mut pages.pages);
    if let Ok(file) = std::env::var("PICTURE") {
        fs::write(file, pages.picture().svg()).unwrap();
    }

    println!();
    let mut at_least = |what: &str, ratio: [usize; 2], bound: f64| {
        let ratio = pages.ratio(what, ratio);
        targets.at_least(what, ratio, bound);
    };
    at_least("to no sessions, new instances", [ours[0], plain], 0.8);
    at_least(
        "to no sessions, used again",
        [ours_again[0], plain_again],
        0.9,
    );
    at_least("used again to new, Rust", [ours_again[0], ours[0]], 1.5);
    for (name, ratio) in languages {
        let bound = match name {
            "C" => 1.5,
            "Python" => 10.0,
            _ => 5.0,
        };
        at_least(&format!("used again to new, {name}"), ratio, bound);
    }
    at_least("the layer to axum's files", [layer[0], axum_files[0]], 0.8);
    at_least(
        "used again to axum's files",
        [ours_again[0], axum_files[0]],
        0.5,
    );
    at_least(
        "used again to axum's Redis",
        [ours_again[0], axum_redis[0]],
        0.8,
    );
    for (name, page) in others {
        let bound = if name.starts_with("Session3") {
            10.0
        } else {
            1.0
        };
        at_least(
            &format!("used again to {name}"),
            [ours_again[0], page[0]],
            bound,
        );
    }
    print_waits(
        plan,
        runtime,
        &pages,
        [[plain, ours[0]], [plain_again, ours_again[0]]],
        targets,
    );
    print_lost(plan, &servers, targets);
}

/// Prints how long clients wait for pages without and with sessions, each with new instances
/// and with those that are used again.
fn print_waits(
    plan: &Plan,
    runtime: &Runtime,
    pages: &Pages,
    pairs: [[usize; 2]; 2],
    targets: &mut Targets,
) {
    println!("\nms within which 99 of 100 requests are answered, at half of the greatest rate:\n");
    let window = plan.window * 5;
    for pair in pairs {
        let [plain, ours] = pair.map(|index| &pages.pages[index]);
        let rounds =
            (0..plan.rounds).map(|_| [plain, ours].map(|page| page.percentile_99(runtime, window)));
        let (without, with): (Vec<_>, Vec<_>) = rounds.map(<[f64; 2]>::into).unzip();
        let ratios = with
            .iter()
            .zip(&without)
            .map(|(with, without)| with / without);
        let ratios: Vec<_> = ratios.collect();
        line(&plain.name, &without, 2);
        line(&ours.name, &with, 2);
        let what = format!("{}: to no sessions", ours.name);
        targets.at_most(&what, line(&what, &ratios, 2), 1.5);
    }
}

/// Prints how many of the additions of several visitors at once are lost.
fn print_lost(plan: &Plan, servers: &Servers, targets: &mut Targets) {
    let each = if plan.budget.is_zero() { 10 } else { 200 };
    println!("\nof {WRITERS} × {each} additions to one session at once, lost:\n");
    let ours = lost("session3", &servers.demo[0], each);
    let again = lost("session3, used again", &servers.demo[1], each);
    let layer = lost("axum, session3's layer", &servers.layer, each);
    targets.at_most(
        "lost additions of session3",
        f64::from(ours + again + layer),
        0.0,
    );
    lost(
        "axum, tower-sessions in files",
        &servers.peers.axum_files,
        each,
    );
    lost(
        "axum, tower-sessions in Redis",
        &servers.peers.axum_redis,
        each,
    );
    for (name, server) in &servers.peers.others {
        lost(name, server, each);
    }
}

/// The number of those who add to a session at once.
const WRITERS: u32 = 4;

/// Lets several visitors with one session add to its counter at once, and prints and returns how
/// many of the additions that were answered without an error are not in it.
fn lost(name: &str, server: &(impl Site + Sync), each: u32) -> u32 {
    let mut browser = Browser::new();
    browser.get(server, "keep");
    let cookie = browser.cookie.clone();
    let acknowledged: u32 = thread::scope(|scope| {
        let add = || {
            let mut browser = Browser::new();
            browser.cookie.clone_from(&cookie);
            let status = (0..each).map(|_| browser.get(server, "increment").status);
            status.filter(|status| *status < 400).count() as u32
        };
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(add)).collect();
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .sum()
    });
    let (_, counter) = browser.look(server);
    let lost = acknowledged - counter as u32;
    println!("  {name:<44}{lost:>9}");
    lost
}

/// Measures the time from the start of the program to its first response to a visitor with a
/// session. The compiled code of the components is already in the cache.
fn measure_start(plan: &Plan, directory: &Path, targets: &mut Targets) {
    let mut browser = Browser::new();
    let (mut listening, mut answered) = (Vec::new(), Vec::new());
    for round in 0..=plan.rounds {
        let start = Instant::now();
        let demo = serve(directory, "start", DEMO, 1);
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

/// Starts `session3 serve` with an application and a directory store. An instance serves `reuse`
/// requests.
fn serve(directory: &Path, name: &str, application: &[u8], reuse: u32) -> Demo {
    let store = directory.join(format!("{name}.sessions"));
    let reuse = ["--max-instance-reuse", &reuse.to_string()];
    page::serve(
        directory,
        name,
        application,
        store.to_str().unwrap(),
        &reuse,
    )
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
