//! Processes of our own: this program again, with a job.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use session3_store_directory::{DirectoryStore, Durability, Options};

use crate::ledger::Ledger;
use crate::{descriptors, kills, locks, work};

/// The time by the clock of every process.
pub const NOW: u64 = 1_700_000_000_000;
/// When sessions expire that are to stay.
pub const LATER: u64 = NOW + 3_600_000;
/// And those that a sweep may have.
pub const BEFORE: u64 = NOW - 1;
/// Sweeps go by `expires` alone.
pub const MINUTES: u32 = 60;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// Adds to sessions.
    Write,
    /// Loads, lists and walks through sessions.
    Read,
    /// Deletes old sessions.
    Sweep,
    /// Makes sessions that are old from the beginning.
    Visit,
    /// Does everything, and writes down what, until it is killed.
    Change,
    /// Holds the lock of a file.
    Hold,
    /// Works with few file descriptors.
    Starve,
}

const ROLES: [(&str, Role); 7] = [
    ("--write", Role::Write),
    ("--read", Role::Read),
    ("--sweep", Role::Sweep),
    ("--visit", Role::Visit),
    ("--change", Role::Change),
    ("--hold", Role::Hold),
    ("--starve", Role::Starve),
];

/// The role of this process, unless it is the first one.
pub fn role(arguments: &[String]) -> Option<Role> {
    let first = arguments.first()?;
    let named = ROLES.into_iter().find(|(name, _)| name == first);
    named.map(|(_, role)| role)
}

/// What a process is told.
#[derive(Clone)]
pub struct Job {
    /// Where the store and the ledger are.
    pub directory: PathBuf,
    /// Of the store.
    pub durability: Durability,
    /// How many sessions there are.
    pub sessions: u64,
    /// How many processes have cells in the ledger.
    pub processes: usize,
    /// Which of them this one is.
    pub me: usize,
    /// How long to work.
    pub duration: Duration,
    /// For what it chooses.
    pub seed: u64,
}

impl Role {
    /// Does the work of a process.
    pub fn run(self, arguments: &[String]) {
        // Also when it is a thread that fails, while others work on.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            hook(panic);
            std::process::exit(101);
        }));
        let job = Job::parse(arguments);
        match self {
            Self::Write | Self::Read | Self::Sweep | Self::Visit => {
                let tally = block_on(work::work(self, &job));
                print!("{}", tally.lines());
            }
            Self::Change => kills::change(&job),
            Self::Hold => locks::hold(&job),
            Self::Starve => descriptors::starve(&job),
        }
    }
}

impl Job {
    /// The store, made where it is missing.
    pub fn open(&self) -> DirectoryStore {
        self.open_with(Options::default())
    }

    /// Likewise, with options of one's own.
    pub fn open_with(&self, options: Options) -> DirectoryStore {
        let options = options.durability(self.durability).create(true);
        DirectoryStore::open(self.directory.join("store"), options.clock(|| NOW)).unwrap()
    }

    /// The cells of this process.
    pub fn ledger(&self) -> Ledger {
        let path = self.directory.join("ledger");
        Ledger::open(&path, self.processes, self.me, self.sessions)
    }

    /// Whether there is time left, asked in a loop.
    pub fn clock(&self) -> impl Fn() -> bool + use<> {
        let (start, duration) = (Instant::now(), self.duration);
        move || start.elapsed() < duration
    }

    fn arguments(&self) -> Vec<String> {
        vec![
            self.directory.to_str().unwrap().to_owned(),
            u64::from(self.durability == Durability::Disk).to_string(),
            self.sessions.to_string(),
            self.processes.to_string(),
            self.me.to_string(),
            self.duration.as_millis().to_string(),
            self.seed.to_string(),
        ]
    }

    fn parse(arguments: &[String]) -> Self {
        let number = |index: usize| arguments[index].parse::<u64>().unwrap();
        let is_disk = number(1) == 1;
        Self {
            directory: arguments[0].clone().into(),
            durability: if is_disk {
                Durability::Disk
            } else {
                Durability::Process
            },
            sessions: number(2),
            processes: number(3) as usize,
            me: number(4) as usize,
            duration: Duration::from_millis(number(5)),
            seed: number(6),
        }
    }
}

/// A process that is killed when this is dropped.
pub struct Process(Child);

impl Process {
    /// Starts it.
    pub fn start(role: Role, job: &Job) -> Self {
        let (name, _) = ROLES.into_iter().find(|(_, it)| *it == role).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .arg(name)
            .args(job.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Where it writes.
    pub fn output(&mut self) -> ChildStdout {
        self.0.stdout.take().unwrap()
    }

    /// Ends it in the middle of what it does. False when it had ended itself,
    /// which has to be a good end.
    pub fn kill(&mut self) -> bool {
        self.0.kill().unwrap();
        let status = self.0.wait().unwrap();
        let is_killed = status.code().is_none();
        assert!(is_killed || status.success(), "a process failed");
        is_killed
    }

    /// All that it writes, until it ends or is killed.
    pub fn words(&mut self) -> String {
        let mut written = String::new();
        self.output().read_to_string(&mut written).unwrap();
        written
    }

    /// What it has written at its own end, which has to be a good one.
    pub fn result(mut self) -> String {
        let written = self.words();
        assert!(self.0.wait().unwrap().success(), "a process failed");
        written
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A whole line at once, whatever other threads write.
pub fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    output.write_all(format!("{line}\n").as_bytes()).unwrap();
    output.flush().unwrap();
}

/// Runs a future on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
