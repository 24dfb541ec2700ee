//! `session3 new`: writes a small application to start from.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use include_dir::{Dir, include_dir};

use super::output;
use super::serving::say;

/// Write a small application with a log-in, to start from
///
/// The application keeps notes of its users. It has forms, messages, "remember me", a
/// list of the user's devices, a request to another server, and tests. Its README.md says
/// what it needs to be built, which `session3 dev` does.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 new notes --lang python
  session3 new notes --lang javascript --framework hono
  session3 new notes --lang rust --packages target/package"
)]
pub struct New {
    /// The directory to create, whose name is that of the application
    directory: PathBuf,
    /// The language of the application
    #[arg(long, value_enum)]
    lang: Language,
    /// The framework that the application uses, which belongs to one language
    #[arg(long, value_enum, default_value_t)]
    framework: Framework,
    /// Take the packages of session3 from this directory, which the scripts tools/package-*
    /// in the sources of session3 fill, in place of a registry
    #[arg(long, value_name = "DIRECTORY")]
    packages: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    Python,
    Javascript,
    C,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Framework {
    /// The package of session3 alone
    #[default]
    None,
    /// Flask, for Python
    Flask,
    /// Hono, for JavaScript
    Hono,
    /// wstd, for Rust
    Wstd,
}

/// The files of all applications. Their names end with `.template`, so that no tool takes
/// them for sources of this program.
static TEMPLATES: Dir = include_dir!("$CARGO_MANIFEST_DIR/templates");

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The largest length of a name, in bytes.
const MAX_NAME: usize = 64;

impl New {
    /// Writes the application, and says what to do next.
    ///
    /// # Errors
    ///
    /// If the directory is in use, its name cannot be that of an application, the framework
    /// does not belong to the language, or there is no package. Nothing is written then.
    pub fn run(self) -> Result<ExitCode> {
        let templates = templates(self.lang, self.framework)?;
        let name = name(&self.directory)?;
        let package = self.package()?;
        let directory = self.directory.display();
        write_new(&self.directory, |directory| {
            templates
                .iter()
                .try_for_each(|template| write_all(template, directory, name, &package))
        })
        .with_context(|| directory.to_string())?;
        say(&format!(
            "{directory} is an application to start from. This command builds and serves it:\n\
             \n    session3 dev {directory}\n\n\
             Then open http://127.0.0.1:8080/, and log in as ann with the password lovelace. \
             {directory}/README.md says more.\n"
        ));
        if self.packages.is_none() {
            say(&self.lang.about_registry());
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Returns what the build file of the application says about the package of session3.
    fn package(&self) -> Result<String> {
        let Some(packages) = &self.packages else {
            return self.lang.published().map(str::to_owned);
        };
        let file = packages.join(self.lang.file());
        let there = file.canonicalize().with_context(|| {
            format!(
                "--packages {}: there is no {}: `{}` makes it, in the sources of session3",
                packages.display(),
                self.lang.file(),
                self.lang.packing()
            )
        })?;
        let path = there
            .to_str()
            .filter(|path| !path.contains(['"', '\\', '\n', '$', '#']));
        let path = path.with_context(|| {
            format!(
                "--packages {}: a build file cannot hold this path: rename the directory",
                packages.display()
            )
        })?;
        Ok(self.lang.local(path))
    }
}

impl Language {
    /// Returns what a build file says about the package that is in a registry.
    fn published(self) -> Result<&'static str> {
        match self {
            Self::Python => Ok(concat!("session3-guest==", env!("CARGO_PKG_VERSION"))),
            Self::Javascript => Ok(VERSION),
            // The dependency itself has the version.
            Self::Rust => Ok(""),
            Self::C => bail!(
                "--lang c: there is no registry for C: run `{} packages` in the sources of \
                 session3, and name that directory with --packages",
                self.packing()
            ),
        }
    }

    /// Says where the build looks for the package, and what to do if it is not there.
    fn about_registry(self) -> String {
        let registry = match self {
            Self::Rust => "crates.io",
            Self::Python => "PyPI",
            Self::Javascript => "npm",
            Self::C => return String::new(),
        };
        format!(
            "The build takes session3-guest {VERSION} from {registry}. If that version is not \
             there, run `{} packages` in the sources of session3, and create the application with \
             --packages.\n",
            self.packing()
        )
    }

    /// Returns the command that makes the package, in the sources of session3.
    fn packing(self) -> &'static str {
        match self {
            Self::Rust => "tools/package-rust",
            Self::Python => "tools/package-python",
            Self::Javascript => "tools/package-javascript",
            Self::C => "tools/package-c",
        }
    }

