//! Pages that the program wrk requests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use session3_test_program::{Browser, Demo, Site, session3};
use session3_test_support::directory::file_system;
use tokio::runtime::Runtime;

use crate::{Plan, latency, median};

/// The script of wrk.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/visitors.lua");
/// The number of connections that wrk keeps.
const CONNECTIONS: &str = "8";
/// The number of visitors, each with a session.
const VISITORS: usize = 64;

/// A page that wrk requests, and the rates that it had.
pub struct Page {
    /// What the page is.
    pub name: String,
    url: String,
    /// The file with the cookies of the visitors.
    visitors: PathBuf,
    /// The responses per second, in each round.
    rates: Vec<f64>,
}

impl Page {
    /// Returns a page of a server, which has no rates yet.
    pub fn new(name: &str, server: &str, page: &str, visitors: &Path) -> Self {
        Self {
            name: name.to_owned(),
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

    /// Returns the median of the responses per second.
    pub fn rate(&self) -> f64 {
        median(self.rates.clone())
    }

    /// Returns the milliseconds within which 99 of 100 requests are answered when they come half
    /// as fast as the page was answered at most.
    pub fn percentile_99(&self, runtime: &Runtime, window: Duration) -> f64 {
        let cookies = fs::read_to_string(&self.visitors).unwrap();
        let cookies: Vec<_> = cookies.lines().map(str::to_owned).collect();
        let rate = self.rate() / 2.0;
        latency::percentile_99(runtime, &self.url, &cookies, rate, window)
    }

    /// Returns the ratio of the rate to that of another page, in each round.
    pub fn to(&self, other: &Self) -> Vec<f64> {
        let rounds = self.rates.iter().zip(&other.rates);
        rounds.map(|(ours, other)| ours / other).collect()
    }
}

/// Prints what the lines that follow show.
pub fn print_head(plan: &Plan, place: &Path) {
    let Plan { rounds, .. } = plan;
    println!("\n{}", file_system(place));
    println!("requests over HTTP, {CONNECTIONS} at a time; answers a second, {rounds} rounds\n");
    println!("{:<46}{:>9}{:>9}{:>9}", "", "median", "least", "most");
}

/// Requests the pages in turn, and prints their rates.
pub fn measure(plan: &Plan, pages: &mut [Page]) {
    // The first round only warms up.
    for round in 0..=plan.rounds {
        for page in &mut *pages {
            let rate = page.ask();
            if round > 0 {
                page.rates.push(rate);
            }
        }
    }
    for Page { name, rates, .. } in pages {
        line(name, rates, 0);
    }
}

/// Starts `session3 serve` as [`command`] says.
pub fn serve(
    directory: &Path,
    name: &str,
    application: &[u8],
    store: &str,
    options: &[&str],
) -> Demo {
    Demo::run(&mut command(directory, name, application, store, options))
}

/// Returns the command `session3 serve` with an application, whose file gets this name, a store,
/// and further options.
pub fn command(
    directory: &Path,
    name: &str,
    application: &[u8],
    store: &str,
    options: &[&str],
) -> Command {
    let file = directory.join(format!("{name}.wasm"));
    fs::write(&file, application).unwrap();
    let mut command = session3();
    command.arg("serve").arg(file).args(["--grant", "admin"]);
    command.args(["--store", store]).args(options);
    command
}

/// Creates the sessions of the visitors by a first page, and writes their cookies to a file.
pub fn visitors(server: &impl Site, first: &str, file: PathBuf) -> PathBuf {
    let cookies: String = (0..VISITORS)
        .map(|_| {
            let mut browser = Browser::new();
            browser.get(server, first);
            browser.cookie + "\n"
        })
        .collect();
    fs::write(&file, cookies).unwrap();
    file
}

/// Prints a line of the table, and returns the median.
pub fn line(name: &str, values: &[f64], digits: usize) -> f64 {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    let median = median(values.to_vec());
    println!("  {name:<44}{median:>9.digits$}{least:>9.digits$}{most:>9.digits$}");
    median
}
