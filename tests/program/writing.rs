//! Applications that `session3 new` writes, with packages as they are published.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{fs, io};

use crate::{Demo, session3};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// An application that `session3 new` writes.
pub struct Template {
    /// The options of `session3 new`.
    pub options: &'static [&'static str],
    /// Puts the package of session3 for the language into a directory.
    pub pack: fn(&Path),
    /// The file that has the URL of another server.
    pub source: &'static str,
    /// The command that runs the application's own tests.
    pub tests: &'static str,
}

/// The application in Python.
pub const PYTHON: Template = Template {
    options: &["--lang", "python"],
    pack: |directory| run_script("tools/package-python", directory),
    source: "app.py",
    tests: "venv/bin/python -m unittest",
};

/// The application in JavaScript.
pub const JAVASCRIPT: Template = Template {
    options: &["--lang", "javascript"],
    pack: |directory| run_script("tools/package-javascript", directory),
    source: "src/answer.js",
    tests: "npm test",
};

/// The application in C.
pub const C: Template = Template {
    options: &["--lang", "c"],
    pack: copy_c_package,
    source: "src/app.c",
    tests: "make test",
};

impl Template {
    /// Writes the application into a directory.
    pub fn write(&self, directory: &Path) -> PathBuf {
        let packages = directory.join("made");
        fs::create_dir(&packages).unwrap();
        (self.pack)(&packages);
        let mut command = session3();
        command.current_dir(directory).args(["new", "shop"]);
        command.args(self.options).args(["--packages", "made"]);
        let said = succeeds(&mut command);
        assert!(said.contains("\n  session3 dev shop\n"), "{said}");
        directory.join("shop")
    }

    /// Builds and serves the application in a directory, with further options.
    pub fn serve(directory: &Path, options: &[&str]) -> Demo {
        let mut command = with_tools(session3());
        command.current_dir(directory).args(["dev", "shop"]);
        Demo::run_built(command.args(["--port", "0"]).args(options))
    }
}

fn run_script(script: &str, directory: &Path) {
    succeeds(Command::new(format!("{ROOT}/{script}")).arg(directory));
}

fn copy_c_package(directory: &Path) {
    let name = format!("session3-guest-c-{}.tar.gz", env!("CARGO_PKG_VERSION"));
    let package = format!("{ROOT}/target/package/{name}");
    let missing = |error: io::Error| panic!("{package}: {error}: run make guests");
    fs::copy(&package, directory.join(name)).unwrap_or_else(missing);
}

/// Adds what builds applications, with the versions that `make guests` has installed.
pub fn with_tools(mut command: Command) -> Command {
    let wheels = format!("{ROOT}/target/guests/python/wheels");
    let is_there = Path::new(&wheels).exists();
    assert!(is_there, "{wheels} is missing: run make guests");
    // No registry is asked for what is there.
    command
        .env("PIP_NO_INDEX", "1")
        .env("PIP_FIND_LINKS", wheels)
        .env("npm_config_prefer_offline", "true");
    // Node.js, if the system's one is too old.
    let node = format!("{ROOT}/target/guests/javascript/venv/bin");
    command.env("PATH", format!("{node}:{}", env::var("PATH").unwrap()));
    command
}

/// Runs a command, and returns what it prints.
pub fn succeeds(command: &mut Command) -> String {
    let output = command.output();
    let Output {
        status,
        stdout,
        stderr,
    } = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    assert!(status.success(), "{command:?}: {text}");
    text
}
