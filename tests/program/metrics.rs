//! The log, the stored files and the exported metrics: they count what happens, and contain no
//! secret.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use session3_components::DEMO;

use session3_test_fixtures::FORGER;
use session3_test_program::clock::{Clock, speed_up};
use session3_test_program::{Browser, Demo, Page, session3};
use session3_test_support::base64url::decoded;
use session3_test_support::files;

/// A browser that remembers every secret that it was ever sent.
struct Spy {
    browser: Browser,
    secrets: Vec<String>,
}

impl Spy {
    fn note(&mut self, page: Page) -> Page {
        let cookie = page.set_cookie.as_deref().unwrap_or_default();
        if let Some((_, rest)) = cookie.split_once('.') {
            self.secrets.push(rest[..22].to_owned());
        }
        let forms = page.text.split("name=\"form\" value=\"").skip(1);
        self.secrets
            .extend(forms.map(|rest| rest.split('"').next().unwrap().to_owned()));
        page
    }

    fn get(&mut self, demo: &Demo, page: &str) -> Page {
        let page = self.browser.get(demo, page);
        self.note(page)
    }

    /// Returns the ID of the session.
    fn id(&self) -> String {
        let (_, token) = self.browser.cookie.split_once('=').unwrap();
        token[..32].to_owned()
    }

    fn send(&mut self, demo: &Demo, action: &str, fields: &[(&str, &str)]) {
        let page = self.get(demo, "account");
        let page = self.browser.send(demo, &page, action, fields);
        assert_eq!(page.status, 302, "{}", page.text);
        self.note(page);
    }
}

/// Starts the demo with metrics and short times for renewal. Also returns its clock, and
/// the address of the server for metrics.
fn with_metrics(directory: &Path) -> (Demo, Clock, String) {
    let policy = "renew-after = 1\nrenew-grace = 1\n";
    fs::write(directory.join("policy.toml"), policy).unwrap();
    fs::write(directory.join("demo.wasm"), DEMO).unwrap();
    let mut command = session3();
    command
        .current_dir(directory)
        .args(["serve", "demo.wasm", "--grant", "admin"])
        .args(["--config", "policy.toml", "--store", "sessions"])
        .args(["--metrics", "127.0.0.1:0"])
        .stderr(File::create(directory.join("log")).unwrap());
    let clock = Clock::new(&mut command);
    let demo = Demo::run(&mut command);
    let url = address_of_metrics(&demo);
    (demo, clock, url)
}

fn address_of_metrics(demo: &Demo) -> String {
    let mut lines = demo.greeting.iter();
    let said = lines.find_map(|line| line.strip_prefix("Metrics are at "));
    let url = said
        .expect("the server should print the address of its metrics")
        .strip_suffix("/metrics.");
    url.unwrap().to_owned()
}

fn fetch(url: &str) -> (u16, String) {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    let mut response = config.build().new_agent().get(url).call().unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), text)
}

/// Returns the number in the line of the export that starts with `line`.
fn value(export: &str, line: &str) -> f64 {
    let found = export
        .lines()
        .find_map(|l| l.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("no {line} in {export}"))
}

/// Returns the forms in which a secret could be written: base64url, hexadecimal and raw bytes.
fn spellings(secret: &str) -> [Vec<u8>; 3] {
    let bytes = decoded(secret);
    let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [secret.into(), hexadecimal.into(), bytes]
}

/// Sends bytes to the server for metrics, and returns what it answers until it closes the
/// connection.
fn send(url: &str, request: &str) -> String {
    let mut stream = connect(url);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn connect(url: &str) -> TcpStream {
    TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap()
}

#[test]
fn metrics_are_only_read() {
    let directory = tempfile::tempdir().unwrap();
    let (_demo, _clock, metrics) = with_metrics(directory.path());
    let ask = |method: &str| {
        let head = "HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        send(&metrics, &format!("{method} /healthz {head}"))
    };
    assert!(ask("GET").ends_with("\r\n\r\nfine\n"));
    let head = ask("HEAD");
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    for method in ["POST", "DELETE", "OPTIONS"] {
        let answer = ask(method);
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
        assert!(answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    }
}

#[test]
fn events_that_are_not_logged_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("forger.wasm"), FORGER).unwrap();
    let log = directory.path().join("log");
    let mut command = session3();
    command
        .current_dir(&directory)
        .args(["serve", "forger.wasm", "--grant", "store"])
        .args(["--store", "sessions", "--metrics", "127.0.0.1:0"])
        .stderr(File::create(&log).unwrap());
    let server = Demo::run(&mut command);
    assert_eq!(Browser::new().get(&server, "many").status, 200);
    let (_, export) = fetch(&format!("{}/metrics", address_of_metrics(&server)));
    let changes = "session3_events_total{event=\"user-changed\",reason=\"\"}";
    assert_eq!(value(&export, changes), 20_000.0);
    assert_eq!(server.stop().code(), Some(0));
    let lines = fs::read_to_string(&log).unwrap().lines().count();
    // Two more lines are about the end of the server.
    assert!(lines <= 10_000 + 2, "{lines} lines");
}

