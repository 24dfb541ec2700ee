//! `session3 serve`: serves an application component.

use std::env;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail, ensure};
use clap::Args;
use session3::compiled::{self, is_compiled};
use session3::listen::{TlsConfig, notify};
use session3::outbound::{self, Outbound, Rule};
use session3::store::{Maintenance, MemoryStore};
use session3::text::escaped;
use session3::{ServeOptions, Server, SessionsCtx};
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;

use super::compose::{Grant, Parts};
use super::configuration::{Configuration, Reloaded};
use super::keys::KeysInUse;
use super::listening::Listeners;
use super::serving::{Serving, compiling, say, without_backtrace};
use super::signals::StopSignals;
use super::{descriptors, input, metrics, signals};
use crate::log_options::LogOptions;

/// Serve a web application that is a WebAssembly component
///
/// APPLICATION exports wasi:http/incoming-handler of WASI 0.2 or wasi:http/handler
/// of WASI 0.3, and imports session3:sessions/manager for its sessions. It can use
/// files only with --dir, environment variables only with --env, and other servers
/// only with --allow-outbound.
///
/// With --allow-compiled, APPLICATION may be a file of `session3 compile`.
///
/// The file of --config may set each option in its section `serve`. The command line
/// replaces what the file sets.
///
/// On SIGHUP, the server reads that file again, and loads APPLICATION, the session
/// policy, the key ring and the certificate of --tls-cert again. Requests that are running then
/// finish with the previous component.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    override_usage = "session3 serve [OPTIONS] [APPLICATION]",
    after_help = "\
APPLICATION is required, here or in the file of --config.

Examples:
  session3 serve application.wasm --store /tmp/sessions
  session3 serve application.wasm --store /tmp/sessions --dir data::/data --env LANG
  session3 serve application.wasm --store /tmp/sessions --config policy.toml
  session3 serve --config shop.toml
  session3 serve --config shop.toml --check
  session3 serve application.wasm --store /tmp/sessions --static public
  session3 serve application.wasm --store /tmp/sessions --middleware
  session3 serve application.wasm --store redis://10.0.0.5 --password-file password
  session3 serve application.wasm --store-component store.wasm --dir /tmp/sessions::/sessions"
)]
pub struct Serve {
    #[command(flatten)]
    parts: Parts,
    /// Keep the sessions in this directory, which is created if it is missing, or in the
    /// store of this URL
    #[arg(
        long,
        value_name = "STORE",
        required_unless_present_any = ["store_component", "allow_compiled"]
    )]
    store: Option<OsString>,
    /// Let the application read and write the directory HOST, under the name GUEST;
    /// without GUEST, under the same name as HOST; may be given more than once
    #[arg(long = "dir", value_name = "HOST[::GUEST]")]
    directories: Vec<String>,
    /// Set an environment variable of the application; without VALUE, to its value
    /// in the environment of session3; may be given more than once
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    environment: Vec<String>,
    /// Answer GET and HEAD with the files of this directory, where the path of a request is
    /// below PATH and names a file there; without PATH, below /; the application gets all
    /// other requests; may be given more than once
    #[arg(long = "static", value_name = "DIR[::PATH]")]
    static_files: Vec<String>,
    /// Let browsers and proxies use a file of --static for this time without asking again, in
    /// seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    static_max_age: u32,
    /// Limit the memory of a request, in MiB; a request that needs more is answered
    /// 500
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4095))]
    max_memory: u16,
    /// Limit the time of the application for a request, in seconds, without the time in
    /// which it waits for its client; a request that takes longer is answered 504
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
    /// Limit the body of a request, in MiB; a request with a longer body is answered
    /// 413
    #[arg(long, value_name = "MIB", default_value_t = 16)]
    max_body: u32,
    /// Limit how many requests run at the same time; four times as many wait, and
    /// any others are answered 503
    #[arg(long, value_name = "COUNT", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    max_instances: u32,
    /// Let an instance of the application serve up to this many requests, one after
    /// another; requests then take less time, but an application that keeps something
    /// of one user in a global variable may show it to another user
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    max_instance_reuse: u32,
    /// Limit the time of a response in all, in seconds, with the time in which the
    /// application waits for its client
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    max_response_time: u32,
    /// Limit the time in which a client sends or takes 16 KiB of a body, in seconds; a
    /// request that comes more slowly is answered 408, and a connection that takes a
    /// response more slowly is closed
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    client_timeout: u32,
    /// Limit the time in which a client sends the headers of a request, in seconds; before
    /// the first one, a client has as long for the handshake of TLS
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    header_timeout: u32,
    /// Close connections that have had no request for this time, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 75, value_parser = clap::value_parser!(u32).range(1..))]
    idle_timeout: u32,
    /// Limit how many connections are open at the same time; further clients wait
    #[arg(long, value_name = "COUNT", default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: u32,
    /// Let the application call this server over HTTP: a name such as api.example.com,
    /// *.example.com for all names below, an IP address or a network, each with an optional
    /// :PORT, otherwise 80 and 443; may be given more than once
    #[arg(long, value_name = "HOST[:PORT]")]
    allow_outbound: Vec<Rule>,
    /// Trust the certificate authorities in this PEM file, in place of the system's, when
    /// the application calls a server over HTTPS
    #[arg(long, value_name = "FILE", requires = "allow_outbound")]
    outbound_ca: Option<PathBuf>,
    /// Load APPLICATION as code that no sandbox confines, if it is a file of `session3
    /// compile`: its source has to be as trusted as that of session3
    #[arg(long)]
    allow_compiled: bool,
    /// Check the options, the file of --config and APPLICATION without serving it; the
    /// store is read if it exists
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    serving: Serving,
    /// The file that has set some of these options.
    #[arg(skip)]
    configuration: Option<Configuration>,
}

