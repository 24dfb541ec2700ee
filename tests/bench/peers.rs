//! Other session stores, as programs in several languages. A program reads a line with an operation
//! and session numbers, and answers with the time in nanoseconds.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::operations::{Contestant, Operation};
use crate::sessions::Sessions;
use session3_test_servers::redis::Redis;
use session3_test_support::directory::Directory;

/// The directory into which `tools/install-peers` installs them.
pub const INSTALLED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/../peers");
pub const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../peers");
/// The largest number of sessions for which the peers are measured. The page cache would not hold
/// more sessions of all of them.
const MOST: u64 = 100_000;
/// The largest number of sessions in one line.
const LINE: usize = 10_000;

/// The options of a server of Redis that keeps everything in memory only.
pub const IN_MEMORY: [&str; 4] = ["--save", "", "--appendonly", "no"];

/// The names in the table, in the order of [`start`].
pub const NAMES: [&str; 3] = ["Session3", "PHP", "Redis"];

/// A session store with sessions of its own.
struct Peer {
    program: Program,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    // Fields are dropped in this order: the directory is removed, and the server stopped, after the
    // program.
    _directory: Directory,
    _server: Option<Redis>,
}

/// A process that is killed when this value is dropped.
struct Program(Child);

/// Starts all peers, each with as many sessions as the store, on the same file system. Returns none
/// of them if that would be too many sessions.
pub fn start<'a>(sessions: &Sessions) -> Vec<Box<dyn Contestant + 'a>> {
    if sessions.count > MOST {
        return Vec::new();
    }
    let directory = |name| Directory::new(sessions.directory.parent().unwrap(), name);
    let server = Redis::start(&IN_MEMORY);
    let port = server.port;
    let starts = [
        Peer::start(python("python.py"), directory("python"), None),
        Peer::start(php(), directory("php"), None),
        Peer::start(tower_sessions(port), directory("redis"), Some(server)),
    ];
    let numbers: Vec<u64> = (0..sessions.count).collect();
    let filled = starts.map(|mut peer| {
        for numbers in numbers.chunks(LINE) {
            peer.run(Operation::Create, numbers);
        }
        Box::new(peer) as Box<dyn Contestant>
    });
    filled.into()
}

/// Returns the command that runs a Python script of `tests/peers`.
fn python(script: &str) -> Command {
    let python = format!("{INSTALLED}/python/bin/python");
    assert!(
        Path::new(&python).exists(),
        "{python} is missing; tools/install-peers installs it"
    );
    let mut command = Command::new(python);
    command.arg(format!("{SCRIPTS}/{script}"));
    command
}

fn php() -> Command {
    let mut command = Command::new("php");
    command.arg(format!("{SCRIPTS}/php-files.php"));
    command
}

fn tower_sessions(port: u16) -> Command {
    let mut command = Command::new(format!("{INSTALLED}/release/peers"));
    command.arg(port.to_string());
    command
}

impl Peer {
    fn start(mut command: Command, directory: Directory, server: Option<Redis>) -> Self {
        command
            .arg(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut program = Program::start(&mut command);
        let output = BufReader::new(program.0.stdout.take().unwrap());
        Self {
            input: program.0.stdin.take().unwrap(),
            output: output.lines(),
            program,
            _directory: directory,
            _server: server,
        }
    }
}

impl Contestant for Peer {
    fn can(&self, operation: Operation) -> bool {
        operation != Operation::Touch
    }

    fn run(&mut self, operation: Operation, numbers: &[u64]) -> Duration {
        let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
        writeln!(self.input, "{operation} {}", numbers.join(" ")).unwrap();
        let Some(answer) = self.output.next() else {
            panic!("a peer ended: {:?}", self.program.0.wait());
        };
        Duration::from_nanos(answer.unwrap().parse().unwrap())
    }
}

impl Program {
    fn start(command: &mut Command) -> Self {
        match command.spawn() {
            Ok(child) => Self(child),
            Err(error) => panic!("{command:?}: {error}; tools/install-peers installs it"),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
