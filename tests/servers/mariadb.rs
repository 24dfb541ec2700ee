//! Servers of MariaDB.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::account::{self, Account};
use crate::{PATIENCE, Server, free_port};

/// The password of the user `session3` of every server.
pub const PASSWORD: &str = "secret-of-the-test";

/// The options of a server that an operator runs, as benchmarks need it: a crash loses nothing.
pub const OPERATED: [&str; 3] = [
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-buffer-pool-size=2G",
    "--innodb-log-file-size=256M",
];

/// A server that listens on a port of its own. Dropping it stops it.
pub struct Mariadb {
    directory: PathBuf,
    /// The port on which the server listens.
    pub port: u16,
    settings: Vec<String>,
    process: Child,
    /// Stops the server and removes its directory when its input ends: when this value is
    /// dropped, and when the test is killed.
    watchdog: Child,
}

impl Mariadb {
    /// Starts a new server with these options of the command `mariadbd`.
    pub fn start(settings: &[&str]) -> Self {
        let directory = ACCOUNT.directory();
        let watchdog = watchdog(&directory);
        // A server removes the temporary tables of others when it starts.
        fs::create_dir(directory.join("tmp")).unwrap();
        give(&directory.join("tmp"));
        let made = ACCOUNT
            .command(&program("mariadb-install-db"))
            .env("TMPDIR", directory.join("tmp"))
            .arg("--no-defaults")
            .arg(format!("--datadir={}", directory.join("data").display()))
            .args(["--auth-root-authentication-method=normal"])
            .args(["--skip-test-db", "--skip-name-resolve"])
            .arg(LOG_SIZE)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let port = free_port();
        let users = format!(
            "CREATE USER IF NOT EXISTS session3@127.0.0.1 IDENTIFIED BY '{PASSWORD}';\n\
             GRANT ALL ON *.* TO session3@127.0.0.1 WITH GRANT OPTION;\n\
             CREATE DATABASE IF NOT EXISTS web;\n"
        );
        fs::write(directory.join("init.sql"), users).unwrap();
        let settings: Vec<_> = settings.iter().map(|line| (*line).to_owned()).collect();
        let process = run(&directory, port, &settings);
        let mut server = Self {
            directory,
            port,
            settings,
            process,
            watchdog,
        };
        server.wait_until_ready(0);
        server
    }

    /// Returns the server that tests share which neither stop it nor change its settings. Its
    /// commits do not wait for the disk, so that its URL needs `durability=off`.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Mariadb> = OnceLock::new();
        SHARED.get_or_init(|| {
            Self::start(&[
                "--innodb-flush-log-at-trx-commit=0",
                "--max-connections=500",
            ])
        })
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
        format!("mysql://session3:{PASSWORD}@127.0.0.1:{port}/web")
    }

    /// Kills the server, as the system does when it runs out of memory.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts the server again after [`kill`](Self::kill).
    pub fn restart(&mut self) {
        let logged = self.log().len();
        self.process = run(&self.directory, self.port, &self.settings);
        self.wait_until_ready(logged);
    }

    fn log(&self) -> String {
        let log = fs::read(self.directory.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Waits until the server says in its log, after the first `logged` bytes, that it accepts
    /// connections. One whose port has been taken meanwhile is started again.
    fn wait_until_ready(&mut self, logged: usize) {
        let start = Instant::now();
        while !self.log()[logged..].contains("ready for connections") {
            let log = || self.log();
            assert!(start.elapsed() < PATIENCE, "not ready: {}", log());
            if self.process.try_wait().unwrap().is_some() {
                self.process = run(&self.directory, self.port, &self.settings);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Server for Mariadb {
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

impl Drop for Mariadb {
    fn drop(&mut self) {
        // Nothing of the server is needed any more.
        let _ = kill_process(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.wait();
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

const ACCOUNT: Account = Account {
    user: "mysql",
    package: "mariadb-server",
};

/// Gives a file or a directory to the user of the server.
pub fn give(path: &Path) {
    ACCOUNT.give(path);
}

/// Returns the path of a program of MariaDB.
fn program(name: &str) -> PathBuf {
    let directories = ["/usr/sbin", "/usr/bin", "/usr/local/bin"];
    let mut programs = directories.iter().map(|path| Path::new(path).join(name));
    let found = programs.find(|program| program.is_file());
    ACCOUNT.installed(found, name)
}

/// A small log makes a server start sooner. Its size must be the same in all calls.
const LOG_SIZE: &str = "--innodb-log-file-size=32M";

fn run(directory: &Path, port: u16, settings: &[String]) -> Child {
    let path = |option: &str, name: &str| format!("--{option}={}", directory.join(name).display());
    let mut command = ACCOUNT.command(&program("mariadbd"));
    command
        .arg("--no-defaults")
        .arg(path("datadir", "data"))
        .arg(path("socket", "socket"))
        .arg(path("pid-file", "pid"))
        .arg(path("init-file", "init.sql"))
        .arg(path("tmpdir", "tmp"))
        .arg(format!("--port={port}"))
        .args(["--bind-address=127.0.0.1", "--skip-name-resolve"])
        .args([LOG_SIZE, "--innodb-buffer-pool-size=32M"])
        .args(settings);
    account::run(&mut command, directory)
}

fn watchdog(directory: &Path) -> Child {
    let end = "pid=$(cat \"$1/pid\") && kill -KILL \"$pid\" && \
               while kill -0 \"$pid\"; do sleep 0.02; done; rm -rf \"$1\"";
    account::watchdog(end, directory)
}
