//! `session3 wit`: the WIT package of session3, and complete worlds for components.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use session3::components::wit::{CONTRACT, WORLDS, World, contract};

use super::output;

/// Print or write the WIT files to build a component with
///
/// With --world, the files are a directory that wit-bindgen, componentize-py, jco and wkg
/// take as it is: a package with this world alone, and all packages that it needs in the
/// directory `deps`. Without it, they are the contract, which has only the interfaces of
/// session3.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 wit | less
  session3 wit --world application -o wit
  session3 wit --world application-javascript -o wit"
)]
pub struct Wit {
    /// Print or write this world with what it needs, instead of the contract
    #[arg(long, value_name = "WORLD", value_parser = worlds())]
    world: Option<String>,
    /// Write the files into this directory, which is created if it is missing
    #[arg(short, long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
}

/// Parses the name of a world.
fn worlds() -> PossibleValuesParser {
    let worlds = WORLDS.iter();
    PossibleValuesParser::new(
        worlds.map(|world| PossibleValue::new(world.name).help(world.summary)),
    )
}

impl Wit {
    /// Prints the package, or writes its files.
    pub fn run(self) -> Result<ExitCode> {
        let world = self.chosen();
        match &self.output {
            Some(directory) => {
                let files = world.map_or_else(contract, World::files);
                write_all(directory, &files)?;
            }
            None => {
                let contract = || CONTRACT.map(|(_, text)| text).join("\n");
                let text = world.map_or_else(contract, |world| world.text.to_owned());
                let mut output = output::stdout();
                output.write_all(text.as_bytes())?;
                output.flush()?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn chosen(&self) -> Option<&'static World> {
        let name = self.world.as_deref()?;
        WORLDS.iter().find(|world| world.name == name)
    }
}

/// Writes files below a directory.
///
/// # Errors
///
/// If the directory has WIT files of another package, or a file cannot be written.
fn write_all(directory: &Path, files: &[(String, String)]) -> Result<()> {
    let name = directory.display();
    let other = other_package(directory, files).with_context(|| name.to_string())?;
    ensure!(
        other.is_none(),
        "{name}: {} is of another package, and tools read a directory as one package: name \
         another directory",
        other.unwrap_or_default()
    );
    files
        .iter()
        .try_for_each(|(path, text)| output::write_file(&directory.join(path), text))
}

/// Returns the name of a WIT file in the directory itself that is not one of `files`.
fn other_package(
    directory: &Path,
    files: &[(String, String)],
) -> Result<Option<String>, std::io::Error> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".wit") && !files.iter().any(|(path, _)| *path == name) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
