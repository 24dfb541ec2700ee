//! Other session stores, each a program in a language of its own: a line tells
//! it what to do, and its answer how long that took.

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::directory::Directory;
use crate::operations::{Contestant, Operation};
use crate::sessions::Sessions;

/// Where `tools/install-peers` put them.
const INSTALLED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/../peers");
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../peers");
/// With more sessions, the page cache would not hold everybody's.
const MOST: u64 = 100_000;
/// In one line.
const LINE: usize = 10_000;

/// How the table calls them, in the order of [`start`].
pub const NAMES: [&str; 3] = ["Session3", "PHP", "Redis"];

/// One of them, with sessions of its own.
struct Peer {
    program: Program,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// Removed, or stopped, after the program.
    _directory: Directory,
    _server: Option<Program>,
}

/// Killed when this is dropped.
struct Program(Child);

/// All of them with as many sessions, on the same file system; none where that
/// would be too many.
pub fn start<'a>(sessions: &Sessions) -> Vec<Box<dyn Contestant + 'a>> {
    if sessions.count > MOST {
        return Vec::new();
    }
    let directory = |name| Directory::new(sessions.directory.parent().unwrap(), name);
    let (server, port) = redis();
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

/// A script of `tests/peers`, with what it needs.
pub fn python(script: &str) -> Command {
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

/// A server that keeps everything in memory only, and ends with this program.
fn redis() -> (Program, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "TERM", "redis-server"])
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", "no"])
        .stdout(Stdio::null());
    (Program::start(&mut command), port)
}

impl Peer {
    fn start(mut command: Command, directory: Directory, server: Option<Program>) -> Self {
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
