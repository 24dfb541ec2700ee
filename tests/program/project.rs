//! Applications that `session3 new` creates, with the packages as they are published.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use session3_test_support::files;
use tempfile::TempDir;

use crate::{Demo, session3, target_directory};

/// Returns the root of the repository.
pub fn root() -> PathBuf {
    fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).unwrap()
}

/// A directory with the packages for each language.
static PACKAGES: LazyLock<PathBuf> = LazyLock::new(|| {
    let packages = target_directory().join("tmp/packages");
    fs::create_dir_all(&packages).unwrap();
    for lang in ["c", "javascript", "python", "rust"] {
        let script = root().join(format!("tools/package-{lang}"));
        run(with_tools(Command::new(script), &root()).arg(&packages));
    }
    packages
});

/// Runs a command, which has to succeed, and returns what it prints.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

/// An application that was created.
pub struct Project {
    directory: TempDir,
    port: u16,
}

impl Project {
    /// Creates an application, whose server will use a free port.
    pub fn new(lang: &str, framework: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = session3();
        command
            .args([
                "new",
                "notes",
                "--lang",
                lang,
                "--framework",
                framework,
                "--packages",
            ])
            .arg(&*PACKAGES)
            .current_dir(&directory);
        run(&mut command);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let project = Self { directory, port };
        if lang == "rust" {
            build_without_wasip2(&project.path());
        }
        project.replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"));
        project
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("notes")
    }

    /// Replaces a text in all files.
    pub fn replace(&self, from: &str, to: &str) {
        replace(&self.path(), from, to);
    }

    /// Returns a command that finds the tools of each language.
    fn with_tools(&self, command: Command) -> Command {
        with_tools(command, &self.path())
    }

    /// Builds and serves the application.
    pub fn serve(&self, options: &[&str]) -> Demo {
        let mut command = self.with_tools(session3());
        command.args(["dev", ".", "--port", &self.port.to_string()]);
        Demo::run_as_it_is(command.args(options))
    }

    /// Runs a command in the application's directory, such as its own tests.
    pub fn test(&self, command: &str) {
        let mut shell = self.with_tools(Command::new("sh"));
        run(shell.args(["-euc", command]));
    }
}

/// Lets an application in Rust be built without the target wasm32-wasip2, which only rustup
/// installs.
pub fn build_without_wasip2(application: &Path) {
    let build = root().join("tests/program/build-rust.sh");
    replace(
        application,
        "cargo build --quiet --release --target wasm32-wasip2",
        &format!("sh {} app.wasm", build.display()),
    );
    replace(
        application,
        "target/wasm32-wasip2/release/application.wasm",
        "app.wasm",
    );
}

/// Replaces a text in all files of an application.
fn replace(application: &Path, from: &str, to: &str) {
    for file in files(application) {
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace(from, to)).unwrap();
    }
}

/// Adds to a command what finds the tools of each language, and lets it run in a directory.
pub fn with_tools(mut command: Command, directory: &Path) -> Command {
    let program = session3().get_program().to_owned();
    let programs = Path::new(&program).parent().unwrap().display().to_string();
    let node = root().join("target/guests/javascript/venv/bin");
    let path = std::env::var("PATH").unwrap();
    let wheels = root().join("target/guests/python/wheels");
    command
        .env("PATH", format!("{programs}:{}:{path}", node.display()))
        .env("PIP_NO_INDEX", "1")
        .env("PIP_FIND_LINKS", wheels)
        .env("npm_config_prefer_offline", "true")
        // Applications in Rust share what they depend on.
        .env("CARGO_TARGET_DIR", root().join("target/guests/rust"))
        .current_dir(directory);
    for (name, value) in session3().get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command
}
