//! The memory that a server takes for each request under way, and for each instance that waits for
//! its next request.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;
use std::{fs, iter};

use session3_components::DEMO;
use session3_test_program::{Browser, Demo};
use session3_test_servers::redis::Redis;
use session3_test_support::directory::Directory;

use crate::page;
use crate::peers::IN_MEMORY;
use crate::web::{LANGUAGES, REUSES, application};

/// How many requests are under way at once. What a request takes is the difference of the two, so
/// that it contains nothing that the server needs for the first ones, such as the code.
const REQUESTS: [usize; 2] = [8, 72];
/// How often the memory is read, and how many readings in a row have to agree.
const INTERVAL: Duration = Duration::from_millis(50);
const READINGS: usize = 8;
/// By how much readings may differ that agree, in KiB.
const AGREEMENT: u64 = 128;

/// Prints the memory for applications in several languages.
pub fn measure(place: &Path) {
    let directory = Directory::new(place, "memory");
    let redis = Redis::start(&IN_MEMORY);
    println!(
        "\nMiB of memory; requests that change a session in Redis\n\n{:<14}{:>10}{:>16}{:>16}{:>16}",
        "", "server", "under way", "waiting", "new instances"
    );
    let rust = ("Rust", DEMO.to_vec(), "keep");
    let others = LANGUAGES.iter();
    let others = others.map(|(name, file, first)| (*name, application(file), *first));
    for (name, application, first) in iter::once(rust).chain(others) {
        // The application with Flask has one page for both.
        let change = if first == "keep" { "increment" } else { first };
        let start = |reuse: u32| {
            let (name, reuse) = (format!("{name}-{reuse}"), reuse.to_string());
            let store = format!("{}&timeout=60", redis.url(&name));
            let options = ["--max-instance-reuse", &reuse, "--timeout", "60"];
            let mut command =
                page::command(directory.path(), &name, &application, &store, &options);
            // The allocator gives back what is free at once, so that it is not measured.
            Demo::run(command.env("MIMALLOC_PURGE_DELAY", "0"))
        };
        // The first server compiles the application, which the others do not.
        drop(start(1));
        let [fresh, again] = REUSES.map(|reuse| Memory::of(&start(reuse), [first, change], &redis));
        println!(
            "{name:<14}{:>10.1}{:>16.2}{:>16.2}{:>16.2}",
            fresh.server, fresh.running, again.resting, fresh.resting
        );
    }
    println!(
        "
server: the server before its first request
under way: each request that an instance serves, beside others
waiting: each instance that waits for its next request, with --max-instance-reuse
new instances: what stays of each request without --max-instance-reuse"
    );
}

/// The memory of a server, in MiB.
struct Memory {
    server: f64,
    /// For each request under way.
    running: f64,
    /// What stays of each of them.
    resting: f64,
}

impl Memory {
    /// Measures a server, whose pages `first` and `change` create and change a session.
    fn of(server: &Demo, [first, change]: [&str; 2], redis: &Redis) -> Self {
        let before = settled(server);
        let mut visitors: Vec<_> = iter::repeat_with(Browser::new).take(REQUESTS[1]).collect();
        for visitor in &mut visitors {
            visitor.get(server, first);
        }
        let [few, many] =
            REQUESTS.map(|count| at_once(server, change, &mut visitors[..count], redis));
        let requests = (REQUESTS[1] - REQUESTS[0]) as f64;
        let each = |few: u64, many: u64| mebibytes(many) / requests - mebibytes(few) / requests;
        Self {
            server: mebibytes(before),
            running: each(few[0], many[0]),
            resting: each(few[1], many[1]),
        }
    }
}

/// Lets all visitors request a page at once while the store does not answer what would change it.
/// Returns the memory of the server while it waits, and after its answers, in KiB.
fn at_once(server: &Demo, page: &str, visitors: &mut [Browser], redis: &Redis) -> [u64; 2] {
    command(redis, &["client", "pause", "60000", "write"]);
    let running = thread::scope(|scope| {
        for visitor in visitors {
            scope.spawn(move || assert!(visitor.get(server, page).status < 400));
        }
        let running = settled(server);
        command(redis, &["client", "unpause"]);
        running
    });
    [running, settled(server)]
}

fn command(redis: &Redis, arguments: &[&str]) {
    let mut command = Command::new("redis-cli");
    command
        .args(["-p", &redis.port.to_string()])
        .args(arguments);
    let output = command.output().expect("install the package redis-tools");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "OK\n");
}

/// Returns the memory of a server, in KiB, as soon as it no longer changes.
fn settled(server: &Demo) -> u64 {
    let mut readings = vec![memory(server)];
    loop {
        thread::sleep(INTERVAL);
        readings.push(memory(server));
        let last = &readings[readings.len().saturating_sub(READINGS)..];
        let (least, most) = (last.iter().min().unwrap(), last.iter().max().unwrap());
        if last.len() == READINGS && most - least <= AGREEMENT {
            return *most;
        }
    }
}

/// Returns the memory of a server in KiB. A page that is mapped several times, as those of the data
/// of a component are, counts once.
fn memory(server: &Demo) -> u64 {
    let file = format!("/proc/{}/smaps_rollup", server.id());
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let figure = line.unwrap().trim().trim_end_matches(" kB");
    figure.parse().unwrap()
}

fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}
