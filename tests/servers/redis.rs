//! Servers of Redis.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use session3_test_support::wait_until;
use tempfile::TempDir;

use crate::{Server, free_port};

/// The options of a server that an operator runs, as benchmarks need it: a crash loses a second.
pub const OPERATED: [&str; 6] = [
    "--save",
    "",
    "--appendonly",
    "yes",
    "--appendfsync",
    "everysec",
];

/// A running server. Dropping it stops it.
pub struct Redis {
    process: Child,
    arguments: Vec<String>,
    /// The port on which the server listens.
    pub port: u16,
    directory: TempDir,
}

impl Redis {
    /// Starts a server with these options.
    pub fn start(options: &[&str]) -> Self {
        let port = free_port();
        let mut arguments: Vec<String> = vec!["--port".into(), port.to_string()];
        arguments.extend(options.iter().map(|&option| option.to_owned()));
        let directory = tempfile::tempdir().unwrap();
        let server = Self {
            process: spawn("redis-server", &arguments, directory.path()),
            arguments,
            port,
            directory,
        };
        server.wait_until_ready();
        server
    }

    /// Returns the server that tests share which neither stop it nor change its settings. It
    /// writes nothing to the disk.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Redis> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&["--save", ""]))
    }

    /// Returns the URL of a store on the server.
    pub fn url(&self, prefix: &str) -> String {
        format!("redis://127.0.0.1:{}?prefix={prefix}", self.port)
    }

    /// Kills the server with SIGKILL.
    pub fn kill(&mut self) {
        end(&mut self.process);
    }

    /// Starts the server again, with the same options and data.
    pub fn restart(&mut self) {
        self.process = spawn("redis-server", &self.arguments, self.directory.path());
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        wait_until("redis-server", || answers(self.port).unwrap_or(false));
    }
}

impl Server for Redis {
    fn url(&self) -> String {
        self.url("s3")
    }

    fn kill(&mut self) {
        self.kill();
    }

    fn restart(&mut self) {
        self.restart();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

/// A Cluster of three primaries with a replica each.
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts the nodes and joins them.
    pub fn start() -> Self {
        let options = ["--save", "", "--cluster-enabled", "yes"];
        let nodes: Vec<_> = (0..6).map(|_| Redis::start(&options)).collect();
        let hosts = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port));
        let created = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(hosts)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .unwrap();
        assert!(created.status.success(), "{created:?}");
        let cluster = Self { nodes };
        wait_until("the Cluster", || cluster.nodes.iter().all(is_joined));
        cluster
    }

    /// Returns the Cluster that tests share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<RedisCluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Returns the URL of a store in the Cluster.
    pub fn url(&self, prefix: &str) -> String {
        let port = self.nodes[0].port;
        format!("redis+cluster://127.0.0.1:{port}?prefix={prefix}")
    }
}

/// Returns whether a node knows all others, and all slots are served.
fn is_joined(node: &Redis) -> bool {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &node.port.to_string(), "CLUSTER", "INFO"]);
    let info = command.output().unwrap().stdout;
    let info = String::from_utf8_lossy(&info);
    info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:6")
}

/// Returns whether the server answers and has read its data.
fn answers(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    Ok(&answer == b"+PONG")
}

/// Starts a program of Redis behind a shell, which kills it as soon as its own input ends. So
/// servers end with the process of the tests, however that ends.
pub fn spawn(program: &str, arguments: &[String], directory: &Path) -> Child {
    let version = Command::new(program).arg("--version").output();
    let advice = |error| panic!("{program}: {error}; install Debian's package {program}");
    version.unwrap_or_else(advice);
    let log = fs::File::create(directory.join("log")).unwrap();
    let script = r#""$@" & read -r line; kill -9 $!; wait"#;
    Command::new("sh")
        .args(["-c", script, "sh", program])
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Kills what [`spawn`] has started.
pub fn end(shell: &mut Child) {
    drop(shell.stdin.take());
    shell.wait().unwrap();
}
