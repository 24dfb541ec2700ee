//! `session3 man`: the manual pages.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory};

use super::{Cli, output};

/// Print the manual page, or write the manual pages of all commands
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 man | man -l -
  session3 man -o /usr/local/share/man/man1"
)]
pub struct Man {
    /// Write the pages of all commands into this existing directory
    #[arg(short, long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
}

impl Man {
    /// Prints the page of the program, or writes all pages.
    pub fn run(self) -> Result<ExitCode> {
        if let Some(directory) = &self.output {
            clap_mangen::generate_to(Cli::command(), directory)
                .with_context(|| format!("{}: cannot be written", directory.display()))?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut output = output::stdout();
        clap_mangen::Man::new(Cli::command()).render(&mut output)?;
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}
