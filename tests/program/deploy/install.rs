//! `make install` and `make uninstall`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use session3_test_program::session3;
use session3_test_support::files;

use super::{root, run};

/// Runs a target of the Makefile for a directory in place of `/`.
pub fn make(target: &str, directory: &Path) {
    let mut make = Command::new("make");
    make.arg("-C")
        .arg(root())
        .args([target, "PREFIX=/usr"])
        .arg(format!("DESTDIR={}", directory.display()))
        .arg(format!("PROGRAM={}", session3().get_program().display()))
        // Variables of a `make` that runs this test.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKEOVERRIDES");
    run(&mut make, "make");
}

#[test]
fn the_program_is_installed_with_its_manual_and_its_units() {
    let directory = tempfile::tempdir().unwrap();
    make("install", directory.path());
    let path = |name: &str| directory.path().join(name);
    let program = path("usr/bin/session3");
    let version = run(Command::new(&program).arg("--version"), "none");
    assert!(version.starts_with("session3 "), "{version}");

    for (file, expected) in [
        (
            "usr/share/bash-completion/completions/session3",
            "complete ",
        ),
        (
            "usr/share/zsh/site-functions/_session3",
            "#compdef session3",
        ),
        (
            "usr/share/fish/vendor_completions.d/session3.fish",
            "complete -c session3",
        ),
        ("usr/lib/systemd/system/session3.socket", "ListenStream="),
        ("usr/lib/systemd/system/session3-prune.timer", "OnCalendar="),
    ] {
        let text = fs::read_to_string(path(file)).unwrap();
        assert!(text.contains(expected), "{file}");
    }
    run(
        Command::new("bash")
            .arg("-n")
            .arg(path("usr/share/bash-completion/completions/session3")),
        "bash",
    );
    for unit in ["session3.service", "session3-prune.service"] {
        let unit = fs::read_to_string(path("usr/lib/systemd/system").join(unit)).unwrap();
        assert!(unit.contains("\nExecStart=/usr/bin/session3 "), "{unit}");
        assert!(!unit.contains("/usr/local"), "{unit}");
    }
    for file in files(directory.path()) {
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        let expected = if file == program { 0o755 } else { 0o644 };
        assert_eq!(mode, expected, "{}", file.display());
    }

    // The pages have no errors of troff, and say what the program says.
    for page in ["session3.1", "session3-serve.1", "session3-prune.1"] {
        let mut man = Command::new("man");
        man.args(["--warnings", "-l"])
            .arg(path("usr/share/man/man1").join(page))
            .env("MANPAGER", "cat")
            .env("MANWIDTH", "100")
            .env("LC_ALL", "C.UTF-8");
        let text = run(&mut man, "man-db");
        assert!(text.contains("SYNOPSIS"), "{page}: {text}");
    }

    // What another package has installed stays.
    fs::write(path("usr/share/man/man1/other.1"), "").unwrap();
    make("uninstall", directory.path());
    assert_eq!(
        files(directory.path()),
        [path("usr/share/man/man1/other.1")]
    );
}

#[test]
fn a_program_that_was_not_built_is_no_half_installation() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new("make")
        .arg("-C")
        .arg(root())
        .args(["install", "PROGRAM=none"])
        .arg(format!("DESTDIR={}", directory.path().display()))
        .env_remove("MAKEFLAGS")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("run make program first"), "{said}");
    assert!(files(directory.path()).is_empty());
}
