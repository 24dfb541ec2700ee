//! Other session stores, as programs in several languages that run beside this one.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use session3_test_servers::redis::Redis;

use crate::contest::{Batch, Contestant, Operation};

/// The directory into which `tools/install-peers` installs them.
const INSTALLED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/../peers");
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../peers");

/// A running program. Dropping it ends it.
pub struct Peer {
    /// The name in the tables.
    pub name: &'static str,
    program: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// A server that only this peer uses.
    server: Option<Redis>,
}

impl Peer {
    /// Starts tower-sessions with a store at this URL.
    pub fn tower_sessions(url: &str) -> Self {
        let program = format!("{INSTALLED}/release/engines-peers");
        Self::start("tower-sessions", installed(&program).arg(url))
    }

    /// Starts connect-redis with a server of Redis at this URL.
    pub fn connect_redis(url: &str) -> Self {
        let script = format!("{INSTALLED}/node/connect-redis.mjs");
        installed(&script);
        Self::start("connect-redis", Command::new("node").arg(script).arg(url))
    }

    /// Starts Django's `cached_db` with PostgreSQL at this URL, and with a cache in a server of
    /// Redis that writes nothing to the disk.
    pub fn cached_db(url: &str) -> Self {
        let python = format!("{INSTALLED}/python/bin/python");
        let cache = Redis::start(&["--save", ""]);
        let mut command = installed(&python);
        command
            .arg(format!("{SCRIPTS}/cached_db.py"))
            .arg(url)
            .arg(format!("redis://127.0.0.1:{}", cache.port));
        let mut peer = Self::start("Django's cached_db", &mut command);
        peer.server = Some(cache);
        peer
    }

    fn start(name: &'static str, command: &mut Command) -> Self {
        let mut program = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            name,
            input: program.stdin.take().unwrap(),
            output: BufReader::new(program.stdout.take().unwrap()).lines(),
            program,
            server: None,
        }
    }

    /// Sends a command, and returns its result.
    fn ask(&mut self, command: &str) -> u64 {
        writeln!(self.input, "{command}").unwrap();
        let Some(answer) = self.output.next() else {
            panic!("{} ended: {:?}", self.name, self.program.wait());
        };
        answer.unwrap().parse().unwrap()
    }

    /// Increments the counter of one session, and returns it.
    pub fn increment(&mut self, tasks: u64, rounds: u64) -> u64 {
        self.ask(&format!("increment {tasks} {rounds}"))
    }
}

/// Returns a command that runs an installed program.
fn installed(program: &str) -> Command {
    assert!(
        Path::new(program).exists(),
        "{program} is missing; tools/install-peers installs it"
    );
    Command::new(program)
}

impl Contestant for Peer {
    fn can(&self, operation: Operation, has_user: bool) -> bool {
        // The peers have no index by user, and most have no operation that sets only the times of a
        // session.
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
        drop(self.server.take());
    }
}
