//! `session3 new`: what it writes, and what it refuses.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use session3_test_program::session3;
use session3_test_support::files;

/// Returns the command that creates an application in a directory.
fn new(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = session3();
    command.arg("new").args(arguments).current_dir(directory);
    command
}

/// Runs a command that must fail. Returns its one line.
fn refusal(directory: &Path, arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = new(directory, arguments).output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(!status.success(), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

/// Every application that can be created: the language and the framework.
const ALL: [(&str, &str); 6] = [
    ("python", "none"),
    ("python", "flask"),
    ("javascript", "none"),
    ("javascript", "hono"),
    ("rust", "none"),
    ("rust", "wstd"),
];

#[test]
fn an_application_is_complete_and_has_its_name() {
    for (lang, framework) in ALL {
        let directory = tempfile::tempdir().unwrap();
        let arguments = ["my-notes_2", "--lang", lang, "--framework", framework];
        let output = new(directory.path(), &arguments).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(said.contains("\n    session3 dev my-notes_2\n"), "{said}");
        // Without --packages, the package has to be in a registry.
        let registry = ["PyPI", "npm", "crates.io"].map(|name| said.contains(name));
        assert_eq!(
            registry,
            ["python", "javascript", "rust"].map(|name| name == lang)
        );
        let packing = format!("`tools/package-{lang} packages`");
        assert!(said.contains(&packing), "{said}");
        let application = directory.path().join("my-notes_2");
        for file in [
            "README.md",
            "session3.toml",
            "static/style.css",
            ".gitignore",
        ] {
            assert!(application.join(file).exists(), "{lang}: {file}");
        }
        let mut names = 0;
        for file in files(&application) {
            let text = fs::read_to_string(&file).unwrap();
            // Two braces are also what a template of Flask has, with a space.
            let mut rest = text.split("{{").skip(1);
            let is_ours = |rest: &str| rest.starts_with(|first: char| first.is_ascii_alphabetic());
            assert!(!rest.any(is_ours), "{}", file.display());
            assert!(
                !file.to_string_lossy().contains("template."),
                "{}",
                file.display()
            );
            names += text.matches("my-notes_2").count();
        }
        assert!(names >= 2, "{lang}: {names}");
    }
}

#[test]
fn a_directory_with_files_is_left_alone_and_an_empty_one_is_filled() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("full")).unwrap();
    fs::write(directory.path().join("full/file"), "mine").unwrap();
    let said = refusal(directory.path(), &["full", "--lang", "python"]);
    assert!(
        said.contains("full: the directory has files already"),
        "{said}"
    );
    assert_eq!(files(directory.path()).len(), 1);
    let said = refusal(directory.path(), &["full/file", "--lang", "python"]);
    assert!(said.contains("full/file: "), "{said}");

    fs::create_dir(directory.path().join("empty")).unwrap();
    let arguments = ["empty", "--lang", "python"];
    assert!(
        new(directory.path(), &arguments)
            .status()
            .unwrap()
            .success()
    );
    assert!(directory.path().join("empty/app.py").exists());
    let arguments = ["a/deep/path", "--lang", "python"];
    assert!(
        new(directory.path(), &arguments)
            .status()
            .unwrap()
            .success()
    );
    assert!(directory.path().join("a/deep/path/app.py").exists());
}

#[test]
fn a_mistake_is_one_line_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let long = "x".repeat(65);
    for (arguments, expected) in [
        (&["notes", "--lang", "pyton"][..], "'python'"),
        (&["notes"], "--lang"),
        (
            &["notes", "--lang", "c", "--framework", "flask"],
            "it belongs to --lang python",
        ),
        (
            &["notes", "--lang", "python", "--framework", "wstd"],
            "it belongs to --lang rust",
        ),
        (&["notes", "--lang", "c"], "--packages"),
        (
            &["Notes", "--lang", "python"],
            "begin it with a letter from a to z",
        ),
        (
            &["9lives", "--lang", "python"],
            "begin it with a letter from a to z",
        ),
        (
            &["no name", "--lang", "python"],
            "begin it with a letter from a to z",
        ),
        (
            &["nöte", "--lang", "python"],
            "begin it with a letter from a to z",
        ),
        (
            &["..", "--lang", "python"],
            "begin it with a letter from a to z",
        ),
        (
            &[&long, "--lang", "python"],
            "begin it with a letter from a to z",
        ),
        (
            &["notes", "--lang", "python", "--packages", "none"],
            "none: there is no session3_guest",
        ),
        (
            &["notes", "--lang", "javascript", "--packages", "."],
            ".: there is no session3-guest",
        ),
    ] {
        let said = refusal(directory.path(), arguments);
        assert!(said.contains(expected), "{said}");
        assert!(files(directory.path()).is_empty(), "{arguments:?}");
    }
}

#[test]
fn an_application_that_cannot_be_written_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    // As on a full disk: a file may have a hundred bytes.
    let program = session3();
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\""])
        .arg(program.get_program())
        .args(["new", "notes", "--lang", "python"])
        .current_dir(&directory);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot be written"), "{said}");
    assert!(fs::read_dir(&directory).unwrap().next().is_none());
}
