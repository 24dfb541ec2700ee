//! Benchmark of a sweep that deletes half of the sessions.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, FlockOperation, OFlags, flock, unlinkat};
use session3_store::SessionStore;
use session3_store_directory::{DirectoryStore, Options};
use tokio::runtime::Runtime;

use crate::floor::{Bare, PAGE, open, read};
use crate::operations::{Contestant, Operation};
use crate::sessions::{EXPIRED, Sessions, is_old};
use crate::table::Table;
use crate::{Plan, median};

/// The offset of `expires` in slot 0.
const EXPIRES_AT: usize = 512 + 16;

/// The cost of the store's sweep.
struct Swept {
    time: Duration,
    /// The peak of the memory in KiB, beyond the peak before the sweep.
    memory: u64,
}

/// Measures the sweep and the bare system calls. Only the sessions that are not old remain.
pub fn measure(plan: &Plan, runtime: &Runtime, sessions: &Sessions, table: &mut Table) {
    let (mut bare, mut ours, mut memory) = (Vec::new(), Vec::new(), 0);
    let start = Instant::now();
    let per_session = |time: Duration| time.as_secs_f64() * 1e6 / sessions.count as f64;
    // The two take turns, since the speed of the machine varies.
    let mut is_ours = true;
    for turn in 0.. {
        in_page_cache(sessions);
        if is_ours {
            let swept = in_child(sessions);
            ours.push(per_session(swept.time));
            memory = memory.max(swept.memory);
        } else {
            bare.push(per_session(with_bare_calls(sessions)));
        }
        // The order is ours, bare, bare, ours, with at least two of each.
        is_ours = turn % 4 >= 2;
        if turn % 4 == 3 && start.elapsed() >= plan.budget {
            break;
        }
        let old = (0..sessions.count).filter(|number| is_old(*number));
        sessions.fill(runtime, old);
    }
    let (bare, ours) = (median(bare), median(ours));
    let name = "sweep, half of them old, for each";
    table.times(name, &[Some(bare), Some(ours)]);
    table.note(&format!("the sweep's memory: {memory} KiB"));
    let name = table.full_name(name);
    table.targets.at_most(&name, ours / bare, 1.3);
    let name = format!("memory in MiB, {name}");
    table.targets.at_most(&name, memory as f64 / 1024.0, 64.0);
}

/// Brings all sessions into the page cache, since the benchmark does not measure the medium.
fn in_page_cache(sessions: &Sessions) {
    let numbers: Vec<u64> = (0..sessions.count).collect();
    Bare::new(&sessions.directory, &[], false).run(Operation::Load, &numbers);
}

/// Deletes the old sessions with bare system calls, and returns the time. The calls are readdir for
/// each subdirectory; open, pread and close for each session; and flock, pread and unlink for an
/// old one.
fn with_bare_calls(sessions: &Sessions) -> Duration {
    let root = File::open(&sessions.directory).unwrap();
    let mut deleted = 0;
    let start = Instant::now();
    for prefix in 0..256 {
        let prefix = format!("{prefix:02x}");
        let directory = open(&root, &prefix, OFlags::RDONLY);
        let entries = Dir::read_from(directory).unwrap().map(Result::unwrap);
        let names = entries.map(|entry| entry.file_name().to_str().unwrap().to_owned());
        let names: Vec<String> = names.collect();
        for name in names.iter().filter(|name| !name.starts_with('.')) {
            let name = format!("{prefix}/{name}");
            let file = open(&root, &name, OFlags::RDWR);
            if !has_expired(&read(&file)) {
                continue;
            }
            flock(&file, FlockOperation::LockExclusive).unwrap();
            assert!(has_expired(&read(&file)));
            unlinkat(&root, &name, AtFlags::empty()).unwrap();
            deleted += 1;
        }
    }
    let time = start.elapsed();
    assert_eq!(deleted, sessions.count / 2);
    time
}

fn has_expired(page: &[u8; PAGE]) -> bool {
    page[EXPIRES_AT..EXPIRES_AT + 8] == EXPIRED.to_le_bytes()
}

/// Runs the store's sweep in a process of its own, so that its memory can be measured.
fn in_child(sessions: &Sessions) -> Swept {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.arg("sweep").arg(&sessions.directory).output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = text.split_whitespace().flat_map(str::parse).collect();
    let [time, memory, deleted] = numbers[..] else {
        panic!("{}", String::from_utf8_lossy(&output.stderr));
    };
    assert_eq!(deleted, sessions.count / 2);
    Swept {
        time: Duration::from_nanos(time),
        memory,
    }
}

/// Sweeps in the process of its own, and prints the time, the memory and the number of sessions.
pub fn child(runtime: &Runtime, directory: &Path) {
    let store = DirectoryStore::open(directory, Options::default()).unwrap();
    let before = peak_memory();
    let start = Instant::now();
    // No session was idle for that long, so the sweep deletes only those that have expired.
    let report = runtime.block_on(store.delete_old_sessions(u32::MAX, None));
    let (time, report) = (start.elapsed(), report.unwrap());
    assert!(report.complete);
    let memory = peak_memory() - before;
    println!("{} {memory} {}", time.as_nanos(), report.deleted);
}

/// Returns the peak of the memory of this process, in KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}
