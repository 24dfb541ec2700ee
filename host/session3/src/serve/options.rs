//! The options of a server.

use std::path::PathBuf;
use std::time::Duration;

use session3_listen::Forwarding;
use session3_outbound::Outbound;
use wasmtime::{Result, format_err};
use wasmtime_wasi::{FsPerms, WasiCtx};

use super::output::{Output, Stream};
use super::static_files::StaticFiles;
use crate::ctx::SessionsCtx;

/// The largest number of waiting requests for each request that can run.
const WAITING_PER_INSTANCE: usize = 4;
/// The largest number of instances.
const MAX_INSTANCES: u32 = 65_536;
/// The longest time of an option: a year.
const MAX_TIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How many random bytes a component gets in one call.
const MAX_RANDOM: u64 = 1 << 20;

/// The options of a [`Server`](crate::Server).
///
/// ```
/// use std::time::Duration;
///
/// use session3::ServeOptions;
///
/// let options = ServeOptions::default()
///     .time_limit(Duration::from_secs(5))
///     .max_body(1 << 20)
///     .dir("uploads", "/uploads");
/// ```
#[derive(Clone)]
pub struct ServeOptions {
    pub(super) is_secure: bool,
    pub(super) time_limit: Duration,
    pub(super) max_memory: usize,
    pub(super) max_body: u64,
    pub(super) max_instances: u32,
    pub(super) max_instance_reuse: u32,
    pub(super) max_response_time: Duration,
    pub(super) client_timeout: Duration,
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) max_connections: u32,
    pub(super) has_access_log: bool,
    pub(super) forwarding: Forwarding,
    pub(super) outbound: Option<Outbound>,
    pub(super) cache: Option<PathBuf>,
    environment: Vec<(String, String)>,
    directories: Vec<(PathBuf, String)>,
    static_files: Vec<(PathBuf, String)>,
    static_max_age: Duration,
    pub(super) is_compiled_allowed: bool,
}

impl ServeOptions {
    /// Sets whether the component is told that browsers use TLS, for a server behind a
    /// TLS proxy; `false` by default.
    pub fn secure(mut self, is_secure: bool) -> Self {
        self.is_secure = is_secure;
        self
    }

    /// Sets which proxies may name the client of a request, and in which headers. By default,
    /// none may: the client is the peer of the connection.
    ///
    /// The application gets the client's address in `X-Forwarded-For` and the scheme in
    /// `X-Forwarded-Proto`, both from the server, and no other header of a proxy.
    pub fn forwarding(mut self, forwarding: Forwarding) -> Self {
        self.forwarding = forwarding;
        self
    }

    /// Sets what sends the application's requests to other servers. By default, each is denied.
    pub fn outbound(mut self, outbound: Outbound) -> Self {
        self.outbound = Some(outbound);
        self
    }

    /// Sets whether each request becomes a line of the log, with the target
    /// [`ACCESS_LOG`](crate::ACCESS_LOG); `false` by default.
    pub fn access_log(mut self, has_access_log: bool) -> Self {
        self.has_access_log = has_access_log;
        self
    }

