//! The processes of a torture: this program again, with a job.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use session3_store::Maintenance;
use session3_store_directory::{DirectoryStore, Durability, Options};
use session3_test_support::layer::Layer;

use crate::ledger::Ledger;
use crate::{descriptors, kills, locks, work};

/// The time by the clock of every process.
pub const NOW: u64 = 1_700_000_000_000;
/// The expiry of sessions that a sweep must keep.
pub const LATER: u64 = NOW + 3_600_000;
/// The expiry of sessions that a sweep may delete.
pub const BEFORE: u64 = NOW - 1;
/// The idle time for the sweeps. It never passes, since the clocks stand still, so the sweeps
/// delete expired sessions only.
pub const MINUTES: u32 = 60;

/// How most tortures open the store: with each durability, and sealed.
pub const SETUPS: [(Durability, Layer); 3] = [
    (Durability::Process, Layer::Plain),
    (Durability::Disk, Layer::Plain),
    (Durability::Disk, Layer::Sealed),
];

/// The work of a process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// Adds to sessions.
    Write,
    /// Loads, lists and walks through sessions.
    Read,
    /// Deletes old sessions.
    Sweep,
    /// Creates sessions that have already expired.
    Visit,
    /// Creates, changes, deletes and sweeps sessions, and reports each change, until it is killed.
    Change,
    /// Holds the lock of a record.
    Hold,
    /// Works with few file descriptors.
    Starve,
    /// Does what the first process asks for, until it is killed.
    Serve,
}

const ROLES: [(&str, Role); 8] = [
    ("--write", Role::Write),
    ("--read", Role::Read),
    ("--sweep", Role::Sweep),
    ("--visit", Role::Visit),
    ("--change", Role::Change),
    ("--hold", Role::Hold),
    ("--starve", Role::Starve),
    ("--serve", Role::Serve),
];

/// Returns the role of this process, or `None` for the first process.
pub fn role(arguments: &[String]) -> Option<Role> {
    let first = arguments.first()?;
    let named = ROLES.into_iter().find(|(name, _)| name == first);
    named.map(|(_, role)| role)
}

/// The job of a process.
#[derive(Clone)]
pub struct Job {
    /// The directory with the store and the ledger.
    pub directory: PathBuf,
    /// The durability of the store.
    pub durability: Durability,
    /// Whether the store is sealed.
    pub layer: Layer,
    /// The number of sessions.
    pub sessions: u64,
    /// The number of processes with cells in the ledger.
    pub processes: usize,
    /// The number of this process among them.
    pub me: usize,
    /// How long to work.
    pub duration: Duration,
    /// The seed of its random choices.
    pub seed: u64,
}

impl Role {
    /// Does the work of a process.
    pub fn run(self, arguments: &[String]) {
        // A panic on any thread ends the process, also while other threads work.
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
            Self::Serve => block_on(session3_test_history::serve(&*job.open())),
        }
    }
}

impl Job {
    /// Opens the store, and creates it if it is missing.
    pub fn open(&self) -> Arc<dyn Maintenance> {
        self.open_with(Options::default())
    }

    /// Opens the store with these options, and creates it if it is missing.
    pub fn open_with(&self, options: Options) -> Arc<dyn Maintenance> {
        let options = options.durability(self.durability).create(true);
        let path = self.directory.join("store");
        let store = DirectoryStore::open(path, options.clock(|| NOW)).unwrap();
        self.layer.over(store)
    }

    /// Opens the ledger for this process.
    pub fn ledger(&self) -> Ledger {
        let path = self.directory.join("ledger");
        Ledger::open(&path, self.processes, self.me, self.sessions)
    }

    /// Starts the time of the job, and returns a function that says whether some of it is left.
    pub fn clock(&self) -> impl Fn() -> bool + use<> {
        let (start, duration) = (Instant::now(), self.duration);
        move || start.elapsed() < duration
    }

    fn arguments(&self) -> Vec<String> {
        vec![
            self.directory.to_str().unwrap().to_owned(),
            u64::from(self.durability == Durability::Disk).to_string(),
            u64::from(self.layer == Layer::Sealed).to_string(),
            self.sessions.to_string(),
            self.processes.to_string(),
            self.me.to_string(),
            self.duration.as_millis().to_string(),
            self.seed.to_string(),
        ]
    }

    fn parse(arguments: &[String]) -> Self {
        let number = |index: usize| arguments[index].parse::<u64>().unwrap();
        let (is_disk, is_sealed) = (number(1) == 1, number(2) == 1);
        Self {
            directory: arguments[0].clone().into(),
            durability: if is_disk {
                Durability::Disk
            } else {
                Durability::Process
            },
            layer: if is_sealed {
                Layer::Sealed
            } else {
                Layer::Plain
            },
            sessions: number(3),
            processes: number(4) as usize,
            me: number(5) as usize,
            duration: Duration::from_millis(number(6)),
            seed: number(7),
        }
    }
}

/// Returns the command that starts a process.
pub fn command(role: Role, job: &Job) -> Command {
    let (name, _) = ROLES.into_iter().find(|(_, it)| *it == role).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(name).args(job.arguments());
    command
}

/// A process that is killed when this is dropped.
pub struct Process(Child);

impl Process {
    /// Starts a process.
    pub fn start(role: Role, job: &Job) -> Self {
        let child = command(role, job)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Returns the standard output of the process. This can be called once.
    pub fn output(&mut self) -> ChildStdout {
        self.0.stdout.take().unwrap()
    }

    /// Kills the process. Returns false if it had already ended by itself.
    ///
    /// # Panics
    ///
    /// If the process had ended with an error.
    pub fn kill(&mut self) -> bool {
        self.0.kill().unwrap();
        let status = self.0.wait().unwrap();
        let is_killed = status.code().is_none();
        assert!(is_killed || status.success(), "a process failed");
        is_killed
    }

    /// Returns the whole output of the process, and waits until that ends.
    pub fn words(&mut self) -> String {
        let mut written = String::new();
        self.output().read_to_string(&mut written).unwrap();
        written
    }

    /// Waits until the process ends by itself, and returns its output.
    ///
    /// # Panics
    ///
    /// If the process ended with an error.
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

/// Writes a line to the standard output. Lines of several threads do not mix.
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
