//! What `demo` and `serve` have in common: the store, the listener and their options.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use metrics_exporter_prometheus::PrometheusHandle;
use session3::listen::{Listener, notify};
use session3::metrics::{MeteredStore, observe, observe_commit};
use session3::store::{Maintenance, SessionStore, StoreClock, StoreOptions, directory};
use session3::text::escaped;
use session3::{ServeOptions, Server, SessionsCtx};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::cache::Cache;
use super::keys::{self, Keys, KeysInUse};
use super::listening::Listening;
use super::readiness::Readiness;
use super::signals::StopSignals;
use super::store::Password;
use super::{metrics, store, sweeping};
use crate::log_options::LogOptions;

/// The time after which the start of a server says that it compiles.
const COMPILATION_NOTICE: Duration = Duration::from_secs(1);

/// The options of every command that serves.
#[derive(Args)]
pub struct Serving {
    #[command(flatten)]
    pub listening: Listening,
    /// Tell the application that browsers use TLS, for a server behind a TLS proxy;
    /// the cookie of the demo is then __Host-session with Secure
    #[arg(long)]
    pub secure_cookies: bool,
    /// Choose what survives a power cut, in a directory or an SQLite file: process by
    /// default; killing the program loses no acknowledged change in either mode
    #[arg(long, value_enum)]
    durability: Option<Durability>,
    /// Wait at most this long for a session that another process has locked, in
    /// seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    lock_timeout: u64,
    /// Set the interval at which expired sessions are deleted, in seconds; 0 leaves
    /// that to `session3 prune`
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    sweep_every: u64,
    /// Serve on this address, such as 127.0.0.1:9090, metrics for Prometheus at
    /// /metrics, and health checks: /healthz is 200 while the program runs, /readyz is
    /// 503 while the store cannot be reached or the server ends
    #[arg(long, value_name = "ADDRESS", value_parser = socket_address)]
    metrics: Option<SocketAddr>,
    #[command(flatten)]
    pub log: LogOptions,
    #[command(flatten)]
    password: Password,
    #[command(flatten)]
    pub keys: Keys,
    #[command(flatten)]
    pub cache: Cache,
}

#[derive(Clone, Copy, ValueEnum)]
enum Durability {
    /// A power cut may undo the changes of the last seconds, log-outs included
    Process,
    /// Every change is durable before it is acknowledged, which is slower
    Disk,
}

impl From<Durability> for directory::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Process => Self::Process,
            Durability::Disk => Self::Disk,
        }
    }
}

impl Serving {
    /// Opens a store, which is created if it is missing, and starts to delete expired sessions
    /// in the background. Also returns the keys that seal its sessions, if there are any.
    pub async fn open_store(
        &self,
        url: &OsStr,
    ) -> Result<(Arc<dyn Maintenance>, Option<KeysInUse>)> {
        let encryption = self.keys.read()?;
        let mut options = StoreOptions::default()
            .create(true)
            .lock_timeout(Duration::from_secs(self.lock_timeout));
        if let Some(durability) = self.durability {
            options = options.durability(durability.into());
        }
        if encryption.is_some() {
            options = keys::with_room_for_seals(options);
        }
        store::warn_of_password(url);
        let options = store::with_password(options, self.password.read()?);
        let store = store::open(url, options).await?;
        for warning in store.warnings().await? {
            tracing::warn!("{}", escaped(&warning));
        }
        if self.sweep_every > 0 {
            let every = Duration::from_secs(self.sweep_every);
            tokio::spawn(sweeping::sweep_forever(store.clone(), every));
        }
        Ok(keys::seal_for_server(store, encryption))
    }

    /// Checks that a store and its key ring can be read. A store that is missing is fine, since the server creates
    /// it.
    ///
    /// # Errors
    ///
    /// If the store, its password or its key ring cannot be read.
    pub async fn check_store(&self, url: &OsStr) -> Result<()> {
        self.keys.read()?;
        // A store in memory does not exist before its server.
        match url == "memory:" {
            true => Ok(()),
            false => store::check(url, self.password.read()?).await,
        }
    }

