//! `session3 completions`: a script with which a shell completes these commands.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, output};

/// Print a script with which a shell completes these commands
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 completions bash > ~/.local/share/bash-completion/completions/session3
  session3 completions fish > ~/.config/fish/completions/session3.fish"
)]
pub struct Completions {
    /// The shell that the script is for
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    pub fn run(self) -> Result<ExitCode> {
        // `generate` panics if it cannot write, as to a closed pipe.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "session3", &mut script);
        let mut output = output::stdout();
        output.write_all(&script)?;
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}
