//! `session3 completions`: what a shell needs to complete these commands.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, output};

/// Prints what a shell needs to complete these commands
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 completions bash > ~/.local/share/bash-completion/completions/session3
  session3 completions fish > ~/.config/fish/completions/session3.fish"
)]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    /// Prints them.
    pub fn run(self) -> Result<ExitCode> {
        // Writing to standard output itself, it would panic at a closed pipe.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "session3", &mut script);
        let mut output = output::output();
        output.write_all(&script)?;
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}
