//! Benchmarks of several threads and processes, each with a session of its own or all with the same
//! one. They load the session, or update it: an update is a load and the save of that version.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use session3_store::{SessionStore, StoreError};
use session3_store_directory::{DirectoryStore, Options};
use tokio::runtime::Runtime;

use crate::floor::Bare;
use crate::operations::Operation;
use crate::sessions::{Sessions, id};
use crate::table::Table;
use crate::{Plan, median};
use session3_test_support::directory::Directory;

/// The number of threads in one process.
pub const THREADS: usize = 16;
/// The number of processes.
const PROCESSES: usize = 4;
/// The least rate of processes with sessions of their own, where that of the system calls is 1.
const PROCESSES_LEAST: f64 = 0.75;

/// The work that each thread or process repeats.
#[derive(Clone, Copy)]
struct Work {
    /// `load` or `update`.
    what: &'static str,
    is_one_session: bool,
}

impl Work {
    /// Returns the session of a thread or process.
    fn number(self, worker: usize) -> u64 {
        if self.is_one_session {
            0
        } else {
            worker as u64
        }
    }
}

/// The end of the time in which all threads of a process work.
struct End {
    window: Duration,
    at: OnceLock<Instant>,
}

impl End {
    fn new(window: Duration) -> Self {
        let at = OnceLock::new();
        Self { window, at }
    }

    /// Returns the end. The time begins with the first call: what begins later has less of it.
    fn at(&self) -> Instant {
        *self.at.get_or_init(|| Instant::now() + self.window)
    }
}

/// Measures all kinds of work.
pub fn measure(plan: &Plan, runtime: &Runtime, place: &Path, table: &mut Table) {
    let directory = Directory::new(place, "parallel");
    let sessions = Sessions::create(runtime, directory.path(), THREADS as u64);
    table.section("threads and processes: thousands in a second");
    for is_one_session in [false, true] {
        for what in ["load", "update"] {
            let work = Work {
                what,
                is_one_session,
            };
            let which = if is_one_session {
                "one session"
            } else {
                "own sessions"
            };
            let bare = || bare_threads(&sessions, work, plan.window);
            let ours = || threads(runtime, &sessions, work, plan.window);
            let name = format!("{THREADS} threads, {which}, {what}");
            table.rates(&name, rates(plan, &bare, &ours));
            let bare = || processes(&sessions, "bare", work, plan.window);
            let ours = || processes(&sessions, "ours", work, plan.window);
            let name = format!("{PROCESSES} processes, {which}, {what}");
            let [bare, ours] = rates(plan, &bare, &ours);
            table.rates(&name, [bare, ours]);
            if !is_one_session {
                let what = format!("rate of {name}, to the system calls");
                table.targets.at_least(&what, ours / bare, PROCESSES_LEAST);
            }
        }
    }
}

/// Returns the median rates, in thousands per second.
fn rates(plan: &Plan, bare: &dyn Fn() -> u64, ours: &dyn Fn() -> u64) -> [f64; 2] {
    let rate = |count: u64| count as f64 / plan.window.as_secs_f64() / 1e3;
    let rounds: Vec<_> = (0..plan.rounds).map(|_| (bare(), ours())).collect();
    let bare = rounds.iter().map(|(bare, _)| rate(*bare)).collect();
    let ours = rounds.iter().map(|(_, ours)| rate(*ours)).collect();
    [median(bare), median(ours)]
}

fn bare_threads(sessions: &Sessions, work: Work, window: Duration) -> u64 {
    let (barrier, end) = (Barrier::new(THREADS), End::new(window));
    let stores: Vec<_> = (0..THREADS)
        .map(|worker| {
            let number = work.number(worker);
            (number, Bare::new(&sessions.directory, &[number], false))
        })
        .collect();
    thread::scope(|scope| {
        let threads: Vec<_> = stores
            .iter()
            .map(|(number, store)| {
                let (barrier, end) = (&barrier, &end);
                scope.spawn(move || {
                    barrier.wait();
                    count_bare(store, work.what, *number, end.at())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    })
}

fn threads(runtime: &Runtime, sessions: &Sessions, work: Work, window: Duration) -> u64 {
    let store = Arc::new(DirectoryStore::open(&sessions.directory, Options::default()).unwrap());
    let barrier = Arc::new(tokio::sync::Barrier::new(THREADS));
    let end = Arc::new(End::new(window));
    runtime.block_on(async {
        let workers: Vec<_> = (0..THREADS)
            .map(|worker| {
                let (store, barrier, end) = (store.clone(), barrier.clone(), end.clone());
                tokio::spawn(async move {
                    barrier.wait().await;
                    count(&store, work.what, work.number(worker), end.at()).await
                })
            })
            .collect();
        let mut total = 0;
        for worker in workers {
            total += worker.await.unwrap();
        }
        total
    })
}

fn processes(sessions: &Sessions, who: &str, work: Work, window: Duration) -> u64 {
    let start = |worker| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .arg("work")
            .arg(&sessions.directory)
            .args([who, work.what, &work.number(worker).to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut children: Vec<Child> = (0..PROCESSES).map(start).collect();
    let mut outputs: Vec<_> = children
        .iter_mut()
        .map(|child| BufReader::new(child.stdout.take().unwrap()).lines())
        .collect();
    for output in &mut outputs {
        assert_eq!(output.next().unwrap().unwrap(), "ready");
    }
    for child in &mut children {
        writeln!(child.stdin.take().unwrap(), "{}", window.as_millis()).unwrap();
    }
    let counts = outputs
        .iter_mut()
        .map(|output| output.next().unwrap().unwrap().parse::<u64>().unwrap());
    let total = counts.sum();
    children
        .iter_mut()
        .for_each(|child| assert!(child.wait().unwrap().success()));
    total
}

/// Runs one of the processes. It prints `ready`, reads how many milliseconds to work, and prints
/// how often it did the work.
pub fn child(directory: &Path, who: &str, what: &str, number: &str) {
    let number = number.parse().unwrap();
    let end = || {
        println!("ready");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        Instant::now() + Duration::from_millis(line.trim().parse().unwrap())
    };
    let count = if who == "bare" {
        let store = Bare::new(directory, &[number], false);
        count_bare(&store, what, number, end())
    } else {
        let store = DirectoryStore::open(directory, Options::default()).unwrap();
        crate::runtime().block_on(count(&store, what, number, end()))
    };
    println!("{count}");
}

/// Works with bare system calls until the end, and returns how often it did the work.
fn count_bare(store: &Bare, what: &str, number: u64, end: Instant) -> u64 {
    let file = store.kept(number);
    let mut count = 0;
    while Instant::now() < end {
        store.perform_kept(Operation::Load, file);
        if what == "update" {
            store.perform_kept(Operation::Save, file);
        }
        count += 1;
    }
    count
}

/// Works with the store until the end, and returns how often it did the work. An update that meets
/// a conflict is repeated and not counted.
async fn count(store: &DirectoryStore, what: &str, number: u64, end: Instant) -> u64 {
    let id = id(number);
    let mut count = 0;
    while Instant::now() < end {
        let session = store.load_session(&id).await.unwrap().unwrap();
        if what == "load" {
            count += 1;
            continue;
        }
        match store
            .save_session(&id, &session.state, session.version)
            .await
        {
            Ok(_) => count += 1,
            Err(StoreError::Conflict(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    count
}