impl Serve {
    /// Sets the file from which the options come, which is read again on SIGHUP.
    pub fn set_configuration(&mut self, configuration: Configuration) {
        self.configuration = Some(configuration);
    }

    /// Returns the options of the log.
    pub fn log_options(&self) -> &LogOptions {
        &self.serving.log
    }

    /// Serves the application until Ctrl-C or SIGTERM, or only checks it.
    pub async fn run(self) -> Result<ExitCode> {
        self.serve_with(|_, _| ()).await
    }

    /// Lets browsers keep the session cookie without TLS, for `session3 dev`.
    pub fn serve_for_development(&mut self) {
        self.parts.policy.allow_plain_http();
    }

    /// Serves the application until Ctrl-C or SIGTERM, or only checks it. Calls `started` with
    /// the server before it serves.
    pub async fn serve_with(self, started: impl FnOnce(Arc<Self>, Server)) -> Result<ExitCode> {
        if self.check {
            return self.check().await;
        }
        let stop = StopSignals::install()?;
        let hangup = signal(SignalKind::hangup())?;
        self.check_stores()?;
        self.check_directories()?;
        if let Some(sentence) = self.replaced_options() {
            tracing::info!("{sentence}");
        }
        descriptors::raise_limit();
        descriptors::warn_of_too_many(self.max_connections);
        let serve = Arc::new(self);
        let metrics = serve.serving.collect_metrics()?;
        let Listeners { listeners, tls } = serve.serving.listening.listen().await?;
        let name = serve.parts.application.display().to_string();
        let component = serve.component().await?;
        let (store, keys) = serve.open_store().await?.unzip();
        // The context requires a store, also for a component that does not import one: see
        // `Composition::host_store`.
        let of_sessions = store.clone();
        let of_sessions = of_sessions.unwrap_or_else(|| Arc::new(MemoryStore::default()));
        let sessions = serve.serving.sessions(of_sessions).await;
        let server = compiling(&name, async || serve.server(&component, sessions)).await?;
        tokio::spawn(
            serve
                .clone()
                .reload_on(hangup, server.clone(), tls, keys.flatten()),
        );
        started(serve.clone(), server.clone());
        let serving = &serve.serving;
        serving.run(server, listeners, store, metrics, stop).await?;
        Ok(ExitCode::SUCCESS)
    }

    /// Checks what can be checked without serving, and prints that it is fine.
    async fn check(&self) -> Result<ExitCode> {
        self.check_stores()?;
        self.check_directories()?;
        self.serving.listening.load_tls()?;
        if let Some(url) = &self.store {
            self.serving.check_store(url).await?;
        }
        let component = self.component().await?;
        let sessions = SessionsCtx::builder(Arc::new(MemoryStore::default())).build();
        self.server(&component, sessions)?;
        let checked = self.parts.policy_file().unwrap_or(&self.parts.application);
        if let Some(sentence) = self.replaced_options() {
            say(&format!("{sentence}\n"));
        }
        say(&format!("{}: fine\n", checked.display()));
        Ok(ExitCode::SUCCESS)
    }

