//! The server under load, and what it takes of the machine.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use session3_test_fixtures::SITE;
use session3_test_program::{Browser, Demo, session3};

/// How often the server is looked at.
const INTERVAL: Duration = Duration::from_millis(500);
/// The limit of connections, which is more than the clients have.
const MAX_CONNECTIONS: &str = "12000";
/// The limit of requests that run, as an operator sets it who expects so many connections. With
/// the default, the clients that read nothing occupy all instances now and then, and an honest
/// request waits for one: the 99th percentile is then three times as high.
const MAX_INSTANCES: &str = "1024";

/// A server of the application with sessions, with its files in a directory of its own.
pub struct Server {
    server: Demo,
    directory: tempfile::TempDir,
}

/// What the server takes at one instant.
#[derive(Clone, Copy, Default)]
pub struct Sample {
    /// The resident memory of the process, in kB.
    pub memory: u64,
    /// The number of open files of the process, connections included.
    pub descriptors: usize,
    /// The memory of the system for all TCP connections, in kB.
    pub tcp_memory: u64,
    /// The number of connections that no process holds any more, and that still send.
    pub orphans: u64,
}

impl Server {
    /// Starts the server.
    pub fn start(reuse: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("application.wasm"), SITE).unwrap();
        let mut command = session3();
        command
            .current_dir(&directory)
            .args(["serve", "application.wasm", "--store", "sessions"])
            .args(["--max-connections", MAX_CONNECTIONS])
            .args(["--max-instances", MAX_INSTANCES])
            .args(["--max-instance-reuse", &reuse.to_string()])
            .stderr(fs::File::create(directory.path().join("log")).unwrap());
        let server = Demo::run(&mut command);
        Self { server, directory }
    }

    /// Returns the address of the server.
    pub fn address(&self) -> SocketAddr {
        let url = self.server.url.strip_prefix("http://").unwrap();
        url.trim_end_matches('/').parse().unwrap()
    }

    /// Returns how many files the server has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(self.proc("fd")).unwrap().count()
    }

    /// Returns the processor time that the server has used, in seconds.
    pub fn processor_time(&self) -> f64 {
        let stat = fs::read_to_string(self.proc("stat")).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks = fields.split(' ').skip(11).take(2);
        let ticks: u64 = ticks.map(|field| field.parse::<u64>().unwrap()).sum();
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64
    }

    /// Checks that every page answers as it does without a load.
    pub fn check_pages(&self) -> Result<(), String> {
        let pages = [
            ("", 200),
            ("visit", 200),
            ("bytes/147", 200),
            ("status/404", 404),
            ("trap", 500),
            ("memory", 500),
            ("fields", 500),
            ("bodies", 500),
            ("random", 500),
            ("loop", 504),
        ];
        for (page, expected) in pages {
            let status = Browser::new().get(&self.server, page).status;
            if status != expected {
                return Err(format!("/{page} answers {status}"));
            }
        }
        let received = Browser::new().post(&self.server, "body", &[b'x'; 100_000]);
        match received == b"100000" {
            true => Ok(()),
            false => Err("/body answers something else".into()),
        }
    }

    /// Returns the messages of the log with how often each came, the most frequent first.
    /// Numbers in them are replaced.
    pub fn messages(&self) -> Vec<(usize, String)> {
        let log = fs::read(self.directory.path().join("log")).unwrap();
        let mut counts = BTreeMap::<String, usize>::new();
        for line in String::from_utf8_lossy(&log).lines() {
            // Without the time and the ID of a request.
            let message = line.split_once("}: ").map_or(line, |(_, message)| message);
            let message: String = message
                .chars()
                .map(|letter| if letter.is_ascii_digit() { '0' } else { letter })
                .take(160)
                .collect();
            *counts.entry(message).or_default() += 1;
        }
        let mut messages: Vec<_> = counts
            .into_iter()
            .map(|(text, count)| (count, text))
            .collect();
        messages.sort_by(|first, second| second.cmp(first));
        messages
    }

    /// Stops the server. Returns whether it ended in an orderly way.
    pub fn stop(self) -> bool {
        self.server.stop().success()
    }

    /// Looks at the server until the watch is finished.
    pub fn watch(&self) -> Watch {
        let (stop, is_stopped) = channel();
        let process = self.proc("");
        let thread = thread::spawn(move || samples(&process, &is_stopped));
        Watch { stop, thread }
    }

    fn proc(&self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.server.id()).into()
    }
}

/// A thread that looks at a server again and again.
pub struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<Vec<(Duration, Sample)>>,
}

impl Watch {
    /// Returns the samples, with the time since the beginning.
    pub fn finish(self) -> Vec<(Duration, Sample)> {
        drop(self.stop);
        self.thread.join().unwrap()
    }
}

fn samples(process: &Path, is_stopped: &Receiver<()>) -> Vec<(Duration, Sample)> {
    let (start, mut samples) = (Instant::now(), Vec::new());
    while is_stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        let Ok(status) = fs::read_to_string(process.join("status")) else {
            break;
        };
        let Ok(descriptors) = fs::read_dir(process.join("fd")) else {
            break;
        };
        let memory = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        let sockets = fs::read_to_string("/proc/net/sockstat").unwrap();
        let tcp = sockets
            .lines()
            .find(|line| line.starts_with("TCP:"))
            .unwrap();
        let sample = Sample {
            memory: number_after(memory, "VmRSS:"),
            descriptors: descriptors.count(),
            // In pages of 4 KiB.
            tcp_memory: number_after(tcp, "mem") * 4,
            orphans: number_after(tcp, "orphan"),
        };
        samples.push((start.elapsed(), sample));
    }
    samples
}

/// Returns the number that follows a word.
fn number_after(line: &str, word: &str) -> u64 {
    let mut words = line.split_whitespace().skip_while(|this| *this != word);
    words.nth(1).unwrap().parse().unwrap()
}
