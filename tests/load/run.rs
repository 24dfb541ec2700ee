//! A run with one server: calm, attack, and the time after it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::plan::Plan;
use crate::process::{Job, Process, Role};
use crate::report::Report;
use crate::server::{Sample, Server};

/// How many files the file descriptor cache of the store keeps open.
pub const CACHED_FILES: usize = 1024;
/// How long the server may take to close the connections of clients that are gone.
const CLEANUP: Duration = Duration::from_secs(60);

/// What happened in a run.
pub struct Outcome {
    /// The value of `--max-instance-reuse`.
    pub reuse: u32,
    /// What the honest visitors saw.
    pub honest: Report,
    /// What the hostile clients did.
    pub hostile: Report,
    /// The mean memory of the server in each quarter of the attack, in kB.
    pub memory: [u64; 4],
    /// The largest figures during the attack.
    pub largest: Sample,
    /// How many files the server had open before the clients came, and after they had left.
    pub descriptors: (usize, usize),
    /// The share of the processors that the server used in the calm and in the attack, in
    /// percent of one of them.
    pub processor: (u64, u64),
    /// The result of a request for every page in the end.
    pub pages: Result<(), String>,
    /// Whether the server ended in an orderly way.
    pub has_stopped: bool,
}

/// Runs a server and all its clients.
pub fn run(plan: &Plan, reuse: u32) -> Outcome {
    let server = Server::start(reuse);
    server.check_pages().unwrap();
    let before = server.descriptors();
    let job = Job {
        server: server.address(),
        connections: plan.connections,
        arrival: plan.arrival,
        seed: plan.seed,
    };
    let mut honest = Process::start(Role::Honest, &job);
    sleep(plan.arrival + Duration::from_secs(1));
    honest.next_phase();
    let calm = load(&server, plan.calm);
    honest.next_phase();
    let hostile = Process::start(Role::Hostile, &job);
    let watch = server.watch();
    let attack = load(&server, plan.attack);
    let samples = watch.finish();
    let hostile = hostile.report();
    let honest = honest.report();
    let after = wait_for_descriptors(&server, before + CACHED_FILES);
    let pages = server.check_pages();
    for (count, message) in server.messages().iter().take(12) {
        println!("  {count:>7} {message}");
    }
    Outcome {
        reuse,
        honest,
        hostile,
        memory: [0, 1, 2, 3].map(|quarter| mean_memory(&samples, plan.attack / 4, quarter)),
        largest: largest(&samples),
        descriptors: (before, after),
        processor: (calm, attack),
        pages,
        has_stopped: server.stop(),
    }
}

/// Waits for this time. Returns the share of a processor that the server used in it, in percent.
fn load(server: &Server, time: Duration) -> u64 {
    let before = server.processor_time();
    sleep(time);
    let used = server.processor_time() - before;
    (used * 100.0 / time.as_secs_f64()) as u64
}

/// Waits until the server has no more files open than this, but not forever. Returns how many it
/// has open then.
fn wait_for_descriptors(server: &Server, most: usize) -> usize {
    let start = Instant::now();
    while server.descriptors() > most && start.elapsed() < CLEANUP {
        sleep(Duration::from_millis(100));
    }
    server.descriptors()
}

fn mean_memory(samples: &[(Duration, Sample)], length: Duration, quarter: u32) -> u64 {
    let time = length * quarter..length * (quarter + 1);
    let within = samples.iter().filter(|(at, _)| time.contains(at));
    let memory: Vec<u64> = within.map(|(_, sample)| sample.memory).collect();
    memory.iter().sum::<u64>() / memory.len().max(1) as u64
}

fn largest(samples: &[(Duration, Sample)]) -> Sample {
    let samples = samples.iter().map(|(_, sample)| *sample);
    samples.fold(Sample::default(), |most, sample| Sample {
        memory: most.memory.max(sample.memory),
        descriptors: most.descriptors.max(sample.descriptors),
        tcp_memory: most.tcp_memory.max(sample.tcp_memory),
        orphans: most.orphans.max(sample.orphans),
    })
}
