//! The programs under `examples/`: hosts of the manager other than `session3`.

use std::fs;
use std::path::Path;
use std::process::Command;

use session3_test_program::project::root;
use session3_test_program::{Browser, Demo, target_directory};

use crate::templates::{log_in, see_the_quote, use_it};

/// Returns a command that finds Node.js, as `make guests` installed it or from the system.
pub fn with_node(program: &str) -> Command {
    let own = root().join("target/guests/javascript/venv/bin");
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new(program);
    command.env("PATH", format!("{}:{path}", own.display()));
    command
}

#[test]
fn node_serves_with_a_store_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let manager = directory.path().join("manager.wasm");
    fs::write(&manager, session3_components::MANAGER).unwrap();
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
    fs::write(&manager, session3_components::MANAGER).unwrap();
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

    let head = browser.head(&demo, "keep");
    assert_eq!((head.status, head.set_cookie), (302, None));
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
    for page in ["", "increment", "logout"] {
        let head = browser.head(&demo, page);
        assert_eq!((head.set_cookie, head.text.as_str()), (None, ""), "{page}");
        assert_eq!(browser.look(&demo), (id.clone(), 1), "HEAD of /{page}");
    }
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

/// Checks a server whose start page adds 1 to the counter.
fn counts_visits(server: &Demo) {
    let mut browser = Browser::new();
    let head = browser.head(server, "");
    assert_eq!((head.status, head.set_cookie), (200, None));
    let (id, counter) = browser.look(server);
    assert_eq!(counter, 1);
    assert!(browser.cookie.starts_with(&format!("session3={id}.")));
    for page in ["", "logout"] {
        let head = browser.head(server, page);
        assert_eq!((head.set_cookie, head.text.as_str()), (None, ""), "{page}");
    }
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

/// Starts the example for axum, which `make examples` builds beside the tests.
fn axum(directory: &Path) -> Demo {
    let program = target_directory().join("axum");
    assert!(
        program.exists(),
        "{} is missing: run make examples",
        program.display()
    );
    Demo::run(Command::new(program).arg(directory))
}

#[test]
fn axum_serves_the_application_of_the_templates() {
    let directory = tempfile::tempdir().unwrap();
    let server = axum(directory.path());
    use_it(&server);
    let mut browser = see_the_quote(&server);
    let page = browser.get(&server, "");
    browser.send(&server, &page, "/notes", &[("text", "bread")]);

    server.signal("INT");
    assert_eq!(server.wait().code(), Some(0));
    let server = axum(directory.path());
    let page = browser.get(&server, "");
    assert!(page.text.contains("bread"), "after a restart: {page:?}");
    assert_eq!(browser.get(&server, "logout").status, 405);
    // The button is pressed twice.
    let stolen = browser.clone();
    for _ in 0..2 {
        let ended = browser.send(&server, &page, "/logout", &[]);
        assert_eq!((ended.status, ended.location.as_deref()), (303, Some("/")));
    }
    assert!(browser.cookie.is_empty());
    assert!(stolen.clone().get(&server, "").text.contains("Log in"));
}

#[test]
fn axum_refuses_tokens_from_before_a_log_in_and_of_other_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let server = axum(directory.path());
    let mut browser = Browser::new();
    let start = browser.get(&server, "");
    let cookie = start.set_cookie.unwrap();
    assert!(
        cookie.ends_with("; HttpOnly; SameSite=Lax; Path=/"),
        "{cookie}"
    );
    let foreign = Browser::new().get(&server, "");
    let fields = [("user", "ann"), ("password", "lovelace")];
    let page = browser.send(&server, &foreign, "/login", &fields);
    assert_eq!(page.status, 403, "a token of another session");
    let mut old = browser.clone();
    log_in(&mut browser, &server, "lovelace", &[]);
    assert!(browser.get(&server, "").text.contains("Hello ann"));
    let late = old.get(&server, "");
    assert_eq!(late.status, 409, "a cookie from before the log-in");
    assert_eq!(late.set_cookie, None);
}

#[test]
fn axum_and_the_demo_share_their_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let server = axum(directory.path());
    let demo = Demo::start(directory.path());
    let mut browser = Browser::new();
    log_in(&mut browser, &server, "lovelace", &[]);
    browser.get(&demo, "increment");
    let (id, counter) = browser.look(&demo);
    assert_eq!(counter, 1);
    assert!(browser.cookie.starts_with(&format!("session3={id}.")));
    assert!(browser.get(&server, "").text.contains("Hello ann"));
    browser.get(&demo, "logout");
    assert!(browser.get(&server, "").text.contains("Log in"));
}
