//! The examples in `deploy/`, and the chapters of the book about them.

mod caddy;
mod chapter;
mod container;
mod debian;
mod install;
mod kubernetes;
mod monitoring;
mod nginx;
mod proxied;
mod systemd;
mod troubleshooting;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use session3_test_program::project::root;

/// Returns the path of a file in `deploy/`.
fn example(name: &str) -> PathBuf {
    root().join("deploy").join(name)
}

/// Returns the text of a file in `deploy/`.
fn read(name: &str) -> String {
    fs::read_to_string(example(name)).unwrap()
}

/// Replaces each text, which must be there.
fn replaced(text: &str, replacements: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (old, new) in replacements {
        assert!(text.contains(old), "{old} is missing in {text}");
        text = text.replace(old, new);
    }
    text
}

/// Runs a command of a Debian package, which has to succeed, and returns what it prints.
fn run(command: &mut Command, package: &str) -> String {
    let output = command.output();
    let output = output.unwrap_or_else(|error| {
        panic!("{command:?}: {error}: install the package {package}");
    });
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}{errors}");
    said
}
