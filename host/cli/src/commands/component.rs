//! `session3 component`: the components that are built into this program.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use session3::components::{CONTEXT, DEMO, MIDDLEWARE, STORE_FILESYSTEM};

use super::output;
use super::policy::Policy;

/// Writes one of the built-in components, for use under another host
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 component manager -o manager.wasm
  session3 component manager --config policy.toml -o manager.wasm
  session3 component demo | wasm-tools component wit"
)]
pub struct Component {
    /// Which one
    #[arg(value_enum)]
    name: Name,
    /// Writes it into this file, instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    policy: Policy,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// The session manager, which exports session3:sessions/manager
    Manager,
    /// The demo application, which imports it
    Demo,
    /// A store for it in a directory that the host calls /sessions
    StoreFilesystem,
    /// What opens and commits sessions before an application for WASI 0.3
    Middleware,
    /// What that application and the middleware share
    Context,
}

impl Component {
    /// Writes it.
    pub async fn run(self) -> Result<ExitCode> {
        ensure!(
            matches!(self.name, Name::Manager) || !self.policy.is_given(),
            "--config is for the manager: the others take no policy"
        );
        let component = match self.name {
            Name::Manager => self.policy.manager().await?,
            Name::Demo => DEMO.to_vec(),
            Name::StoreFilesystem => STORE_FILESYSTEM.to_vec(),
            Name::Middleware => MIDDLEWARE.to_vec(),
            Name::Context => CONTEXT.to_vec(),
        };
        write(&component, self.output.as_deref())
    }
}

/// Writes a component into a file, or to standard output.
pub fn write(component: &[u8], file: Option<&Path>) -> Result<ExitCode> {
    if let Some(file) = file {
        fs::write(file, component)
            .with_context(|| format!("{}: cannot be written", file.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(
        !io::stdout().is_terminal(),
        "a component is nothing for a terminal: name a file with -o"
    );
    let mut output = output::output();
    output.write_all(component)?;
    output.flush()?;
    Ok(ExitCode::SUCCESS)
}