    /// Refuses `--store` together with a store component that may not import it.
    fn check_stores(&self) -> Result<()> {
        let has_both = self.store.is_some() && self.parts.store_component.is_some();
        let is_store_granted = self.parts.grant.contains(&Grant::Store);
        ensure!(
            !has_both || is_store_granted,
            "--store has no effect, because --store-component keeps the sessions: leave out \
             --store, or let the store component use it with --grant store"
        );
        ensure!(
            self.store.is_some() || self.serving.keys.source().is_none(),
            "a key ring seals the sessions of --store, and there is none: leave out --key-file and \
             --key-command"
        );
        Ok(())
    }

    /// Checks that the directories of options exist, so that an error names the option.
    fn check_directories(&self) -> Result<()> {
        let options = [
            ("--dir", "the directory cannot be read", &self.directories),
            (
                "--static",
                "the directory of static files cannot be read",
                &self.static_files,
            ),
        ];
        for (option, failure, directories) in options {
            for directory in directories {
                let (host, _) = directory.split_once("::").unwrap_or((directory, ""));
                fs::read_dir(host).with_context(|| format!("{option} {host}: {failure}"))?;
            }
        }
        Ok(())
    }

    /// Returns a sentence about the options of the file that the command line replaces.
    fn replaced_options(&self) -> Option<String> {
        let configuration = self.configuration.as_ref()?;
        let keys = configuration.replaced_keys();
        let file = escaped(&configuration.file().to_string_lossy());
        let keys = (!keys.is_empty()).then(|| keys.join(", "))?;
        Some(format!(
            "the command line replaces these options of {file}: {keys}"
        ))
    }

    /// Compiles the component.
    fn server(&self, component: &[u8], sessions: SessionsCtx) -> Result<Server> {
        let cache = match is_compiled(component) {
            true => self.serving.cache.find(),
            false => self.serving.cache.directory(),
        };
        Server::new(component, sessions, self.options(cache)?)
            .map_err(without_backtrace)
            .with_context(|| self.parts.application.display().to_string())
    }

    /// Composes the component that is served, or returns the file if it is compiled.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or the parts do not fit together.
    pub async fn component(&self) -> Result<Vec<u8>> {
        let name = || self.parts.application.display().to_string();
        let (application, metadata) = input::read_component(&self.parts.application)?;
        if is_compiled(&application) {
            let checked = self.check_compiled(&application, &metadata);
            return checked.with_context(name).map(|()| application);
        }
        let (has_store, cache) = (self.store.is_some(), &self.serving.cache);
        self.parts
            .compose_with(&application, has_store, cache)
            .await
    }

    /// Checks that a compiled component may be loaded, and that every option has an effect.
    fn check_compiled(&self, application: &[u8], metadata: &Metadata) -> Result<()> {
        ensure!(
            self.allow_compiled,
            "it is compiled, so no sandbox would confine it: if you trust its source as much as \
             session3, allow it with --allow-compiled"
        );
        compiled::check_owner(metadata).map_err(Error::msg)?;
        if let Some(option) = self.parts.first_option() {
            bail!("it is compiled, so {option} has no effect: give it to `session3 compile`");
        }
        let needs_store = compiled::needs_store(application).map_err(without_backtrace)?;
        match (needs_store, &self.store) {
            (true, None) => {
                bail!("it keeps sessions in a store of the host: name one with --store")
            }
            (false, Some(_)) => {
                bail!(
                    "it keeps no sessions in a store of the host, so --store has no effect: leave it out"
                )
            }
            _ => Ok(()),
        }
    }

    /// Returns what sends the application's requests to other servers.
    fn outbound(&self) -> Result<Outbound> {
        let mut options = outbound::Options::default();
        if let Some(file) = &self.outbound_ca {
            options = options.ca_file(file.clone());
        }
        let rules = self.allow_outbound.iter().cloned().collect();
        Outbound::new(rules, options).context("--outbound-ca")
    }

    /// Opens the store of the option `--store`, if it is given.
    async fn open_store(&self) -> Result<Option<(Arc<dyn Maintenance>, Option<KeysInUse>)>> {
        match &self.store {
            Some(url) => self.serving.open_store(url).await.map(Some),
            None => Ok(None),
        }
    }

