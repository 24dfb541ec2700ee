//! `session3 component`: writes the components that are built into this program.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use session3::components::{CONTEXT, DEMO, MIDDLEWARE, STORE_FILESYSTEM};

use super::cache::Cache;
use super::output;
use super::policy::Policy;

/// Write one of the built-in components, for use under another host
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
    /// The component to write
    #[arg(value_enum)]
    name: Name,
    /// Write the component into this file instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    policy: Policy,
    #[command(flatten)]
    cache: Cache,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// The session manager, which exports session3:sessions/manager
    Manager,
    /// The demo application, which imports session3:sessions/manager
    Demo,
    /// A store in the directory that the host provides under the name /sessions
    StoreFilesystem,
    /// The middleware, which opens and commits the session of each request before an
    /// application for WASI 0.3
    Middleware,
    /// The component through which the middleware hands the session to the application,
    /// which exports session3:sessions/current
    Context,
}

impl Component {
    /// Writes the component.
    pub async fn run(self) -> Result<ExitCode> {
        ensure!(
            matches!(self.name, Name::Manager) || !self.policy.is_given(),
            "--config is for the manager only, since the other components have no policy: \
             leave out --config"
        );
        let component = match self.name {
            Name::Manager => self.policy.manager(&self.cache).await?,
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
        "a component is binary, and standard output is a terminal: name a file with -o"
    );
    let mut output = output::stdout();
    output.write_all(component)?;
    output.flush()?;
    Ok(ExitCode::SUCCESS)
}
