//! `session3 compile`: composes an application as `serve` does, and compiles it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use session3::compiled;
use session3::text::escaped;

use super::cache::Cache;
use super::component;
use super::compose::Parts;
use super::progress::spin;
use super::serving::without_backtrace;

/// Compile an application for `session3 serve`, which then starts in milliseconds
///
/// The file is for this version of session3, for the architecture of this machine,
/// and for each of its processors. It is meant for images that are built once and
/// started often. It has in it what the options for its parts say, so `serve` takes
/// none of them with it.
///
/// The file is code that no sandbox confines. So `serve` loads it only with
/// --allow-compiled, and only if no other user can have written it.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 compile application.wasm --config policy.toml -o application.compiled
  session3 serve application.compiled --allow-compiled --store /tmp/sessions"
)]
pub struct Compile {
    #[command(flatten)]
    parts: Parts,
    /// Write the compiled component into this file instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    cache: Cache,
}

impl Compile {
    /// Compiles the component and writes it.
    pub async fn run(self) -> Result<ExitCode> {
        let component = self.parts.compose(true, &self.cache).await?;
        let name = self.parts.application.display().to_string();
        let message = format!("compiling {}", escaped(&name));
        let compiled = spin(message, || compiled::compile(&component)).await;
        let compiled = compiled.map_err(without_backtrace).context(name)?;
        component::write(&compiled, self.output.as_deref())
    }
}
