//! The processes of the clients: this program again, with a role.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::watch;

use crate::report::Report;
use crate::{honest, hostile};

/// Raises the number of files that this process may have open as far as the system allows.
pub fn raise_descriptor_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// What a process does.
#[derive(Clone, Copy)]
pub enum Role {
    /// Visits the application as its users do.
    Honest,
    /// Attacks the server.
    Hostile,
}

/// A part of a run. A process goes to the next one when it reads a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    /// The visitors come.
    Arrival,
    /// All visitors are there.
    Calm,
    /// There are hostile clients too.
    Attack,
    /// All clients leave.
    End,
}

/// The phases in their order, with their names in reports.
pub const PHASES: [(Phase, &str); 4] = [
    (Phase::Arrival, "arrival"),
    (Phase::Calm, "calm"),
    (Phase::Attack, "attack"),
    (Phase::End, "end"),
];

/// What the clients of a process have to do.
#[derive(Clone, Copy)]
pub struct Job {
    /// The address of the server.
    pub server: SocketAddr,
    /// The number of connections of all processes together.
    pub connections: usize,
    /// The time in which the visitors come.
    pub arrival: Duration,
    /// The seed of the random choices.
    pub seed: u64,
}

/// The phase of this process.
#[derive(Clone)]
pub struct Clock(watch::Receiver<usize>);

impl Clock {
    /// Returns the phase now.
    pub fn phase(&self) -> Phase {
        PHASES[*self.0.borrow()].0
    }

    /// Waits for the last phase.
    pub async fn wait_for_end(&mut self) {
        let is_last = |index: &usize| *index == PHASES.len() - 1;
        self.0.wait_for(is_last).await.unwrap();
    }

    /// Begins with the first phase, and goes on at each line of standard input, or to the end
    /// if there are no more.
    fn of_standard_input() -> Self {
        let (sender, receiver) = watch::channel(0);
        thread::spawn(move || {
            let last = PHASES.len() - 1;
            for _ in std::io::stdin().lines().map_while(Result::ok) {
                sender.send_modify(|index| *index = last.min(*index + 1));
            }
            sender.send_replace(last);
        });
        Self(receiver)
    }
}

impl Role {
    /// Returns the role of a process with these arguments, or `None` for the first process.
    pub fn of(arguments: &[String]) -> Option<Self> {
        match arguments.first()?.as_str() {
            "--honest" => Some(Self::Honest),
            "--hostile" => Some(Self::Hostile),
            _ => None,
        }
    }

    fn argument(self) -> &'static str {
        match self {
            Self::Honest => "--honest",
            Self::Hostile => "--hostile",
        }
    }

    /// Does the work of a process, and prints its report.
    pub fn work(self, arguments: &[String]) {
        // A panic in any task ends the process.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            hook(panic);
            std::process::exit(101);
        }));
        let (job, clock) = (Job::parse(arguments), Clock::of_standard_input());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let report = runtime.block_on(async {
            match self {
                Self::Honest => honest::visit(job, clock).await,
                Self::Hostile => hostile::attack(job, clock).await,
            }
        });
        print!("{report}");
    }
}

impl Job {
    fn arguments(&self) -> [String; 4] {
        [
            self.server.to_string(),
            self.connections.to_string(),
            self.arrival.as_millis().to_string(),
            self.seed.to_string(),
        ]
    }

    fn parse(arguments: &[String]) -> Self {
        Self {
            server: arguments[0].parse().unwrap(),
            connections: arguments[1].parse().unwrap(),
            arrival: Duration::from_millis(arguments[2].parse().unwrap()),
            seed: arguments[3].parse().unwrap(),
        }
    }
}

/// A process of clients, which is killed when this is dropped.
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
}

impl Process {
    /// Starts a process.
    pub fn start(role: Role, job: &Job) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(role.argument())
            .args(job.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        Self { child, input }
    }

    /// Begins the next phase.
    pub fn next_phase(&mut self) {
        self.input.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// Ends the process, and returns what it reports.
    pub fn report(mut self) -> Report {
        drop(self.input.take());
        let output = BufReader::new(self.child.stdout.take().unwrap());
        let report = Report::parse(output.lines().map(Result::unwrap));
        assert!(self.child.wait().unwrap().success());
        report
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
