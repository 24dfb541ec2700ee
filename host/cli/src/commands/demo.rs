//! `session3 demo`: the interactive web test application.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use session3::components::{DEMO, MANAGER};
use session3::{Composition, Grant, Server};
use tokio::signal::unix::{SignalKind, signal};

use super::descriptors;
use super::listening::Listeners;
use super::serving::{Serving, compiling, say, without_backtrace};
use super::signals::{StopSignals, reload_on};
use crate::log_options::LogOptions;

/// Serve an interactive web application to try out and to test sessions
///
/// The sessions are kept in STORE, which is created if it is missing. Press
/// Ctrl-C to quit; the sessions are still there after the next start.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 demo /tmp/sessions --port 8081
  session3 demo /tmp/sessions --durability disk"
)]
pub struct Demo {
    /// The store of the sessions: a directory, which is created if it is missing, or a
    /// URL
    #[arg(value_name = "STORE")]
    store: OsString,
    #[command(flatten)]
    serving: Serving,
}

impl Demo {
    /// Returns the options of the log.
    pub fn log_options(&self) -> &LogOptions {
        &self.serving.log
    }

    /// Serves the demo application until Ctrl-C or SIGTERM.
    pub async fn run(self) -> Result<ExitCode> {
        let stop = StopSignals::install()?;
        let hangup = signal(SignalKind::hangup())?;
        descriptors::raise_limit();
        let serving = &self.serving;
        let metrics = serving.collect_metrics()?;
        let Listeners { listeners, tls } = serving.listening.listen().await?;
        let (store, keys) = serving.open_store(&self.store).await?;
        tokio::spawn(reload_on(hangup, tls, keys));
        let sessions = serving.sessions(store.clone()).await;
        // The demo has a page for administrators.
        let demo = Composition::new(DEMO, MANAGER).grant(Grant::Admin);
        let component = demo.compose()?;
        let server = compiling("the demo", async || {
            Server::new(
                &component,
                sessions,
                serving.options(serving.cache.directory()),
            )
        });
        let server = server.await.map_err(without_backtrace)?;
        say(&format!("{}\n", self.cookie_note()));
        serving
            .run(server, listeners, Some(store), metrics, stop)
            .await?;
        Ok(ExitCode::SUCCESS)
    }

    /// Returns a sentence about the cookie that the demo sets.
    fn cookie_note(&self) -> &'static str {
        let serving = &self.serving;
        match (serving.listening.has_tls(), serving.secure_cookies) {
            (true, _) => "The session cookie is __Host-session with Secure.",
            (_, true) => {
                "The session cookie is __Host-session with Secure: browse through a TLS proxy."
            }
            _ => "The session cookie is session3 without Secure, because this is plain HTTP.",
        }
    }
}
