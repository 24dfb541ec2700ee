//! The commands and the code of the README and of "Getting started", as a newcomer uses them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use session3_test_program::project::{build_without_wasip2, root, run, with_tools};
use session3_test_program::{Browser, Demo, session3};
use tempfile::TempDir;

use crate::book::blocks;
use crate::place::Place;
use crate::templates::use_it;

const README: &str = include_str!("../../README.md");
const GETTING_STARTED: &str = include_str!("../../docs/src/getting-started.md");

/// Returns a directory that looks like the sources of session3, and that commands may fill.
fn sources() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(root()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != ".git" {
            symlink(entry.path(), directory.path().join(entry.file_name())).unwrap();
        }
    }
    directory
}

/// Runs a block of commands, of which the last one is `session3 dev`, and uses the application
/// that is served then.
fn leads_to_an_application(block: &str) {
    let directory = sources();
    let (commands, serve) = block.trim_end().rsplit_once('\n').unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-euc", commands]);
    run(&mut with_tools(shell, directory.path()));
    if commands.contains("--lang rust") {
        build_without_wasip2(&directory.path().join("notes"));
    }
    let words: Vec<_> = serve.split(' ').collect();
    assert_eq!(words[..2], ["session3", "dev"]);
    let mut command = session3();
    command.args(&words[1..]).args(["--port", "0"]);
    use_it(&Demo::run_as_it_is(&mut with_tools(
        command,
        directory.path(),
    )));
}

/// Returns the block of commands that creates an application in a language.
fn creating(chapter: &'static str, lang: &str) -> &'static str {
    let option = format!("--lang {lang} ");
    let block = blocks(chapter, "sh")
        .into_iter()
        .find(|block| block.contains(&option));
    block.unwrap_or_else(|| panic!("there are no commands for {lang}"))
}

#[test]
fn the_commands_of_the_readme_lead_to_an_application() {
    let all = blocks(README, "sh");
    // These two build the program that runs this test, and run this test.
    assert_eq!((all[0], all[2]), ("make demo\n", "make test\n"));
    assert_eq!(all.len(), 3);
    leads_to_an_application(all[1]);
    // The chapter goes through the same commands.
    assert!(all[1].ends_with(creating(GETTING_STARTED, "python")));
}

#[test]
fn the_commands_for_javascript_lead_to_an_application() {
    leads_to_an_application(creating(GETTING_STARTED, "javascript"));
}

#[test]
fn the_commands_for_c_lead_to_an_application() {
    leads_to_an_application(creating(GETTING_STARTED, "c"));
}

#[test]
#[ignore = "takes long: make test-docs"]
fn the_commands_for_rust_lead_to_an_application() {
    leads_to_an_application(creating(GETTING_STARTED, "rust"));
}

/// Serves a component, and looks at two pages.
fn counts_visits(component: &Path) {
    let place = Place::new(&fs::read(component).unwrap());
    let server = place.serve(&[]);
    let mut browser = Browser::new();
    for visit in 1..3 {
        let text = browser.get(&server, "").text;
        assert!(
            text.starts_with(&format!("This is visit {visit}.")),
            "{text}"
        );
    }
}

#[test]
fn the_handlers_of_the_readme_count_visits() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let component = path.join("app.wasm");
    fs::write(path.join("app.py"), blocks(README, "python")[0]).unwrap();
    let mut python = Command::new(root().join("target/guests/python/venv/bin/componentize-py"));
    python
        .args(["--quiet", "componentize", "--python-path"])
        .arg(path);
    python.arg("--python-path").arg(root().join("guest/python"));
    run(python.args(["app", "--output"]).arg(&component));
    counts_visits(&component);

    fs::write(path.join("app.js"), blocks(README, "js")[0]).unwrap();
    let mut javascript = Command::new(root().join("guest/javascript/build.sh"));
    run(javascript.arg(&component).arg(path.join("app.js")));
    counts_visits(&component);
}
