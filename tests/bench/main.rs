//! Benchmarks of the directory store, of the bare system calls, and of other session stores. One
//! run measures all of them on the same file systems, so that their times can be compared.
//!
//! `BENCH=short` only shows that the benchmarks work. Without it, they go up to a million sessions.
//! `BENCH=huge` measures only loads and saves, with ten million sessions beside a thousand.
//! `BENCH_SESSIONS` is a list of numbers of sessions, separated by commas, which replaces them.
//! `PART=store` measures only the store, `PART=parallel` only threads and processes, `PART=requests` only
//! requests through the manager component, `PART=web` only whole requests over HTTP, `PART=engines`
//! requests over HTTP with the stores on other engines, `PART=copy` a copy to PostgreSQL, and
//! `PART=memory` the memory of a server. `PICTURE` is the path to which a picture of the requests over
//! HTTP is written.
#![expect(clippy::unwrap_used, reason = "a failing benchmark panics")]

mod axum_counter;
mod copy;
mod engines;
mod floor;
mod huge;
mod image;
mod latency;
mod memory;
mod native;
mod operations;
mod page;
mod parallel;
mod peers;
mod requests;
mod sessions;
mod sweep;
mod table;
mod targets;
mod web;
mod web_peers;

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::runtime::Runtime;

use image::Image;
use session3_test_support::directory::{self, Directory};
use session3_test_support::thousands;
use sessions::Sessions;
use table::Table;

/// The allocator that the program `session3` uses.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How much to measure.
pub struct Plan {
    /// The numbers of sessions in the store.
    sizes: Vec<u64>,
    /// The number of sessions in a round of an operation.
    batch: usize,
    /// The number of rounds, of which each measures everything once.
    rounds: usize,
    /// The time after which a case has no further round, if it had three.
    budget: Duration,
    /// The time for which the threads and processes of a round run.
    window: Duration,
    /// How many times as long an operation may take with more sessions.
    growth: f64,
    /// Whether only loads and saves are measured, with more sessions than the page cache holds.
    is_huge: bool,
}

impl Plan {
    fn from_environment() -> Self {
        let sizes = std::env::var("BENCH_SESSIONS").ok().map(|numbers| {
            let numbers = numbers.split(',').map(|number| number.parse().unwrap());
            numbers.collect()
        });
        match std::env::var("BENCH").as_deref() {
            Err(_) => Self {
                sizes: sizes.unwrap_or(vec![1_000, 100_000, 1_000_000]),
                batch: 500,
                rounds: 11,
                budget: Duration::from_secs(15),
                window: Duration::from_millis(200),
                growth: 1.3,
                is_huge: false,
            },
            Ok("huge") => Self {
                sizes: sizes.unwrap_or(vec![1_000, 10_000_000]),
                batch: 500,
                rounds: 31,
                budget: Duration::from_secs(60),
                window: Duration::ZERO,
                growth: 1.5,
                is_huge: true,
            },
            Ok("short") => Self {
                sizes: sizes.unwrap_or(vec![300, 1_000]),
                batch: 50,
                rounds: 3,
                budget: Duration::ZERO,
                window: Duration::from_millis(20),
                growth: 1.3,
                is_huge: false,
            },
            Ok(other) => panic!("BENCH is `{other}`, but must be `short`, `huge` or not set"),
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["sweep", directory] => sweep::child(&runtime(), Path::new(directory)),
        ["work", directory, who, what, number] => {
            parallel::child(Path::new(directory), who, what, number);
        }
        ["axum", port, directory] => {
            runtime().block_on(axum_counter::serve(port, Path::new(directory)));
        }
        ["measure"] => measure(&Plan::from_environment(), true),
        _ if image::may_mount() => panic!("{}", in_own_mounts()),
        _ => measure(&Plan::from_environment(), false),
    }
}

/// Replaces this process by one that measures in its own mount namespace, so that its mounts end
/// with it. Returns only if that fails, with the reason.
fn in_own_mounts() -> io::Error {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.arg("--mount").arg(program).arg("measure").exec()
}

fn measure(plan: &Plan, may_mount: bool) {
    let runtime = runtime();
    let here = Directory::new(Path::new(env!("CARGO_TARGET_TMPDIR")), "bench");
    if plan.is_huge {
        return huge::measure(plan, &runtime, here.path());
    }
    match part().as_deref() {
        Some("engines") => return engines::measure(plan, here.path()),
        Some("copy") => return copy::measure(plan, &runtime, here.path()),
        Some("memory") => return memory::measure(here.path()),
        _ => {}
    }
    measure_in(plan, &runtime, &here);
    if !may_mount {
        println!("\nthis user may not mount an image of an ext4 with a journal");
        return;
    }
    match Image::mount(here.path(), *plan.sizes.iter().max().unwrap()) {
        Ok(image) => measure_in(plan, &runtime, &Directory::new(image.path(), "bench")),
        Err(error) => println!("\nthere is no image of an ext4 with a journal: {error}"),
    }
}

/// Measures the parts that `PART` selects, on one file system.
fn measure_in(plan: &Plan, runtime: &Runtime, place: &Directory) {
    match part().as_deref() {
        None => {
            let mut table = Table::new(&directory::file_system(place.path()), plan);
            measure_store(plan, runtime, place.path(), &mut table);
            parallel::measure(plan, runtime, place.path(), &mut table);
            requests::measure(plan, runtime, place.path(), &mut table);
            table.end();
            web::measure(plan, runtime, place.path());
        }
        Some("store") => measure_part(measure_store, plan, runtime, place),
        Some("web") => web::measure(plan, runtime, place.path()),
        Some("parallel") => measure_part(parallel::measure, plan, runtime, place),
        Some("requests") => measure_part(requests::measure, plan, runtime, place),
        Some(other) => panic!(
            "PART is `{other}`, but must be `store`, `parallel`, `requests`, `web`, `engines`, `copy`, \
             `memory` or not set"
        ),
    }
}

fn part() -> Option<String> {
    std::env::var("PART").ok()
}

/// Measures one part, with a table of its own.
fn measure_part(
    part: impl Fn(&Plan, &Runtime, &Path, &mut Table),
    plan: &Plan,
    runtime: &Runtime,
    place: &Directory,
) {
    let mut table = Table::new(&directory::file_system(place.path()), plan);
    part(plan, runtime, place.path(), &mut table);
    table.end();
}

fn measure_store(plan: &Plan, runtime: &Runtime, place: &Path, table: &mut Table) {
    for size in &plan.sizes {
        let directory = Directory::new(place, "sessions");
        table.section(&format!("{} sessions", thousands(*size)));
        let sessions = Sessions::create(runtime, directory.path(), *size);
        operations::measure(plan, runtime, &sessions, table);
        sweep::measure(plan, runtime, &sessions, table);
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(parallel::THREADS)
        .enable_all()
        .build()
        .unwrap()
}

/// Returns the median.
pub fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}
