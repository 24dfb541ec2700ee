//! tower-sessions, whose program `tests/engines/peers` runs beside this one.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::contest::{Batch, Contestant, Operation};

/// The program, which tools/install-peers installs.
const PROGRAM: &str = concat!(
    env!("CARGO_TARGET_TMPDIR"),
    "/../peers/release/engines-peers"
);

/// A running program. Dropping it ends it.
pub struct Peer {
    program: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    /// Starts the program with a store at this URL.
    pub fn start(url: &str) -> Self {
        assert!(
            Path::new(PROGRAM).exists(),
            "{PROGRAM} is missing; tools/install-peers installs it"
        );
        let mut program = Command::new(PROGRAM)
            .arg(url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: program.stdin.take().unwrap(),
            output: BufReader::new(program.stdout.take().unwrap()).lines(),
            program,
        }
    }

    /// Sends a command, and returns its result.
    fn ask(&mut self, command: &str) -> u64 {
        writeln!(self.input, "{command}").unwrap();
        let Some(answer) = self.output.next() else {
            panic!("tower-sessions ended: {:?}", self.program.wait());
        };
        answer.unwrap().parse().unwrap()
    }

    /// Increments the counter of one session, and returns it.
    pub fn increment(&mut self, tasks: u64, rounds: u64) -> u64 {
        self.ask(&format!("increment {tasks} {rounds}"))
    }
}

impl Contestant for Peer {
    fn can(&self, operation: Operation, has_user: bool) -> bool {
        // It has no operation that sets only the times of a session, and no index by user.
        operation != Operation::Touch && !has_user
    }

    fn run(&mut self, batch: &Batch) -> Duration {
        let numbers = batch.uses.iter().map(|used| used.number.to_string());
        let numbers = numbers.collect::<Vec<_>>().join(" ");
        let Batch {
            operation, tasks, ..
        } = batch;
        Duration::from_nanos(self.ask(&format!("{operation} {tasks} {numbers}")))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
