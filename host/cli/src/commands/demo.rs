//! `session3 demo`: the interactive web test application.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use session3::components::{DEMO, MANAGER};
use session3::{Composition, Grant, Server};

use super::serving::{Serving, one_line, stop_signal};

/// Serves an interactive web application to play with and to test against
///
/// It keeps its sessions in DIRECTORY, which is made where it is missing. Press
/// Ctrl-C to quit: the sessions are there again the next time.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 demo /tmp/sessions --port 8081
  session3 demo /tmp/sessions --durability disk"
)]
pub struct Demo {
    /// Where the sessions are kept
    directory: PathBuf,
    #[command(flatten)]
    serving: Serving,
}

impl Demo {
    /// Serves until Ctrl-C or SIGTERM.
    pub async fn run(self) -> Result<ExitCode> {
        let stop = stop_signal()?;
        let serving = &self.serving;
        let listener = serving.listen().await?;
        let sessions = serving.sessions(serving.open(&self.directory)?);
        // For the administrator's page.
        let demo = Composition::new(DEMO, MANAGER).grant(Grant::Admin);
        let component = demo.compose()?;
        let server = Server::new(&component, sessions, serving.options()).map_err(one_line)?;
        println!("{}", self.cookie());
        serving.run(server, listener, stop).await?;
        Ok(ExitCode::SUCCESS)
    }

    fn cookie(&self) -> &'static str {
        match self.serving.secure_cookies {
            true => "The cookie is __Host-session, Secure: open this through a TLS proxy.",
            false => "The cookie is session3, without Secure, since this is plain HTTP.",
        }
    }
}
