//! `session3 wit`: the WIT package of session3.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use session3::components::wit::{CONTRACT, DEPENDENCIES};

use super::output;

/// Print the WIT package, or write it with the packages that it depends on
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 wit | less
  session3 wit -o wit"
)]
pub struct Wit {
    /// Write the files into this directory, which is created if it is missing
    #[arg(short, long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
}

impl Wit {
    /// Prints the package, or writes its files.
    pub fn run(self) -> Result<ExitCode> {
        if let Some(directory) = &self.output {
            for (name, text) in CONTRACT.iter().chain(&DEPENDENCIES) {
                write(&directory.join(name), text)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut output = output::stdout();
        let texts = CONTRACT.map(|(_, text)| text);
        output.write_all(texts.join("\n").as_bytes())?;
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    let parent = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(file, text))
        .with_context(|| format!("{}: cannot be written", file.display()))
}
