//! The counter page of other web frameworks with the sessions that they usually have, each set up
//! as its documentation says. `tests/peers/web` has the applications.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::{Pid, Signal, kill_process};
use session3_test_program::Site;
use session3_test_servers::free_port;
use session3_test_servers::redis::Redis;

use crate::peers::{IN_MEMORY, INSTALLED, SCRIPTS};

/// A server, which ends when this value is dropped.
pub struct Server {
    child: Child,
    url: String,
}

/// The peers, and the server of Redis that some of them use.
pub struct Peers {
    pub axum_files: Server,
    pub axum_redis: Server,
    pub others: Vec<(&'static str, Server)>,
    _redis: Redis,
}

impl Peers {
    /// Starts all peers, with their sessions below this directory.
    pub fn start(directory: &Path) -> Self {
        let place = |name: &str| {
            let place = directory.join(name);
            fs::create_dir(&place).unwrap();
            place.to_str().unwrap().to_owned()
        };
        let redis = Redis::start(&IN_MEMORY);
        let redis_url = format!("redis://127.0.0.1:{}", redis.port);
        let others = vec![
            ("Express, session-file-store", express(&place("express"))),
            ("Express, connect-redis", express(&redis_url)),
            ("Django, files", gunicorn("django", &place("django"))),
            ("Flask-Session, files", gunicorn("flask", &place("flask"))),
            ("Flask-Session, Redis", gunicorn("flask", &redis_url)),
            ("PHP-FPM and nginx, files", php(&place("php"))),
            ("Session3 and Quixote, files", quixote(&place("quixote"))),
        ];
        Self {
            axum_files: axum(&place("axum")),
            axum_redis: axum(&format!("redis:{}", redis.port)),
            others,
            _redis: redis,
        }
    }
}

fn axum(store: &str) -> Server {
    let program = format!("{INSTALLED}/release/axum-counter");
    Server::start(&program, |command, port| {
        command.args([port, store]);
    })
}

fn express(store: &str) -> Server {
    let script = format!("{INSTALLED}/node/express.mjs");
    Server::start("node", |command, port| {
        command.args([&script, port, store]);
    })
}

/// Two processes for the two cores on which the benchmarks run, and threads so that connections
/// are kept.
fn gunicorn(framework: &str, store: &str) -> Server {
    let program = format!("{INSTALLED}/python/bin/gunicorn");
    Server::start(&program, |command, port| {
        command
            .args(["--chdir", &format!("{SCRIPTS}/web")])
            .args(["--workers", "2", "--threads", "4"])
            .args(["--no-control-socket", "--log-level", "error"])
            .args(["--bind", &format!("127.0.0.1:{port}")])
            .arg(format!("{framework}_counter:application"))
            .env("SESSIONS", store);
    })
}

fn quixote(directory: &str) -> Server {
    let program = format!("{INSTALLED}/python/bin/python");
    let script = format!("{SCRIPTS}/counter.py");
    Server::start(&program, |command, port| {
        // The server reports clients that disconnect when their second is over.
        command
            .args([&script, directory, "--port", port])
            .stderr(Stdio::null());
    })
}

fn php(directory: &str) -> Server {
    let script = format!("{SCRIPTS}/web/php.sh");
    Server::start(&script, |command, port| {
        command.args([port, directory]);
    })
}

impl Server {
    /// Starts a program on a free port, which `configure` tells it, and waits until it accepts
    /// connections.
    pub fn start(program: &str, configure: impl FnOnce(&mut Command, &str)) -> Self {
        let port = free_port();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", program]);
        configure(&mut command, &port.to_string());
        command.stdout(Stdio::null());
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut server = Self {
            child,
            url: format!("http://127.0.0.1:{port}/"),
        };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let status = server.child.try_wait().unwrap();
            assert!(
                status.is_none(),
                "{command:?}: {status:?}; tools/install-peers installs the peers"
            );
            let is_late = start.elapsed() > Duration::from_secs(30);
            assert!(!is_late, "{command:?} does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        server
    }
}

impl Site for Server {
    fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // With SIGTERM, a server ends its processes too.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}