    /// Sets how long the application may take for a request: 10 seconds by default. A
    /// request that takes longer is answered 504, or 503 if it still waits for an instance.
    /// The time in which the application waits for its client does not count.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit.min(MAX_TIME);
        self
    }

    /// Sets how long a response may take in all, with the time in which the application waits
    /// for its client: 10 minutes by default. A response that takes longer is cut off.
    pub fn max_response_time(mut self, limit: Duration) -> Self {
        self.max_response_time = limit.min(MAX_TIME);
        self
    }

    /// Sets how long a client may take for each 16 KiB of a body: 10 seconds by default. If it
    /// sends the body of a request more slowly, the request is answered 408; if it takes that
    /// of a response more slowly, its connection is closed.
    pub fn client_timeout(mut self, time: Duration) -> Self {
        self.client_timeout = time.min(MAX_TIME);
        self
    }

    /// Sets how long a client may take for the headers of a request: 30 seconds by default. Before
    /// its first one, it may take as long for the handshake of TLS and the header of the PROXY
    /// protocol, in place of the listener's own timeout.
    pub fn header_timeout(mut self, time: Duration) -> Self {
        self.header_timeout = time.min(MAX_TIME);
        self
    }

    /// Sets how long a connection may be open without a request: 75 seconds by default, which
    /// is longer than proxies keep one. Pings of HTTP/2 do not count as requests.
    pub fn idle_timeout(mut self, time: Duration) -> Self {
        self.idle_timeout = time.min(MAX_TIME);
        self
    }

    /// Sets how many connections are open at the same time: 8192 by default. Further clients
    /// wait until one is closed. If more than three quarters are open, idle connections, and
    /// handshakes that are not complete, are closed after a few seconds.
    pub fn max_connections(mut self, count: u32) -> Self {
        self.max_connections = count.max(1);
        self
    }

    /// Sets how many requests an instance serves, one after another: 1 by default, so that
    /// each request gets a new instance. With more, requests take less time, and a fault of
    /// the application may pass what it remembers of one user on to another one.
    ///
    /// An instance that trapped, ran out of time, has kept a resource of its request at the
    /// host, or has grown to more than half of the [memory](Self::max_memory) serves no
    /// further request. Sessions that the application has not dropped are closed at the end
    /// of their request. If an application fails with the second request in an instance, it
    /// gets a new instance for each request from then on.
    pub fn max_instance_reuse(mut self, count: u32) -> Self {
        self.max_instance_reuse = count.max(1);
        self
    }

    /// Sets how much memory a request may use, in bytes, for all parts of the component
    /// together: 64 MiB by default. Beyond that, memories do not grow; if the component
    /// traps then, the request is answered 500.
    pub fn max_memory(mut self, bytes: usize) -> Self {
        self.max_memory = bytes;
        self
    }

    /// Sets how long the body of a request may be, in bytes: 16 MiB by default. A request
    /// with a longer body is answered 413.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets how many requests run at the same time: 256 by default, and fewer if an
    /// instance has many memories, and 65,536 at most. Four times as many requests wait; any
    /// others are answered 503.
    pub fn max_instances(mut self, count: u32) -> Self {
        self.max_instances = count.clamp(1, MAX_INSTANCES);
        self
    }

    /// Sets the directory that caches compiled code for the next start; `None` by
    /// default. Every process that can write to it can run code in this process.
    pub fn cache(mut self, directory: Option<PathBuf>) -> Self {
        self.cache = directory;
        self
    }

    /// Sets whether the server may load [compiled](crate::compiled) components: `false` by
    /// default. Such a component is code of this process, which no sandbox confines.
    pub fn allow_compiled(mut self, is_allowed: bool) -> Self {
        self.is_compiled_allowed = is_allowed;
        self
    }

    /// Adds an environment variable for the component, which has none by default.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Lets the component read and write a directory of the host, under the name `guest`.
    /// By default, it can use no directory.
    pub fn dir(mut self, host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        self.directories.push((host.into(), guest.into()));
        self
    }

    /// Answers GET and HEAD with the files of a directory where the path of the request is below
    /// `path`, such as `/assets`, and names a file there; the application gets all other
    /// requests. May be called more than once: the first directory that has the file answers.
    ///
    /// A request for a file takes no instance and no session, and its answer sets no cookie. If
    /// the file is not found within the [time limit](Self::time_limit), it is answered 503.
    /// `index.html` answers for its directory, if the path ends with a slash. A file whose name
    /// has `.br` or `.gz` at its end is sent in place of the file without, to clients that
    /// accept this encoding. Names that begin with a dot, special files, and symbolic links that
    /// lead out of the directory, or are absolute, are never served.
    pub fn static_files(mut self, directory: impl Into<PathBuf>, path: impl Into<String>) -> Self {
        self.static_files.push((directory.into(), path.into()));
        self
    }

    /// Sets how long browsers and proxies may use a static file without asking again: an hour
    /// by default.
    pub fn static_max_age(mut self, age: Duration) -> Self {
        self.static_max_age = age.min(MAX_TIME);
        self
    }

    /// Opens the directories of static files.
    ///
    /// # Errors
    ///
    /// If one of them cannot be read.
    pub(super) fn open_static_files(&self) -> Result<StaticFiles> {
        StaticFiles::open(&self.static_files, self.static_max_age)
    }

    /// Returns how many requests can run or wait at the same time.
    pub(super) fn max_admitted(&self) -> usize {
        self.max_instances as usize * (1 + WAITING_PER_INSTANCE)
    }

    /// Creates the WASI context of an instance: clocks, random numbers, the granted
    /// directories and variables, and the log for its output. Also returns these outputs.
    ///
    /// # Errors
    ///
    /// If a granted directory cannot be opened.
    pub(super) fn wasi(&self, sessions: &SessionsCtx) -> Result<(WasiCtx, [Output; 2])> {
        let output = [Stream::Stdout, Stream::Stderr].map(Output::new);
        let [stdout, stderr] = output.clone();
        let mut wasi = WasiCtx::builder();
        wasi.envs(&self.environment)
            .max_random_size(MAX_RANDOM)
            .stdout(stdout)
            .stderr(stderr);
        sessions.set_clock(&mut wasi);
        for (host, guest) in &self.directories {
            wasi.preopened_dir(host, guest, FsPerms::ReadWrite)
                .map_err(|error| {
                    format_err!(
                        "{}: the directory cannot be opened: {error}",
                        host.display()
                    )
                })?;
        }
        Ok((wasi.build(), output))
    }
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            is_secure: false,
            time_limit: Duration::from_secs(10),
            max_memory: 64 << 20,
            max_body: 16 << 20,
            max_instances: 256,
            max_instance_reuse: 1,
            max_response_time: Duration::from_secs(600),
            client_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            max_connections: 8192,
            has_access_log: false,
            forwarding: Forwarding::default(),
            outbound: None,
            cache: None,
            environment: Vec::new(),
            directories: Vec::new(),
            static_files: Vec::new(),
            static_max_age: Duration::from_secs(3600),
            is_compiled_allowed: false,
        }
    }
}
