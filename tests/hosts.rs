//! The manager in hosts that know nothing of ours: the examples.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::program::{Browser, Demo};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A program that `make guests` installs for JavaScript, or one of the system's.
fn with_node(program: &str) -> Command {
    let own = root().join("target/guests/javascript/venv/bin");
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new(program);
    command.env("PATH", format!("{path}:{}", own.display()));
    command
}

#[test]
fn node_serves_with_a_store_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let manager = directory.path().join("manager.wasm");
    fs::write(&manager, session3::components::MANAGER).unwrap();
    let jco = root().join("target/guests/javascript/node_modules/.bin/jco");
    assert!(
        jco.exists(),
        "{} is missing: run make guests",
        jco.display()
    );
    let output = with_node(jco.to_str().unwrap())
        .args(["transpile", "--instantiation", "async", "--out-dir"])
        .args([directory.path(), &manager])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut command = with_node("node");
    command.arg(root().join("examples/node/server.js"));
    counts_visits(&Demo::run(command.arg(directory.path())));
}

#[test]
fn quixote_runs_session3s_demo() {
    let directory = tempfile::tempdir().unwrap();
    let manager = directory.path().join("manager.wasm");
    fs::write(&manager, session3::components::MANAGER).unwrap();
    let python = root().join("target/examples/quixote/venv/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run make examples",
        python.display()
    );
    let log = directory.path().join("log");
    let start = || {
        let mut command = Command::new(&python);
        command
            .arg("-B")
            .arg(root().join("examples/quixote/demo.py"));
        let files = [&manager, &directory.path().join("sessions.db")];
        let log = fs::File::options().append(true).create(true).open(&log);
        Demo::run(command.args(files).stderr(log.unwrap()))
    };
    let demo = start();
    let mut browser = Browser::new();
    assert_eq!(browser.look(&demo), ("None".into(), 0));
    assert_eq!(browser.get(&demo, "increment").set_cookie, None);
    assert_eq!(browser.look(&demo), ("None".into(), 0));

    let page = browser.get(&demo, "keep");
    assert_eq!(page.status, 302);
    let cookie = page.set_cookie.unwrap();
    assert!(
        cookie.ends_with("; HttpOnly; SameSite=Lax; Path=/"),
        "{cookie}"
    );
    let (id, counter) = browser.look(&demo);
    assert_eq!(counter, 0);
    browser.get(&demo, "increment");
    for failing in ["incrementfail", "logoutfail"] {
        assert_eq!(browser.get(&demo, failing).status, 500);
        assert_eq!(browser.look(&demo), (id.clone(), 1), "{failing}");
    }

    drop(demo);
    let demo = start();
    assert_eq!(browser.look(&demo), (id.clone(), 1), "after a restart");
    let mut stolen = browser.clone();
    browser.get(&demo, "logout");
    assert!(browser.cookie.is_empty());
    assert_eq!(stolen.look(&demo).0, "None");

    let log = fs::read_to_string(&log).unwrap();
    assert!(log.contains("on purpose"), "{log}");
    let (_, secret) = stolen.cookie.split_once('.').unwrap();
    assert!(!log.contains(secret), "{log}");
}

/// Each look adds to the counter.
fn counts_visits(server: &Demo) {
    let mut browser = Browser::new();
    let (id, counter) = browser.look(server);
    assert_eq!(counter, 1);
    assert!(browser.cookie.starts_with(&format!("session3={id}.")));
    assert_eq!(browser.look(server), (id.clone(), 2));

    let mut forger = Browser::new();
    forger.cookie = format!("session3={id}.AAAAAAAAAAAAAAAAAAAAAA");
    assert_ne!(forger.look(server).0, id);
    assert_eq!(browser.look(server), (id.clone(), 3));

    let mut stolen = browser.clone();
    let page = browser.get(server, "logout");
    assert!(page.text.contains("ID is None."), "{}", page.text);
    assert!(browser.cookie.is_empty());
    let (other, counter) = stolen.look(server);
    assert_ne!(other, id);
    assert_eq!(counter, 1);
}
