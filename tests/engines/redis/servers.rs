//! Servers that tests start and stop.

use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::{FromRedisValue, InfoDict, Value};
pub use session3_test_servers::free_port;
use session3_test_servers::redis::{end, spawn};
use tempfile::TempDir;

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running server with a directory for its data.
pub struct Server {
    process: Mutex<Child>,
    program: &'static str,
    arguments: Vec<String>,
    pub port: u16,
    pub directory: TempDir,
}

impl Server {
    /// Starts a server without durability.
    pub fn start() -> Self {
        Self::start_with(&["--save", ""])
    }

    /// Starts a server with these options.
    pub fn start_with(options: &[&str]) -> Self {
        let port = free_port();
        let mut arguments: Vec<String> = vec!["--port".into(), port.to_string()];
        // A replica gets its copy at once, and not with others five seconds later.
        arguments.extend(["--repl-diskless-sync-delay".into(), "0".into()]);
        arguments.extend(options.iter().map(|&option| option.to_owned()));
        let server = Self::run("redis-server", arguments, port);
        server.wait_until_ready();
        server
    }

    /// Runs a program in a directory of its own, and does not wait for it.
    pub fn run(program: &'static str, arguments: Vec<String>, port: u16) -> Self {
        Self::run_in(tempfile::tempdir().unwrap(), program, arguments, port)
    }

    /// Runs a program in this directory, and does not wait for it.
    pub fn run_in(
        directory: TempDir,
        program: &'static str,
        arguments: Vec<String>,
        port: u16,
    ) -> Self {
        Self {
            process: Mutex::new(spawn(program, &arguments, directory.path())),
            program,
            arguments,
            port,
            directory,
        }
    }

    /// Starts the server again, with the same options and data.
    pub fn restart(&self) {
        self.restart_with(&[]);
    }

    /// Starts the server again as a replica of the server with this port.
    pub fn restart_as_replica(&self, primary: u16) {
        self.restart_with(&["--replicaof", "127.0.0.1", &primary.to_string()]);
    }

    fn restart_with(&self, options: &[&str]) {
        let options = options.iter().map(|&option| option.to_owned());
        let arguments: Vec<_> = self.arguments.iter().cloned().chain(options).collect();
        *self.process.lock() = spawn(self.program, &arguments, self.directory.path());
        self.wait_until_ready();
    }

    /// Kills the server with SIGKILL.
    pub fn kill(&self) {
        end(&mut self.process.lock());
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Waits until the server answers, maybe with an error.
    pub fn wait_until_ready(&self) {
        wait_until(self.program, || {
            let is_loading = |error: &redis::RedisError| error.code() == Some("LOADING");
            match try_command(self.port, &["PING"]) {
                Ok(_) => true,
                Err(error) => error.code().is_some() && !is_loading(&error),
            }
        });
    }

    /// Sends a command over a connection of its own.
    pub fn command(&self, words: &[&str]) -> Value {
        try_command(self.port, words).unwrap()
    }

    /// Sends a command and returns the text of its answer.
    pub fn text(&self, words: &[&str]) -> String {
        redis::from_redis_value(self.command(words)).unwrap()
    }

    /// Returns a fact of the section `replication` of `INFO`.
    pub fn replication<T: FromRedisValue>(&self, name: &str) -> T {
        let info: InfoDict =
            redis::from_redis_value(self.command(&["INFO", "replication"])).unwrap();
        info.get(name).unwrap()
    }
}

/// Lets each primary among these servers write something, and waits until its replica has got it. A
/// primary may send nothing for up to a second after it has called a replica online.
pub fn wait_for_replicas(servers: &[Server]) {
    let is_primary = |server: &&Server| server.replication::<String>("role") == "master";
    let (primaries, replicas): (Vec<_>, Vec<_>) = servers.iter().partition(is_primary);
    for primary in &primaries {
        primary.command(&["FLUSHALL"]);
    }
    let is_current = |replica: &&Server| {
        let port: u16 = replica.replication("master_port");
        let primary = primaries.iter().find(|primary| primary.port == port);
        let written: u64 = primary.unwrap().replication("master_repl_offset");
        replica.replication::<u64>("slave_repl_offset") >= written
    };
    wait_until("the replicas", || replicas.iter().all(is_current));
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.process.lock());
    }
}

/// Sends a command to the server with this port of this machine.
pub fn try_command(port: u16, words: &[&str]) -> redis::RedisResult<Value> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    let mut connection = client.get_connection_with_timeout(Duration::from_secs(2))?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut command = redis::Cmd::new();
    command.arg(words);
    command.query(&mut connection)
}

/// Waits until a condition holds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a condition holds, without blocking the runtime.
pub async fn wait_for(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A server that tests share. It ends with their process.
pub struct Shared<T>(OnceLock<Arc<T>>);

impl<T> Shared<T> {
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    pub fn get(&self, start: impl FnOnce() -> T) -> Arc<T> {
        self.0.get_or_init(|| Arc::new(start())).clone()
    }
}

/// Returns a prefix that no other store of this process has.
pub fn new_prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("test{}", NEXT.fetch_add(1, Ordering::SeqCst))
}