    /// Returns the name of the package in the directory of `--packages`.
    fn file(self) -> String {
        match self {
            Self::Python => format!("session3_guest-{VERSION}-py3-none-any.whl"),
            Self::Javascript => format!("session3-guest-{VERSION}.tgz"),
            Self::Rust => format!("session3-guest-{VERSION}"),
            Self::C => format!("session3-guest-c-{VERSION}.tar.gz"),
        }
    }

    /// Returns what a build file says about the package with a path.
    fn local(self, path: &str) -> String {
        match self {
            Self::Python | Self::C => path.to_owned(),
            Self::Javascript => format!("file:{path}"),
            Self::Rust => {
                let others = path.trim_end_matches(&self.file());
                format!(
                    "\n[patch.crates-io]\nsession3-guest = {{ path = \"{path}\" }}\n\
                     session3-store = {{ path = \"{others}session3-store-{VERSION}\" }}\n"
                )
            }
        }
    }
}

/// Returns the templates whose files an application gets. A file of a later one replaces that
/// of an earlier one.
fn templates(lang: Language, framework: Framework) -> Result<&'static [&'static str]> {
    let (framework, owner) = match (lang, framework) {
        (Language::Python, Framework::None) => return Ok(&["common", "python-common", "python"]),
        (Language::Python, Framework::Flask) => {
            return Ok(&["common", "python-common", "python-flask"]);
        }
        (Language::Javascript, Framework::None) => return Ok(&["common", "javascript"]),
        (Language::Javascript, Framework::Hono) => {
            return Ok(&["common", "javascript", "javascript-hono"]);
        }
        (Language::Rust, Framework::None) => return Ok(&["common", "tested-by-curl", "rust"]),
        (Language::Rust, Framework::Wstd) => {
            return Ok(&["common", "tested-by-curl", "rust", "rust-wstd"]);
        }
        (Language::C, Framework::None) => return Ok(&["common", "tested-by-curl", "c"]),
        (_, Framework::Flask) => ("flask", "python"),
        (_, Framework::Hono) => ("hono", "javascript"),
        (_, Framework::Wstd) => ("wstd", "rust"),
    };
    bail!(
        "--framework {framework}: it belongs to --lang {owner}: leave it out, or choose that \
         language"
    )
}

/// Returns the name of an application, which its directory has.
fn name(directory: &Path) -> Result<&str> {
    let name = directory.file_name().and_then(|name| name.to_str());
    let is_valid = |name: &&str| {
        let mut letters = name.bytes();
        letters
            .next()
            .is_some_and(|first| first.is_ascii_lowercase())
            && letters.all(|letter| {
                letter.is_ascii_lowercase() || letter.is_ascii_digit() || b"-_".contains(&letter)
            })
            && name.len() <= MAX_NAME
    };
    name.filter(is_valid).with_context(|| {
        format!(
            "{}: the last part cannot be the name of an application: begin it with a letter from \
             a to z, and go on with such letters, digits, - and _",
            directory.display()
        )
    })
}

/// Creates a directory, unless it is there and empty, and fills it. If that fails, nothing is
/// left.
fn write_new(directory: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let was_there = match fs::read_dir(directory) {
        Ok(mut entries) => {
            ensure!(
                entries.next().is_none(),
                "the directory has files already: name one that is empty or does not exist"
            );
            true
        }
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(error).context("the directory cannot be read"),
    };
    fs::create_dir_all(directory).context("the directory cannot be created")?;
    let filled = fill(directory);
    if filled.is_err() {
        // The first error counts.
        let _ = remove(directory, was_there);
    }
    filled
}

/// Removes what was written.
fn remove(directory: &Path, was_there: bool) -> std::io::Result<()> {
    fs::remove_dir_all(directory)?;
    match was_there {
        true => fs::create_dir(directory),
        false => Ok(()),
    }
}

/// Writes the files of a template.
fn write_all(template: &str, directory: &Path, name: &str, package: &str) -> Result<()> {
    let template = TEMPLATES
        .get_dir(template)
        .context("there is no such template")?;
    let mut directories = vec![template];
    while let Some(next) = directories.pop() {
        directories.extend(next.dirs());
        for file in next.files() {
            let path = file
                .path()
                .strip_prefix(template.path())?
                .with_extension("");
            let text = file.contents_utf8().context("a template is not UTF-8")?;
            let text = text
                .replace("{{name}}", name)
                .replace("{{version}}", VERSION);
            output::write_file(&directory.join(path), &text.replace("{{package}}", package))?;
        }
    }
    Ok(())
}
