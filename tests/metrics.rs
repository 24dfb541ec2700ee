//! What is logged, stored and exported, and that no secret is in it.

use std::fs::{self, File};
use std::process::Command;

use crate::support::files;
use crate::support::program::{Browser, Demo, Page, session3};

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

    fn send(&mut self, demo: &Demo, action: &str, fields: &[(&str, &str)]) {
        let page = self.get(demo, "account");
        let page = self.browser.send(demo, &page, action, fields);
        assert_eq!(page.status, 302, "{}", page.text);
        self.note(page);
    }
}

fn with_metrics(directory: &std::path::Path, log: &std::path::Path) -> (Demo, String) {
    let mut command: Command = session3();
    command.arg("demo").arg(directory);
    command.args(["--metrics", "127.0.0.1:0"]);
    command.stderr(File::create(log).unwrap());
    let demo = Demo::run(&mut command);
    let line = demo.greeting.iter().find(|line| line.contains("/metrics"));
    let line = line
        .expect("it says where")
        .strip_prefix("Metrics are at ")
        .unwrap();
    let url = line.strip_suffix("/metrics.").unwrap().to_owned();
    (demo, url)
}

fn fetch(url: &str) -> (u16, String) {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    let mut response = config.build().new_agent().get(url).call().unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), text)
}

/// The number in a line of the export.
fn value(export: &str, line: &str) -> f64 {
    let found = export
        .lines()
        .find_map(|l| l.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("no {line} in {export}"))
}

#[test]
fn a_full_run_is_counted_and_leaves_no_secret_anywhere() {
    let directory = tempfile::tempdir().unwrap();
    let log = tempfile::NamedTempFile::new().unwrap();
    let (demo, metrics) = with_metrics(directory.path(), log.path());
    let new_spy = || Spy {
        browser: Browser::new(),
        secrets: Vec::new(),
    };
    let (mut alice, mut admin) = (new_spy(), new_spy());
    for page in ["", "keep", "increment", "incrementfail", "logoutfail"] {
        alice.get(&demo, page);
    }
    alice.send(&demo, "login", &[("user", "alice")]);
    alice.send(&demo, "note", &[("text", "hello")]);
    alice.send(&demo, "others", &[]);
    admin.send(&demo, "login", &[("user", "admin")]);
    admin.get(&demo, "admin");
    let wrong = "A".repeat(22);
    let mut thief = alice.browser.clone();
    let (name, _) = thief.cookie.split_once('.').unwrap();
    thief.cookie = format!("{name}.{wrong}");
    for _ in 0..5 {
        thief.get(&demo, "");
    }
    alice.get(&demo, "logout");

    let (status, export) = fetch(&format!("{metrics}/metrics"));
    assert_eq!(status, 200);
    let event = |labels: &str| value(&export, &format!("session3_events_total{{{labels}}}"));
    assert_eq!(event("event=\"created\",reason=\"\""), 2.0);
    assert_eq!(event("event=\"user-changed\",reason=\"\""), 2.0);
    assert_eq!(event("event=\"rejected\",reason=\"wrong-secret\""), 5.0);
    assert_eq!(
        event("event=\"ended\",reason=\"expired-by-application\""),
        1.0
    );
    let created = "session3_store_seconds_count{operation=\"create\",result=\"ok\"}";
    assert_eq!(value(&export, created), 2.0);
    assert!(value(&export, "session3_commit_seconds_count") >= 6.0);
    assert_eq!(fetch(&format!("{metrics}/healthz")).0, 200);
    assert_eq!(fetch(&format!("{metrics}/other")).0, 404);
    assert_eq!(demo.stop().code(), Some(0));

    let mut everything = export + &fs::read_to_string(log.path()).unwrap();
    assert!(everything.contains("token rejected"), "{everything}");
    for file in files(directory.path()) {
        everything += &file.to_string_lossy();
        everything += &String::from_utf8_lossy(&fs::read(&file).unwrap());
    }
    let mut secrets = alice.secrets;
    secrets.extend(admin.secrets);
    secrets.push(wrong);
    assert!(secrets.len() > 10);
    for secret in secrets {
        assert!(!everything.contains(&secret), "{secret}");
    }
}
