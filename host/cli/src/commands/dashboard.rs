//! `session3 dashboard`: the page for operators of a store.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use session3_dashboard::servers::MetricsUrl;
use session3_dashboard::{Dashboard as Application, Link, Options};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::cache::Cache;
use super::serving::{compiling, say};
use super::signals::{StopSignals, reload_on};
use super::store::Store;
use crate::log_options::LineOptions;

/// Serve a page that counts, searches, shows and ends the sessions of a store
///
/// The page is for operators. It prints a link that logs in once; every other
/// request is refused. In a terminal, press Enter for another link, and Ctrl-C to
/// quit. It also works while servers use the store. Each action is a line in the
/// log. Outside of a terminal, SIGHUP makes it read the key ring again.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 dashboard /tmp/sessions
  session3 dashboard /tmp/sessions --read-only
  session3 dashboard /tmp/sessions --listen 127.0.0.1:8090 --metrics http://127.0.0.1:9090"
)]
pub struct Dashboard {
    #[command(flatten)]
    store: Store,
    /// Listen on this IP address of loopback and this port; 0 chooses a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Open the store without writing to it, and refuse to end sessions and to repair
    #[arg(long)]
    read_only: bool,
    /// Show what a running server does, from its `--metrics`: http://HOST:PORT; may be given
    /// more than once
    #[arg(long, value_name = "URL")]
    metrics: Vec<MetricsUrl>,
    #[command(flatten)]
    cache: Cache,
    #[command(flatten)]
    log: LineOptions,
}

impl Dashboard {
    /// Returns the options of the log.
    pub fn log_options(&self) -> &LineOptions {
        &self.log
    }

    /// Serves the page until Ctrl-C or SIGTERM.
    pub async fn run(self) -> Result<ExitCode> {
        let stop = StopSignals::install()?;
        let address = self.listen;
        ensure!(
            address.ip().is_loopback(),
            "{address} is not an address of loopback, and nothing is encrypted: listen on \
             127.0.0.1, and reach it from another machine through an SSH tunnel"
        );
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}: choose another address with --listen")
        })?;
        let address = listener.local_addr()?;
        let (store, keys) = self.store.open_for_server(self.read_only).await?;
        // In a terminal, the signal says that the terminal was closed, and ends the program.
        if keys.is_some() && !io::stdin().is_terminal() {
            let hangup = signal(SignalKind::hangup())?;
            tokio::spawn(reload_on(hangup, None, keys));
        }
        let options = Options::new(self.store.name(), address.port())
            .read_only(self.read_only)
            .cache(self.cache.directory())
            .metrics(self.metrics);
        let application = compiling("the session manager", async || {
            Application::new(store, options).await
        });
        // Only the text is kept: it includes the cause, which `{error:#}` would print again.
        let application = application.await.map_err(|error| anyhow!("{error}"))?;
        let mut is_stopped = stop.begin_serving();
        let links = Links {
            address,
            link: application.link(),
        };
        links.print(" and press Ctrl-C to quit. The link logs in once.");
        if io::stdin().is_terminal() {
            thread::spawn(move || links.print_on_enter());
        }
        let stopped = async move {
            // The sender is gone only if the program ends.
            let _ = is_stopped.wait_for(|is_stopped| *is_stopped).await;
        };
        application.serve(listener, stopped).await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints links.
struct Links {
    address: SocketAddr,
    link: Arc<Link>,
}

impl Links {
    fn print(&self, advice: &str) {
        let (address, path) = (self.address, self.link.renew());
        say(&format!("Open http://{address}{path}{advice}\n"));
    }

    /// Prints another link for each line of standard input.
    fn print_on_enter(&self) {
        let mut line = String::new();
        while io::stdin()
            .read_line(&mut line)
            .is_ok_and(|length| length > 0)
        {
            self.print(" instead of any link from before.");
            line.clear();
        }
    }
}
