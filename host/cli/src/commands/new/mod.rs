//! `session3 new`: writes a small application to start from.

mod directory;
mod name;
mod templates;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory};

use super::{Cli, input, output};
use directory::{File, PACKAGES};
use templates::{LANGUAGES, Language, Template};

/// Write a small application to start from
///
/// The application has a log-in, and keeps the notes of its users. It is in the new
/// directory NAME, with its tests, a README, and the file session3.toml, by which
/// `session3 dev` builds and serves it.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 new shop
  session3 new shop --lang python --framework flask
  session3 dev shop"
)]
pub struct New {
    /// The directory to write, whose last part is the name of the application
    #[arg(value_name = "NAME")]
    directory: PathBuf,
    /// The language [default: that of the framework, or python]
    #[arg(long, value_name = "LANGUAGE", value_parser = languages())]
    lang: Option<String>,
    /// The framework [default: none]
    #[arg(long, value_name = "FRAMEWORK", value_parser = frameworks())]
    framework: Option<String>,
    /// Take the package of session3 for the language from this directory, as `make package`
    /// writes it, and not from the language's registry
    #[arg(long, value_name = "DIRECTORY")]
    packages: Option<PathBuf>,
}

/// The name of the choice to use no framework.
const NONE: &str = "none";

/// Parses the name of a language.
fn languages() -> PossibleValuesParser {
    let names = LANGUAGES.iter();
    PossibleValuesParser::new(names.map(|language| PossibleValue::new(language.name)))
}

/// Parses the name of a framework.
fn frameworks() -> PossibleValuesParser {
    let names = LANGUAGES.iter().flat_map(|language| {
        let templates = language.templates.iter();
        templates.filter_map(|template| {
            let help = format!("for --lang {}", language.name);
            Some(PossibleValue::new(template.framework?).help(help))
        })
    });
    let none = PossibleValue::new(NONE).help("for each language");
    PossibleValuesParser::new(names.chain([none]))
}

impl New {
    /// Writes the application, and prints what to do with it.
    ///
    /// # Errors
    ///
    /// If the options contradict each other, the name is not possible in the language, the
    /// package is not there, or the directory exists or cannot be written. Nothing is written
    /// then.
    pub fn run(self) -> Result<ExitCode> {
        let (language, template) = self.choose()?;
        let name = self.name()?;
        name::check(name, &language.names)?;
        directory::check_new(&self.directory)?;
        let packages = self.read_packages(language)?;
        let values = template.values(language, name, !packages.is_empty());
        let mut files = template.files(&values)?;
        files.extend(packages);
        directory::create(&self.directory, &files)?;
        self.print_next(language)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Returns the language and its template that the options name.
    fn choose(&self) -> Result<(&'static Language, &'static Template)> {
        let framework = self.framework.as_deref().filter(|name| *name != NONE);
        let owner = framework.and_then(|name| {
            let mut languages = LANGUAGES.iter();
            languages.find(|language| language.template(Some(name)).is_some())
        });
        let language = match &self.lang {
            Some(lang) => LANGUAGES.iter().find(|language| language.name == lang),
            None => owner.or(LANGUAGES.first()),
        };
        let language = language.context("there is no such language")?;
        match (language.template(framework), owner, framework) {
            (Some(template), _, _) => Ok((language, template)),
            (None, Some(owner), Some(framework)) => Err(mismatch(language, owner, framework)),
            _ => bail!("there is no template for {}", language.name),
        }
    }

    /// Returns the name of the application.
    fn name(&self) -> Result<&str> {
        let path = self.directory.display();
        let name = self.directory.file_name();
        let name = name.with_context(|| format!("{path}: name a new directory, such as shop"))?;
        let name = OsStr::to_str(name);
        name.with_context(|| format!("{path}: the name is not UTF-8: choose another one"))
    }

    /// Reads the packages of a language from the directory of `--packages`, if that is given.
    fn read_packages(&self, language: &Language) -> Result<Vec<File>> {
        let mut names = language.package_files();
        match &self.packages {
            Some(directory) => names.map(|name| read_package(directory, &name)).collect(),
            None if language.is_in_registry => Ok(Vec::new()),
            None => bail!(
                "{}: no registry has the package {}: give the directory with it, which `make \
                 package` in the repository of session3 writes, with --packages",
                language.name,
                names.next().unwrap_or_default()
            ),
        }
    }

    /// Prints the next commands.
    fn print_next(&self, language: &Language) -> Result<()> {
        let directory = quoted(&self.directory.to_string_lossy());
        let mut output = output::stdout();
        writeln!(
            output,
            "{directory} has the new application. To install the tools that it needs, to build it \
             and to serve it:\n\n  {}\n  session3 dev {directory}\n\nThen open \
             http://127.0.0.1:8080/ and log in as ann with the password secret-of-ann.",
            language.install
        )?;
        output.flush()?;
        Ok(())
    }
}

/// Reads a package from a directory.
fn read_package(directory: &Path, name: &str) -> Result<File> {
    let path = directory.join(name);
    let content = input::read(&path).map_err(|error| {
        anyhow!(
            "{}: {error:#}: name a directory with the packages of session3 {}, which `make \
             package` in its repository writes",
            path.display(),
            env!("CARGO_PKG_VERSION")
        )
    })?;
    let path = Path::new(PACKAGES).join(name);
    Ok(File { path, content })
}

/// Returns the error for a framework that is one of another language.
fn mismatch(language: &Language, owner: &Language, framework: &str) -> anyhow::Error {
    let frameworks = language
        .templates
        .iter()
        .map(|template| template.framework.unwrap_or(NONE));
    let possible: Vec<_> = frameworks.collect();
    let message = format!(
        "the framework {framework} is one for {}: choose --lang {}, or a framework for {}, of \
         which there are {}",
        owner.name,
        owner.name,
        language.name,
        possible.join(", ")
    );
    Cli::command()
        .error(ErrorKind::ArgumentConflict, message)
        .into()
}

/// Returns a text as one word of a command line.
fn quoted(text: &str) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "/._-+~".contains(character);
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word() {
        assert_eq!(quoted("work/shop-1.0"), "work/shop-1.0");
        assert_eq!(quoted("my shop's"), r"'my shop'\''s'");
    }
}
