//! What `demo` and `serve` have in common.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use session3::metrics::{MeteredStore, observe, observe_commit};
use session3::store::directory::{self, Options};
use session3::store::{DirectoryStore, SessionStore};
use session3::{ServeOptions, Server, SessionsCtx};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{metrics, sweeping};

/// Where and how to serve.
#[derive(Args)]
pub struct Serving {
    /// The address or host name to listen on
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// For use behind a TLS proxy: tells the application that browsers come over
    /// TLS; the demo's cookie is then the safe one, __Host-session with Secure
    #[arg(long)]
    pub secure_cookies: bool,
    /// What survives a power cut; a kill of the program loses nothing either way
    #[arg(long, value_enum, default_value_t = Durability::Process)]
    durability: Durability,
    /// How long to wait for a session that another process has locked
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    lock_timeout: u64,
    /// How often to delete the sessions that have expired; 0 leaves that to
    /// `session3 prune`
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    sweep_every: u64,
    /// Where Prometheus finds numbers, at /metrics; also /healthz
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Durability {
    /// A power cut may take back the last seconds, log-outs included
    Process,
    /// Everything is on the medium before it is acknowledged; slower
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
    /// The address to serve on, before anything takes its time.
    pub async fn listen(&self) -> Result<TcpListener> {
        let (host, port) = (self.host.as_str(), self.port);
        TcpListener::bind((host, port)).await.with_context(|| {
            format!("cannot listen on {host} port {port}: choose others with --host and --port")
        })
    }

    /// The store in a directory, which is made where it is missing.
    pub fn open(&self, directory: &Path) -> Result<Arc<dyn SessionStore>> {
        let options = Options::default()
            .create(true)
            .durability(self.durability.into())
            .lock_timeout(Duration::from_secs(self.lock_timeout));
        let store = DirectoryStore::open(directory, options)?;
        if !store.is_multiprocess_safe() {
            tracing::warn!(
                "locks on this file system do not bind other machines: use the directory from \
                 this one only"
            );
        }
        let store: Arc<dyn SessionStore> = Arc::new(store);
        if self.sweep_every > 0 {
            let every = Duration::from_secs(self.sweep_every);
            tokio::spawn(sweeping::sweep(store.clone(), every));
        }
        Ok(store)
    }

    /// Nothing is measured that nobody asks for.
    pub fn sessions(&self, store: Arc<dyn SessionStore>) -> SessionsCtx {
        let is_measured = self.metrics.is_some();
        let store: Arc<dyn SessionStore> = match is_measured {
            true => Arc::new(MeteredStore::new(store)),
            false => store,
        };
        let sessions = SessionsCtx::builder(store).on_event(observe);
        match is_measured {
            true => sessions.on_commit(observe_commit).build(),
            false => sessions.build(),
        }
    }

    /// What these arguments say of it.
    pub fn options(&self) -> ServeOptions {
        ServeOptions::default()
            .secure(self.secure_cookies)
            .cache(cache_directory())
    }

    /// Says where, and serves until `stop` is done.
    pub async fn run(
        &self,
        server: Server,
        listener: TcpListener,
        stop: impl Future<Output = ()>,
    ) -> Result<()> {
        if let Some(address) = self.metrics {
            let address = metrics::serve(address).await?;
            println!("Metrics are at http://{address}/metrics.");
        }
        let address = listener.local_addr()?;
        println!("Open http://{address}/ and press Ctrl-C to quit.");
        server.serve(listener, stop).await;
        Ok(())
    }
}

/// Done at Ctrl-C or SIGTERM.
pub fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Where compiled code is kept; without a home, nowhere.
pub fn cache_directory() -> Option<PathBuf> {
    let absolute = |name| {
        let path = PathBuf::from(env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(cache.join("session3"))
}

/// Without the backtrace.
pub fn one_line(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}