    /// Returns the context for sessions in a store, with the clock of its server. Durations are
    /// measured only with `--metrics`, since measuring takes time.
    pub async fn sessions(&self, store: Arc<dyn Maintenance>) -> SessionsCtx {
        let is_measured = self.metrics.is_some();
        let clock = StoreClock::follow(&store).await;
        let store: Arc<dyn SessionStore> = match is_measured {
            true => Arc::new(MeteredStore::new(store)),
            false => store,
        };
        let mut sessions = SessionsCtx::builder(store).on_event(observe);
        if let Some(clock) = clock {
            sessions = sessions.clock(clock);
        }
        match is_measured {
            true => sessions.on_commit(observe_commit).build(),
            false => sessions.build(),
        }
    }

    /// Returns the options for the server that `demo` and `serve` have in common, with the
    /// directory of compiled code.
    pub fn options(&self, cache: Option<PathBuf>) -> ServeOptions {
        ServeOptions::default()
            .secure(self.secure_cookies)
            .forwarding(self.listening.forwarding())
            .access_log(self.log.has_access_log())
            .cache(cache)
    }

    /// Starts to collect metrics if there is an address for them. Call this before the server
    /// listens, which notes when its certificate expires, and before the server is created, which
    /// looks up its metrics.
    pub fn collect_metrics(&self) -> Result<Option<PrometheusHandle>> {
        self.metrics.map(|_| metrics::collect()).transpose()
    }

    /// Says something about the start to a person at a terminal, or in the log if its format is
    /// for programs.
    fn announce(&self, text: &str) {
        match self.log.is_json() {
            true => tracing::info!("{text}"),
            false => say(&format!("{text}\n")),
        }
    }

    /// Prints the addresses, and serves until a signal.
    pub async fn run(
        &self,
        server: Server,
        listeners: Vec<Listener>,
        store: Option<Arc<dyn Maintenance>>,
        metrics: Option<PrometheusHandle>,
        stop: StopSignals,
    ) -> Result<()> {
        let is_stopped = stop.begin_serving();
        if let (Some(address), Some(handle)) = (self.metrics, metrics) {
            let readiness = Readiness::new(store, is_stopped.clone());
            let address = metrics::serve(address, handle, readiness).await?;
            self.announce(&format!("Metrics are at http://{address}/metrics."));
        }
        for listener in &listeners {
            self.announce(&format!("Open {listener} and press Ctrl-C to quit."));
        }
        tokio::spawn(notify::watchdog());
        notify::ready();
        let mut serving = JoinSet::new();
        let mut stop = is_stopped.clone();
        serving.spawn(async move {
            // This fails only if the program ends.
            let _ = stop.wait_for(|is_stopped| *is_stopped).await;
            notify::stopping();
        });
        for listener in listeners {
            let (server, mut is_stopped) = (server.clone(), is_stopped.clone());
            serving.spawn(server.serve(listener, async move {
                let _ = is_stopped.wait_for(|is_stopped| *is_stopped).await;
            }));
        }
        serving.join_all().await;
        tracing::info!("the server has ended");
        Ok(())
    }
}

/// Parses the address of the metrics.
fn socket_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "write an IP address with a port, such as 127.0.0.1:9090")
}

/// Writes what a server says at its start to standard output, at once. A server serves even if
/// that is closed.
pub fn say(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Compiles components with `compile`. If that takes longer than a second, a line of the log
/// says so.
pub async fn compiling<T>(name: &str, compile: impl AsyncFnOnce() -> T) -> T {
    let name = escaped(name);
    let notice = tokio::spawn(async move {
        sleep(COMPILATION_NOTICE).await;
        tracing::info!("compiling {name}, which can take some seconds");
    });
    let compiled = compile().await;
    notice.abort();
    compiled
}

/// Converts an error to one that is printed without a backtrace, as one line.
pub fn without_backtrace(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}
