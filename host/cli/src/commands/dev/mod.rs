//! `session3 dev`: builds an application, serves it, and builds it again when a file changes.

mod changes;
mod page;
mod project;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, bail};
use clap::Args;
use session3::Server;
use tokio::runtime::Handle;

use super::serve::Serve;
use super::serving::{say, without_backtrace};
use super::{Command, configuration};
use crate::log_options::LogOptions;
use changes::Changes;
use project::{Project, Unbuilt};

/// The file of an application, with the sections `dev`, `serve` and `policy`.
const FILE: &str = "session3.toml";

/// Build an application, serve it, and build it again when a file changes
///
/// The file session3.toml in DIRECTORY has a section `dev`: `build` is the command that
/// builds the application, and `watch` lists the files and directories whose changes
/// make a new build necessary. Its section `serve` has the options of `session3 serve`.
/// The command finds the path of this program in the variable SESSION3.
///
/// If a build fails, its messages are printed, and are the answer to every request,
/// until a build succeeds. The session cookie is called session3 and is not Secure, so
/// that every browser accepts it over plain HTTP: this command is not for production.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 dev shop
  session3 dev shop --port 8081"
)]
pub struct Dev {
    /// The directory of the application
    #[arg(value_name = "DIRECTORY", default_value = ".")]
    directory: PathBuf,
    /// Options of `session3 serve`, which replace those of the file
    #[arg(
        value_name = "OPTIONS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    options: Vec<OsString>,
    /// The command that serves the application.
    #[arg(skip)]
    serve: Option<Box<Serve>>,
}

impl Dev {
    /// Enters the directory of the application, and reads the options of its server.
    ///
    /// # Errors
    ///
    /// If there is no such directory, or the options or the file are wrong.
    pub fn prepare(mut self) -> Result<Self> {
        let name = || self.directory.display().to_string();
        env::set_current_dir(&self.directory).with_context(name)?;
        if !Path::new(FILE).exists() {
            bail!(
                "{}: there is no {FILE}: name the directory of an application",
                name()
            );
        }
        let program = ["session3", "serve", "--config", FILE].map(OsString::from);
        let line = program.into_iter().chain(self.options.iter().cloned());
        if let Command::Serve(mut serve) = configuration::parse(line.collect())?.command {
            serve.serve_for_development();
            self.serve = Some(serve);
        }
        Ok(self)
    }

    /// Returns the options of the log.
    pub fn log_options(&self) -> Option<&LogOptions> {
        self.serve.as_ref().map(|serve| serve.log_options())
    }

    /// Builds and serves the application until Ctrl-C or SIGTERM.
    ///
    /// # Errors
    ///
    /// If the file has no valid section `dev`, a path cannot be watched, or the server cannot
    /// start.
    pub async fn run(self) -> Result<ExitCode> {
        let Some(serve) = self.serve else {
            bail!("the options are not those of a server");
        };
        let project = Project::read(Path::new(FILE))?;
        let changes = Changes::watch(&project.watch)?;
        while let Err(unbuilt) = project.build() {
            say(&format!("{unbuilt}. Waiting for a change.\n"));
            changes.wait();
        }
        let started = |serve: Arc<Serve>, server| {
            let handle = Handle::current();
            // Not a task: the end of the program does not wait for a thread.
            thread::spawn(move || build_again(&project, &changes, &serve, &server, &handle));
        };
        serve.serve_with(started).await
    }
}

/// Builds the application after each change, and replaces the component that is served.
fn build_again(
    project: &Project,
    changes: &Changes,
    serve: &Serve,
    server: &Server,
    handle: &Handle,
) {
    loop {
        changes.wait();
        let replaced = project.build().and_then(|()| {
            let component = handle.block_on(serve.component());
            component
                .and_then(|component| server.replace(&component).map_err(without_backtrace))
                .map_err(|error| Unbuilt::new("The new component cannot be served", &error))
        });
        match replaced {
            Ok(()) => {
                server.set_notice(None);
                say("The new build is served.\n");
            }
            Err(unbuilt) => {
                server.set_notice(Some(page::about(&unbuilt)));
                say(&format!("{unbuilt}. Waiting for a change.\n"));
            }
        }
    }
}
