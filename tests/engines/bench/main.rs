//! Benchmarks of the stores on other engines: beside the bare statements of the client libraries,
//! beside other session stores on the same servers, and with many sessions. One run measures all
//! of them in turn, and prints its results in Markdown.
//!
//! Exits with status 1 if a figure misses its bound. `BENCH=short` only shows that the benchmarks
//! work, and always succeeds. `ENGINES_SESSIONS` is the larger number of sessions, `ENGINES` a list
//! of engines, separated by commas, and `PICTURE` the path to which a picture of the operations is
//! written.
#![expect(clippy::unwrap_used, reason = "a failing benchmark panics")]

mod contest;
mod disk;
mod engine;
mod floor;
mod increments;
mod many;
mod operations;
mod peer;
mod picture;
mod sessions;
mod sweep;
mod table;
mod targets;

use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Runtime;

use engine::Engine;
use targets::Targets;

/// The allocator that the program `session3` uses.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How much to measure.
pub struct Plan {
    /// The larger number of sessions.
    pub sessions: u64,
    /// The smaller number of sessions.
    pub few: u64,
    /// The number of sessions in a slice with one operation at a time, and with [`TASKS`].
    pub batches: [usize; 2],
    /// The largest number of rounds, of which each measures everything once.
    pub rounds: usize,
    /// The time after which a case has no further round, if it had five.
    pub budget: Duration,
    /// The time of one slice of saves beside a sweep.
    pub window: Duration,
    /// Whether the run only shows that the benchmarks work.
    pub is_short: bool,
}

/// How many operations wait at the same time, at most.
pub const TASKS: usize = 64;

impl Plan {
    fn from_environment() -> Self {
        let sessions = std::env::var("ENGINES_SESSIONS").ok();
        let sessions = sessions.map(|number| number.parse().unwrap());
        match std::env::var("BENCH").as_deref() {
            Err(_) => Self {
                sessions: sessions.unwrap_or(100_000),
                few: 1_000,
                batches: [200, 1280],
                rounds: 101,
                budget: Duration::from_secs(12),
                window: Duration::from_millis(100),
                is_short: false,
            },
            Ok("short") => Self {
                sessions: sessions.unwrap_or(1_000),
                few: 300,
                batches: [20, 128],
                rounds: 3,
                budget: Duration::ZERO,
                window: Duration::from_millis(5),
                is_short: true,
            },
            Ok(other) => panic!("BENCH is `{other}`, but must be `short` or not set"),
        }
    }
}

fn main() -> ExitCode {
    let plan = Plan::from_environment();
    let runtime = runtime();
    let mut targets = Targets::default();
    let engines = engines(&runtime);
    table::print_head(&plan, &engines);

    let all = operations::measure(&plan, &runtime, &engines, &mut targets);
    if let Ok(path) = std::env::var("PICTURE") {
        std::fs::write(path, picture::draw(&all).svg()).unwrap();
    }
    let lost = increments::measure(&plan, &runtime, &engines, &mut targets);
    table::print_peers(&all, &lost);
    many::measure(&plan, &runtime, &engines, &mut targets);

    targets.print();
    match targets.are_met() || plan.is_short {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Starts the engines that `ENGINES` selects, or all of them.
fn engines(runtime: &Runtime) -> Vec<Engine> {
    let wanted = std::env::var("ENGINES").unwrap_or("redis,postgres,mariadb,sqlite".into());
    let start = |name| Engine::start(runtime, name);
    wanted.split(',').flat_map(start).collect()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Returns the median.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
