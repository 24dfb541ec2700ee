//! Servers of PostgreSQL.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::account::{self, Account};
use crate::{PATIENCE, Server, free_port};

/// The password of the user `postgres` of every server.
pub const PASSWORD: &str = "secret-of-the-test";

/// The configuration of a server that an operator runs, as benchmarks need it: a crash loses
/// nothing.
pub const OPERATED: [&str; 3] = [
    "fsync = on",
    "synchronous_commit = on",
    "shared_buffers = '2GB'",
];

/// A server that listens on a port of its own. Dropping it stops it.
pub struct Postgres {
    directory: PathBuf,
    /// The port on which the server listens.
    pub port: u16,
    process: Child,
    /// Stops the server and removes its directory when its input ends: when this value is
    /// dropped, and when the test is killed.
    watchdog: Child,
}

impl Postgres {
    /// Starts a new server with these lines in its configuration.
    pub fn start(settings: &[&str]) -> Self {
        let directory = directory();
        let password = directory.join("password");
        fs::write(&password, PASSWORD).unwrap();
        let data = directory.join("data");
        let made = as_user(&program("initdb"))
            .args(["--no-sync", "--username=postgres", "--auth=scram-sha-256"])
            .args(["--encoding=UTF8", "--locale=C", "--data-checksums"])
            .arg(format!("--pwfile={}", password.display()))
            .arg(format!("--pgdata={}", data.display()))
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        Self::start_in(directory, settings)
    }

    /// Starts a server whose data are in the subdirectory `data` already.
    pub fn start_in(directory: PathBuf, settings: &[&str]) -> Self {
        let port = free_port();
        let mut configuration = vec![
            format!("port = {port}"),
            "listen_addresses = '127.0.0.1'".into(),
            "unix_socket_directories = ''".into(),
            "shared_buffers = '16MB'".into(),
            "max_connections = 50".into(),
        ];
        configuration.extend(settings.iter().map(|line| (*line).to_owned()));
        let data = directory.join("data");
        fs::write(data.join("postgresql.auto.conf"), configuration.join("\n")).unwrap();
        let watchdog = watchdog(&directory);
        let process = run(&directory);
        let mut server = Self {
            directory,
            port,
            process,
            watchdog,
        };
        server.wait_until_ready();
        server
    }

    /// Returns the server that tests share which neither stop it nor change its settings. Its
    /// commits do not wait for the disk.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&["synchronous_commit = off", "max_connections = 300"]))
    }

    /// Returns the directory of the server's data.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Returns what the server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Returns the URL of a database of the server.
    pub fn url(&self) -> String {
        self.url_at(self.port)
    }

    /// Returns the same URL without the password.
    pub fn url_without_password(&self) -> String {
        self.url().replace(&format!(":{PASSWORD}@"), "@")
    }

    /// Returns the URL for a proxy to this server.
    pub fn url_at(&self, port: u16) -> String {
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/postgres")
    }

    /// Kills all processes of the server, as the system does when it runs out of memory.
    pub fn kill(&mut self) {
        // The server must not notice the end of its children.
        self.freeze();
        for pid in self.processes() {
            let _ = kill_process(pid, Signal::KILL);
        }
        self.process.wait().unwrap();
    }

    /// Starts the server again after [`kill`](Self::kill).
    pub fn restart(&mut self) {
        self.process = run(&self.directory);
        self.wait_until_ready();
    }

    /// Stops all processes of the server, which then answer nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Ends what [`freeze`](Self::freeze) did.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        for pid in self.processes() {
            let _ = kill_process(pid, signal);
        }
    }

    /// Returns the first process of the server and its children.
    fn processes(&self) -> Vec<Pid> {
        let first = Pid::from_child(&self.process);
        let children = format!("/proc/{first}/task/{first}/children");
        let children = fs::read_to_string(children).unwrap_or_default();
        let pids = children.split_whitespace().map(|pid| pid.parse().unwrap());
        let mut all = vec![first];
        all.extend(pids.filter_map(Pid::from_raw));
        all
    }

    /// Waits until the server accepts connections. It refuses to start while a child of a server
    /// that was killed still ends, and is then started again.
    fn wait_until_ready(&mut self) {
        let file = self.data().join("postmaster.pid");
        let start = Instant::now();
        loop {
            let state = fs::read_to_string(&file).unwrap_or_default();
            let mut lines = state.lines().map(str::trim);
            let is_own = lines.next() == Some(&self.process.id().to_string());
            if is_own && matches!(lines.nth(6), Some("ready" | "standby")) {
                return;
            }
            if self.process.try_wait().unwrap().is_some() {
                self.process = run(&self.directory);
            }
            assert!(
                start.elapsed() < PATIENCE,
                "the server is not ready: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Server for Postgres {
    fn url(&self) -> String {
        self.url()
    }

    fn kill(&mut self) {
        self.kill();
    }

    fn restart(&mut self) {
        self.restart();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A server that was stopped, or has ended already, fails here.
        self.thaw();
        let _ = kill_process(Pid::from_child(&self.process), Signal::QUIT);
        let _ = self.process.wait();
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

const ACCOUNT: Account = Account {
    user: "postgres",
    package: "postgresql",
};

/// Makes a directory that the user of the server owns.
pub fn directory() -> PathBuf {
    ACCOUNT.directory()
}

/// Gives a file or a directory to the user of the server.
pub fn give(path: &Path) {
    ACCOUNT.give(path);
}

/// Returns a command that runs a program as the user of the server.
pub fn as_user(program: &Path) -> Command {
    let mut command = ACCOUNT.command(program);
    command.env_remove("PGPASSWORD");
    command
}

/// Returns the path of a program of the newest version of PostgreSQL.
pub fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let programs = versions.map(|version| version.unwrap().path().join("bin").join(name));
    let found = programs.filter(|program| program.is_file()).max();
    ACCOUNT.installed(found, name)
}

fn run(directory: &Path) -> Child {
    let mut command = as_user(&program("postgres"));
    account::run(command.arg("-D").arg(directory.join("data")), directory)
}

fn watchdog(directory: &Path) -> Child {
    let end = "pid=$(head -n 1 \"$1/data/postmaster.pid\") && kill -QUIT \"$pid\" && \
               while kill -0 \"$pid\"; do sleep 0.02; done; \
               kill -CONT \"$pid\"; rm -rf \"$1\"";
    account::watchdog(end, directory)
}