/// The program's time is a hundred times as fast, so that a silent client has 0.1 seconds.
#[test]
fn silent_clients_do_not_keep_others_from_the_metrics() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = session3();
    command
        .current_dir(directory.path())
        .args(["demo", "sessions"]);
    command.args(["--metrics", "127.0.0.1:0"]);
    let demo = Demo::run(speed_up(&mut command, 100));
    let url = address_of_metrics(&demo);
    let silent: Vec<_> = (0..100).map(|_| connect(&url)).collect();
    assert_eq!(fetch(&format!("{url}/healthz")).0, 200);
    for mut stream in silent {
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn a_full_run_is_counted_and_leaves_no_secret_anywhere() {
    let directory = tempfile::tempdir().unwrap();
    let (demo, mut clock, metrics) = with_metrics(directory.path());
    let new_spy = || Spy {
        browser: Browser::new(),
        secrets: Vec::new(),
    };
    let (mut alice, mut bob, mut admin) = (new_spy(), new_spy(), new_spy());
    for page in ["", "keep", "increment", "incrementfail", "logoutfail"] {
        alice.get(&demo, page);
    }
    alice.send(&demo, "login", &[("user", "alice")]);
    alice.send(&demo, "note", &[("text", "hello")]);
    alice.send(&demo, "others", &[]);
    bob.get(&demo, "keep");
    admin.send(&demo, "login", &[("user", "admin")]);
    admin.get(&demo, "admin");
    let wrong = "B".repeat(21) + "A";
    let mut forger = alice.browser.clone();
    let (name, _) = forger.cookie.split_once('.').unwrap();
    forger.cookie = format!("{name}.{wrong}");
    for _ in 0..5 {
        forger.get(&demo, "");
    }
    // After a second, the tokens are due for renewal. The thief has a copy of bob's token.
    let mut thief = bob.browser.clone();
    for spy in [&mut alice, &mut bob] {
        clock.advance(Duration::from_secs(2));
        let before = spy.browser.cookie.clone();
        spy.get(&demo, "");
        assert_ne!(spy.browser.cookie, before);
        spy.get(&demo, "account");
    }
    clock.advance(Duration::from_secs(2));
    thief.get(&demo, "");
    bob.get(&demo, "");
    admin.get(&demo, "logout");

    let (status, export) = fetch(&format!("{metrics}/metrics"));
    assert_eq!(status, 200);
    let event = |labels: &str| value(&export, &format!("session3_events_total{{{labels}}}"));
    for (labels, count) in [
        ("event=\"created\",reason=\"\"", 3.0),
        ("event=\"user-changed\",reason=\"\"", 2.0),
        ("event=\"rejected\",reason=\"wrong-secret\"", 5.0),
        ("event=\"ended\",reason=\"expired-by-application\"", 1.0),
        ("event=\"ended\",reason=\"replaced-token-reused\"", 1.0),
    ] {
        assert_eq!(event(labels), count, "{labels}");
    }
    assert!(event("event=\"renewed\",reason=\"\"") >= 2.0);
    let created = "session3_store_seconds_count{operation=\"create\",result=\"ok\"}";
    assert_eq!(value(&export, created), 3.0);
    assert!(value(&export, "session3_commit_seconds_count") >= 6.0);
    let within_five_seconds = "session3_commit_seconds_bucket{le=\"5\"}";
    assert!(value(&export, within_five_seconds) >= 6.0);
    assert_eq!(fetch(&format!("{metrics}/healthz")).0, 200);
    assert_eq!(fetch(&format!("{metrics}/other")).0, 404);
    let greeting = demo.greeting.join("\n");
    assert_eq!(demo.stop().code(), Some(0));

    let log = fs::read_to_string(directory.path().join("log")).unwrap();
    // Each of the five requests was counted, and one was logged.
    let logged = log.matches("reason=\"wrong-secret\"").count();
    assert_eq!(logged, 1, "{log}");
    let mut everything = (export + &log + &greeting).into_bytes();
    let stored = files(&directory.path().join("sessions"));
    assert!(stored.iter().any(|file| file.ends_with(alice.id())));
    for file in stored {
        everything.extend(file.to_string_lossy().bytes());
        everything.extend(fs::read(&file).unwrap());
    }
    let secrets = [alice.secrets, bob.secrets, admin.secrets, vec![wrong]].concat();
    assert!(secrets.len() > 12);
    for secret in secrets {
        for spelling in spellings(&secret) {
            let mut windows = everything.windows(spelling.len());
            assert!(!windows.any(|window| window == spelling), "{secret}");
        }
    }
}