    fn options(&self, cache: Option<PathBuf>) -> Result<ServeOptions> {
        let seconds = |count: u32| Duration::from_secs(count.into());
        let mut options = self
            .serving
            .options(cache)
            .max_memory(usize::from(self.max_memory) << 20)
            .time_limit(seconds(self.timeout))
            .max_response_time(seconds(self.max_response_time))
            .client_timeout(seconds(self.client_timeout))
            .header_timeout(seconds(self.header_timeout))
            .idle_timeout(seconds(self.idle_timeout))
            .max_connections(self.max_connections)
            .max_body(u64::from(self.max_body) << 20)
            .max_instances(self.max_instances)
            .max_instance_reuse(self.max_instance_reuse)
            .allow_compiled(self.allow_compiled)
            .static_max_age(seconds(self.static_max_age))
            .outbound(self.outbound()?);
        for directory in &self.directories {
            let (host, guest) = directory.split_once("::").unwrap_or((directory, directory));
            options = options.dir(host, guest);
        }
        for directory in &self.static_files {
            let (directory, path) = directory.split_once("::").unwrap_or((directory, "/"));
            options = options.static_files(directory, path);
        }
        for variable in &self.environment {
            options = with_variable(options, variable)?;
        }
        Ok(options)
    }

    /// Reads the files of the server again at each of these signals. If that fails, the server
    /// continues with what it has.
    async fn reload_on(
        self: Arc<Self>,
        mut hangup: Signal,
        server: Server,
        tls: Option<TlsConfig>,
        keys: Option<KeysInUse>,
    ) {
        while hangup.recv().await.is_some() {
            notify::reloading();
            self.reload(&server, tls.as_ref(), keys.as_ref()).await;
            notify::ready();
        }
    }

    async fn reload(
        self: &Arc<Self>,
        server: &Server,
        tls: Option<&TlsConfig>,
        keys: Option<&KeysInUse>,
    ) {
        let (serve, needs_restart) = match self.read_again().await {
            Ok(read) => read,
            Err(error) => {
                metrics::note_reload(false);
                let error = escaped(&format!("{error:#}"));
                tracing::error!(
                    "the configuration was not loaded anew, the server continues with the \
                     previous component, certificate, key ring and options: {error}"
                );
                return;
            }
        };
        let has_files = signals::reload(tls, keys).await;
        let has_component = serve.replace_component(server.clone()).await;
        metrics::note_reload(has_files && has_component);
        if !needs_restart.is_empty() {
            tracing::warn!(
                "these options have changed in the configuration, and need a restart: {}",
                needs_restart.join(", ")
            );
        }
    }

    /// Reads the file of `--config` again and checks it, so that a bad one changes nothing.
    /// Returns the command with what can change while the server runs, and the keys whose
    /// changed values need a restart.
    async fn read_again(self: &Arc<Self>) -> Result<(Arc<Self>, Vec<String>)> {
        let Some(configuration) = &self.configuration else {
            return Ok((self.clone(), Vec::new()));
        };
        let Reloaded {
            serve,
            needs_restart,
        } = configuration.reload()?;
        serve.parts.check_policy(&serve.serving.cache).await?;
        Ok((Arc::new(serve), needs_restart))
    }

    /// Loads the component and the session policy again. Returns whether that succeeded.
    async fn replace_component(self: Arc<Self>, server: Server) -> bool {
        let serve = self.clone();
        let replaced = spawn_blocking(move || {
            let component = Handle::current().block_on(serve.component())?;
            server.replace(&component).map_err(without_backtrace)
        });
        let name = escaped(&self.parts.application.to_string_lossy());
        match replaced.await {
            Ok(Ok(())) => {
                tracing::info!("{name} was loaded anew");
                if let Some(file) = self.parts.policy_file().filter(|_| self.parts.has_policy()) {
                    let file = escaped(&file.to_string_lossy());
                    tracing::info!("the session policy of {file} was loaded anew");
                }
                return true;
            }
            Ok(Err(error)) => {
                let error = escaped(&format!("{error:#}"));
                tracing::error!(
                    "{name} was not loaded anew, the server continues with the previous \
                     component: {error}"
                );
            }
            Err(error) => tracing::error!("{name} was not loaded anew: {error}"),
        }
        false
    }
}

/// Adds the variable of an option `--env`. As with the program of wasmtime, a variable
/// without a value has its value in this process.
fn with_variable(options: ServeOptions, variable: &str) -> Result<ServeOptions> {
    if let Some((name, value)) = variable.split_once('=') {
        return Ok(options.env(name, value));
    }
    match env::var(variable) {
        Ok(value) => Ok(options.env(variable, value)),
        Err(error) => bail!("--env {variable}: {error}; give it a value with {variable}=VALUE"),
    }
}
