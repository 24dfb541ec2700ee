//! The programs under `examples/`: hosts of the manager other than `session3`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use session3_test_program::project::root;
use session3_test_program::{Browser, Demo, Page, target_directory};

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

/// Submits a form of the start page, which must redirect back to that page.
fn press(browser: &mut Browser, server: &Demo, action: &str, fields: &[(&str, &str)]) -> Page {
    let start = browser.get(server, "");
    let page = browser.send(server, &start, action, fields);
    assert_eq!(page.status, 303, "{}", page.text);
    assert_eq!(page.location.as_deref(), Some("/"));
    page
}

#[test]
fn axum_keeps_sessions_with_the_layer() {
    let directory = tempfile::tempdir().unwrap();
    let server = axum(directory.path());
    let mut browser = Browser::new();
    let start = browser.get(&server, "");
    let cookie = start.set_cookie.clone().unwrap();
    assert!(
        cookie.ends_with("; HttpOnly; SameSite=Lax; Path=/"),
        "{cookie}"
    );
    let (id, counter) = browser.look(&server);
    assert_eq!(counter, 0);
    press(&mut browser, &server, "increment", &[]);
    assert_eq!(browser.look(&server), (id.clone(), 1));

    let mut stranger = Browser::new();
    let foreign = stranger.get(&server, "");
    for action in ["increment", "login", "logout"] {
        let page = browser.send(&server, &foreign, action, &[("user", "Eve")]);
        assert_eq!(page.status, 403, "{action} with a token of another session");
    }
    assert_eq!(browser.look(&server), (id.clone(), 1));
    let mut other = Browser::new();
    press(&mut other, &server, "login", &[("user", "Eve & <b>")]);
    assert_eq!(other.look(&server).1, 0);
    assert!(
        other
            .get(&server, "")
            .text
            .contains("You are Eve &amp; &lt;b>.")
    );

    server.signal("INT");
    assert_eq!(server.wait().code(), Some(0));
    let server = axum(directory.path());
    assert_eq!(browser.look(&server), (id.clone(), 1), "after a restart");
    assert!(browser.get(&server, "").text.contains("You are nobody."));
    assert_eq!(browser.get(&server, "increment").status, 405);

    let mut old = browser.clone();
    press(&mut browser, &server, "login", &[("user", "Ann")]);
    assert_eq!(browser.look(&server), (id, 1));
    assert!(browser.get(&server, "").text.contains("You are Ann."));
    let late = old.get(&server, "");
    assert_eq!(late.status, 409, "with the token from before the log-in");
    assert_eq!(late.set_cookie, None);

    let mut stolen = browser.clone();
    let start = browser.get(&server, "");
    let page = browser.send(&server, &start, "logout", &[]);
    assert_eq!(page.status, 303, "{}", page.text);
    assert!(browser.cookie.is_empty());
    let page = browser.send(&server, &start, "logout", &[]);
    assert_eq!(page.status, 303, "the button was pressed twice");
    assert_eq!(stolen.look(&server), ("None".into(), 0));
    assert_ne!(other.look(&server).0, "None");
}

#[test]
fn in_axum_all_requests_at_once_count() {
    let directory = tempfile::tempdir().unwrap();
    let server = axum(directory.path());
    let mut browser = Browser::new();
    press(&mut browser, &server, "increment", &[]);
    thread::scope(|scope| {
        for _ in 0..8 {
            let (mut browser, server) = (browser.clone(), &server);
            scope.spawn(move || {
                for _ in 0..10 {
                    press(&mut browser, server, "increment", &[]);
                }
            });
        }
    });
    assert_eq!(browser.look(&server).1, 81);
}

#[test]
fn axum_and_the_demo_share_their_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let server = axum(directory.path());
    let demo = Demo::start(directory.path());
    let mut browser = Browser::new();
    press(&mut browser, &server, "increment", &[]);
    let (id, _) = browser.look(&server);
    browser.get(&demo, "increment");
    for place in [&demo, &server] {
        assert_eq!(browser.look(place), (id.clone(), 2));
    }
    browser.get(&demo, "logout");
    assert_eq!(browser.look(&server).0, "None");
}
