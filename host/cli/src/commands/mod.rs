//! The command line of the program: one module for each command, and what they share.

mod cache;
mod check;
mod compile;
mod completions;
mod component;
mod compose;
mod configuration;
mod copy;
mod dashboard;
mod delete;
mod demo;
mod descriptors;
mod dev;
mod encode;
mod input;
mod key;
mod key_command;
mod keys;
mod list;
mod listening;
mod look;
mod man;
mod metrics;
mod new;
pub mod output;
mod policy;
mod progress;
mod prune;
mod readiness;
mod serve;
mod serving;
mod settings;
mod show;
mod signals;
mod stats;
mod store;
mod sweeping;
mod top;
pub mod usage_error;
mod walk;
mod wit;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::log_options::{LineOptions, LogOptions};

/// Sessions for web applications that run as WebAssembly components.
///
/// STORE is a directory of sessions, or the URL of another store: sqlite:PATH,
/// redis://HOST, postgres://HOST/DATABASE or mysql://HOST/DATABASE. Every command
/// also works while servers use the store.
#[derive(Parser)]
#[command(name = "session3", version, about, verbatim_doc_comment, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Exit status: 0 fine, 1 failed or damaged, 2 wrong arguments.

Examples:
  session3 demo /tmp/sessions
  session3 serve application.wasm --store /tmp/sessions
  session3 list /tmp/sessions
  session3 prune /tmp/sessions --minutes 1440
  session3 check /tmp/sessions
  session3 copy /tmp/sessions sqlite:/tmp/sessions.db";

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
    Serve(Box<serve::Serve>),
    New(new::New),
    Dev(Box<dev::Dev>),
    List(list::List),
    Show(show::Show),
    Delete(delete::Delete),
    Prune(prune::Prune),
    Copy(copy::Copy),
    Check(check::Check),
    Stats(stats::Stats),
    Key(key::Key),
    Dashboard(dashboard::Dashboard),
    Top(top::Top),
    Component(component::Component),
    Compose(compose::Compose),
    Compile(compile::Compile),
    Encode(encode::Encode),
    Wit(wit::Wit),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Cli {
    /// Parses the command line, and the file that it names with the options of `serve`.
    ///
    /// # Errors
    ///
    /// If something is wrong in the file; [`clap::Error`] if the command line is wrong.
    pub fn read(command_line: impl Iterator<Item = OsString>) -> anyhow::Result<Self> {
        let command = match configuration::parse(command_line.collect())?.command {
            Command::Dev(dev) => Command::Dev(Box::new(dev.prepare()?)),
            command => command,
        };
        Ok(Self { command })
    }

    /// Returns the options of the log, if the command is a server.
    pub fn log_options(&self) -> Option<&LineOptions> {
        match &self.command {
            Command::Demo(demo) => Some(demo.log_options().lines()),
            Command::Serve(serve) => Some(serve.log_options().lines()),
            Command::Dashboard(dashboard) => Some(dashboard.log_options()),
            Command::Dev(dev) => dev.log_options().map(LogOptions::lines),
            _ => None,
        }
    }

    /// Runs the command of the command line, and returns the exit status of the program.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Demo(demo) => demo.run().await,
            Command::Serve(serve) => serve.run().await,
            Command::Dev(dev) => dev.run().await,
            Command::New(new) => new.run(),
            Command::List(list) => list.run().await,
            Command::Show(show) => show.run().await,
            Command::Delete(delete) => delete.run().await,
            Command::Prune(prune) => prune.run().await,
            Command::Copy(copy) => copy.run().await,
            Command::Check(check) => check.run().await,
            Command::Stats(stats) => stats.run().await,
            Command::Key(key) => key.run().await,
            Command::Dashboard(dashboard) => dashboard.run().await,
            Command::Top(top) => top.run().await,
            Command::Component(component) => component.run().await,
            Command::Compose(compose) => compose.run().await,
            Command::Compile(compile) => compile.run().await,
            Command::Encode(encode) => encode.run(),
            Command::Wit(wit) => wit.run(),
            Command::Completions(completions) => completions.run(),
            Command::Man(man) => man.run(),
        }
    }
}
