//! How to serve.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::Semaphore;
use wasmtime::{Result, format_err};
use wasmtime_wasi::{FsPerms, WasiCtx};

use super::output::{Output, Stream};

/// Requests that wait for each one that runs, at most.
const WAITING: usize = 4;

/// How to serve.
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
}

impl ServeOptions {
    /// Whether to tell the component that the browser came over TLS, which a
    /// proxy in front has ended; not by default.
    pub fn secure(mut self, is_secure: bool) -> Self {
        self.is_secure = is_secure;
        self
    }

    /// How long a request may run before it is answered 504; 10 seconds by
    /// default.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// How many bytes of memory a request may take, all of the component's
    /// parts together; 64 MiB by default.
    pub fn max_memory(mut self, bytes: usize) -> Self {
        self.max_memory = bytes;
        self
    }

    /// How long a request's body may be, in bytes, before it is answered 413;
    /// 16 MiB by default.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes;
        self
    }

    /// How many requests run at the same time; 256 by default, fewer where an
    /// instance takes much. Four times as many wait; beyond them, requests are
    /// answered 503.
    pub fn max_instances(mut self, count: u32) -> Self {
        self.max_instances = count.max(1);
        self
    }

    /// Where compiled code is kept for the next start; nowhere by default.
    /// Whoever can write there can run code in this process.
    pub fn cache(mut self, directory: Option<PathBuf>) -> Self {
        self.cache = directory;
        self
    }

    /// Gives the component a variable of the environment; it has none by
    /// default.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Gives the component a directory of the host, to read and to write, under
    /// the name `guest`; it has none by default.
    pub fn dir(mut self, host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        self.directories.push((host.into(), guest.into()));
        self
    }

    /// For requests that run or wait.
    pub(super) fn places(&self) -> usize {
        let places = self.max_instances as usize * (1 + WAITING);
        places.min(Semaphore::MAX_PERMITS)
    }

    /// What a request's instance gets of WASI: the clocks, random numbers, what
    /// was granted, and the log for its output.
    pub(super) fn wasi(&self) -> Result<WasiCtx> {
        let mut wasi = WasiCtx::builder();
        wasi.envs(&self.environment)
            .stdout(Output::new(Stream::Stdout))
            .stderr(Output::new(Stream::Stderr));
        for (host, guest) in &self.directories {
            wasi.preopened_dir(host, guest, FsPerms::ReadWrite)
                .map_err(|error| format_err!("{}: {error}", host.display()))?;
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
        }
    }
}
