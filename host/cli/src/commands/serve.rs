//! `session3 serve`: any application, with sessions.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use session3::store::MemoryStore;
use session3::text::escaped;
use session3::{ServeOptions, Server, SessionsCtx};
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;

use super::compose::{Grant, Parts};
use super::serving::{Serving, one_line, stop_signal};

/// Serves a web application that is a WebAssembly component
///
/// APPLICATION exports wasi:http/incoming-handler of WASI 0.2 or wasi:http/handler
/// of WASI 0.3, and imports session3:sessions/manager for its sessions. It gets no
/// files, no environment and no network unless an option says so. SIGHUP loads it
/// anew; requests under way finish with the old one.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 serve application.wasm --store /tmp/sessions
  session3 serve application.wasm --store /tmp/sessions --dir data::/data --env LANG
  session3 serve application.wasm --store /tmp/sessions --config policy.toml
  session3 serve application.wasm --store /tmp/sessions --middleware
  session3 serve application.wasm --store-component store.wasm --dir /tmp/sessions::/sessions"
)]
pub struct Serve {
    #[command(flatten)]
    parts: Parts,
    /// Where the sessions are kept; made where it is missing
    #[arg(
        long,
        value_name = "DIRECTORY",
        required_unless_present = "store_component"
    )]
    store: Option<PathBuf>,
    /// Gives the application a directory, under another name if that is wanted
    #[arg(long = "dir", value_name = "HOST[::GUEST]")]
    directories: Vec<String>,
    /// Gives the application a variable of the environment; without a value,
    /// this program's
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    environment: Vec<String>,
    /// How much memory a request may take
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4095))]
    max_memory: u16,
    /// How long a request may take
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
    /// How long a request's body may be
    #[arg(long, value_name = "MIB", default_value_t = 16)]
    max_body: u32,
    /// How many requests run at the same time; four times as many wait, and more
    /// are refused
    #[arg(long, value_name = "COUNT", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    max_instances: u32,
    #[command(flatten)]
    serving: Serving,
}

impl Serve {
    /// Serves until Ctrl-C or SIGTERM.
    pub async fn run(self) -> Result<ExitCode> {
        let stop = stop_signal()?;
        let hangup = signal(SignalKind::hangup())?;
        self.check_stores()?;
        let serve = Arc::new(self);
        let listener = serve.serving.listen().await?;
        let component = serve.component().await?;
        let (sessions, options) = (serve.sessions()?, serve.options()?);
        let server = Server::new(&component, sessions, options)
            .map_err(one_line)
            .with_context(|| serve.parts.application.display().to_string())?;
        tokio::spawn(serve.clone().reload(server.clone(), hangup));
        serve.serving.run(server, listener, stop).await?;
        Ok(ExitCode::SUCCESS)
    }

    fn check_stores(&self) -> Result<()> {
        let are_both = self.store.is_some() && self.parts.store_component.is_some();
        let is_granted = self.parts.grant.contains(&Grant::Store);
        ensure!(
            !are_both || is_granted,
            "--store-component keeps the sessions, so leave out --store; or give it the \
             directory's store, with --grant store"
        );
        Ok(())
    }

    async fn component(&self) -> Result<Vec<u8>> {
        self.parts.join(self.store.is_some()).await
    }

    fn sessions(&self) -> Result<SessionsCtx> {
        let store = match &self.store {
            Some(directory) => self.serving.open(directory)?,
            // Nothing imports it: see `host_store`.
            None => Arc::new(MemoryStore::default()),
        };
        Ok(self.serving.sessions(store))
    }

    fn options(&self) -> Result<ServeOptions> {
        let mut options = self
            .serving
            .options()
            .max_memory(usize::from(self.max_memory) << 20)
            .time_limit(Duration::from_secs(self.timeout.into()))
            .max_body(u64::from(self.max_body) << 20)
            .max_instances(self.max_instances);
        for directory in &self.directories {
            let (host, guest) = directory.split_once("::").unwrap_or((directory, directory));
            options = options.dir(host, guest);
        }
        for variable in &self.environment {
            options = with_variable(options, variable)?;
        }
        Ok(options)
    }

    /// A component that cannot be loaded leaves the old one in its place.
    async fn reload(self: Arc<Self>, server: Server, mut hangup: Signal) {
        while hangup.recv().await.is_some() {
            let (serve, server) = (self.clone(), server.clone());
            let reloaded = spawn_blocking(move || {
                let component = Handle::current().block_on(serve.component())?;
                server.replace(&component).map_err(one_line)
            });
            let name = escaped(&self.parts.application.to_string_lossy());
            match reloaded.await {
                Ok(Ok(())) => tracing::info!("{name} was loaded anew"),
                Ok(Err(error)) => {
                    let error = escaped(&format!("{error:#}"));
                    tracing::error!("{name} was not loaded anew, the old one goes on: {error}");
                }
                Err(error) => tracing::error!("{name} was not loaded anew: {error}"),
            }
        }
    }
}

/// As wasmtime's program has it: without a value, the one of this process.
fn with_variable(options: ServeOptions, variable: &str) -> Result<ServeOptions> {
    if let Some((name, value)) = variable.split_once('=') {
        return Ok(options.env(name, value));
    }
    match env::var(variable) {
        Ok(value) => Ok(options.env(variable, value)),
        Err(error) => bail!("--env {variable}: {error}; give it a value with {variable}=VALUE"),
    }
}
