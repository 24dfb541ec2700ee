//! The options of a server.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::Semaphore;
use wasmtime::{Result, format_err};
use wasmtime_wasi::{FsPerms, WasiCtx};

use super::output::{Output, Stream};

/// The largest number of waiting requests for each request that can run.
const WAITING_PER_INSTANCE: usize = 4;

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
#[derive(Clone, Debug)]
pub struct ServeOptions {
    pub(super) is_secure: bool,
    pub(super) time_limit: Duration,
    pub(super) max_memory: usize,
    pub(super) max_body: u64,
    pub(super) max_instances: u32,
    pub(super) cache: Option<PathBuf>,
    environment: Vec<(String, String)>,
    directories: Vec<(PathBuf, String)>,
    pub(super) is_compiled_allowed: bool,
}

impl ServeOptions {
    /// Sets whether the component is told that browsers use TLS, for a server behind a
    /// TLS proxy; `false` by default.
    pub fn secure(mut self, is_secure: bool) -> Self {
        self.is_secure = is_secure;
        self
    }

    /// Sets how long a request may take: 10 seconds by default. A request that takes
    /// longer is answered 504, or 503 if it still waits for an instance.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
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
    /// instance has many memories. Four times as many requests wait; any others are
    /// answered 503.
    pub fn max_instances(mut self, count: u32) -> Self {
        self.max_instances = count.max(1);
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

    /// Returns how many requests can run or wait at the same time.
    pub(super) fn max_admitted(&self) -> usize {
        let max = self.max_instances as usize * (1 + WAITING_PER_INSTANCE);
        max.min(Semaphore::MAX_PERMITS)
    }

    /// Creates the WASI context of an instance: clocks, random numbers, the granted
    /// directories and variables, and the log for its output.
    ///
    /// # Errors
    ///
    /// If a granted directory cannot be opened.
    pub(super) fn wasi(&self) -> Result<WasiCtx> {
        let mut wasi = WasiCtx::builder();
        wasi.envs(&self.environment)
            .stdout(Output::new(Stream::Stdout))
            .stderr(Output::new(Stream::Stderr));
        for (host, guest) in &self.directories {
            wasi.preopened_dir(host, guest, FsPerms::ReadWrite)
                .map_err(|error| {
                    format_err!(
                        "{}: the directory cannot be opened: {error}",
                        host.display()
                    )
                })?;
        }
        Ok(wasi.build())
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
            cache: None,
            environment: Vec::new(),
            directories: Vec::new(),
            is_compiled_allowed: false,
        }
    }
}
