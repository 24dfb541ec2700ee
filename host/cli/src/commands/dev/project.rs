//! The section `dev` of an application's file, and the command that builds the application.

use std::env;
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Error, Result, anyhow};
use serde::Deserialize;

use crate::commands::input;
use crate::commands::settings::Fault;

/// How much of a build's output is kept for the page, in bytes.
const MAX_OUTPUT: usize = 64 << 10;

/// How to build an application.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// The command, for the shell `sh`.
    pub build: String,
    /// The files and directories whose changes make a new build necessary.
    pub watch: Vec<PathBuf>,
}

/// The file, of which the other sections are read elsewhere.
#[derive(Deserialize)]
struct File {
    dev: Option<Project>,
}

/// Why there is no new component.
#[derive(Debug)]
pub struct Unbuilt {
    /// What failed, as a sentence without a full stop.
    pub what: String,
    /// The messages.
    pub output: String,
}

impl fmt::Display for Unbuilt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)
    }
}

impl Unbuilt {
    /// Creates the description of an error, which is printed.
    pub fn new(what: &str, error: &Error) -> Self {
        let output = format!("{error:#}\n");
        print(output.as_bytes());
        Self {
            what: what.to_owned(),
            output,
        }
    }
}

impl Project {
    /// Reads the section `dev` of a file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or has no valid section `dev`.
    pub fn read(file: &Path) -> Result<Self> {
        let name = file.display();
        let text = input::read_text(file)?;
        let parsed: Result<File, _> = toml::from_str(&text);
        let parsed = parsed.map_err(|error| anyhow!("{name}:{}", Fault::of_toml(&text, &error)));
        parsed?.dev.with_context(|| {
            format!(
                "{name}: there is no section [dev]: add it, with build = \"…\", the command that \
                 builds the application, and watch = [\"…\"], the files of its source"
            )
        })
    }

    /// Builds the application, and prints what the command prints.
    ///
    /// # Errors
    ///
    /// If the command cannot be started, or fails.
    pub fn build(&self) -> Result<(), Unbuilt> {
        print(format!("Building: {}\n", self.build).as_bytes());
        let (status, output) = self
            .run()
            .with_context(|| format!("`{}` cannot be run", self.build))
            .map_err(|error| Unbuilt::new("The build failed", &error))?;
        match status.success() {
            true => Ok(()),
            false => Err(Unbuilt {
                what: format!("The build failed with {status}"),
                output,
            }),
        }
    }

    /// Runs the command, and returns the end of its output.
    fn run(&self) -> io::Result<(ExitStatus, String)> {
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new("sh");
        command.args(["-c", &self.build]).stdin(Stdio::null());
        // A build that needs this program finds it, also where it is not in the PATH.
        if let Ok(program) = env::current_exe() {
            command.env("SESSION3", program);
        }
        command.stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn()?;
        // The command holds the other ends of the pipe, which would otherwise never end.
        drop(command);
        let mut output = Vec::new();
        let mut lines = BufReader::new(reader);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            print(&line);
            output.append(&mut line);
            let surplus = output.len().saturating_sub(MAX_OUTPUT);
            output.drain(..surplus);
        }
        let status = child.wait()?;
        Ok((status, String::from_utf8_lossy(&output).into_owned()))
    }
}

/// Prints something for the developer. A closed standard output does not end the server.
fn print(text: &[u8]) {
    let mut output = io::stdout().lock();
    let _ = output.write_all(text).and_then(|()| output.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_a_failing_build_is_kept() {
        let project = Project {
            build: "echo one; echo two >&2; exit 3".into(),
            watch: Vec::new(),
        };
        let unbuilt = project.build().expect_err("a failure");
        assert_eq!(unbuilt.output, "one\ntwo\n");
        assert_eq!(unbuilt.what, "The build failed with exit status: 3");
    }

    #[test]
    fn the_end_of_a_long_output_is_kept() {
        let project = Project {
            build: "head -c 100000 /dev/zero | tr '\\0' x; echo end; false".into(),
            watch: Vec::new(),
        };
        let output = project.build().expect_err("a failure").output;
        assert!(output.len() <= MAX_OUTPUT && output.ends_with("end\n"));
    }
}
