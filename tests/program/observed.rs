//! What the log and the metrics say of each request.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use session3_test_fixtures::{NOSY, SITE};
use session3_test_program::{Browser, Demo, between, session3};
use session3_test_servers::free_port;
use session3_test_support::wait_until;
use tempfile::TempDir;

/// A server of an application, whose log is a file.
struct Place {
    directory: TempDir,
    server: Demo,
}

impl Place {
    fn serve(application: &[u8], arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = command(&directory, application);
        let log = File::create(directory.path().join("log")).unwrap();
        let server = Demo::run(command.args(arguments).stderr(log));
        Self { directory, server }
    }

    fn get(&self, page: &str) -> String {
        Browser::new().get(&self.server, page).text
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// Returns the lines of the log that contain a text, once there are so many of them.
    fn lines(&self, text: &str, count: usize) -> Vec<String> {
        let lines = || {
            let log = self.log();
            let lines = log.lines().filter(|line| line.contains(text));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        wait_until(text, || lines().len() >= count);
        lines()
    }
}

fn command(directory: &TempDir, application: &[u8]) -> Command {
    fs::write(directory.path().join("application.wasm"), application).unwrap();
    let mut command = session3();
    command
        .current_dir(directory)
        .args(["serve", "application.wasm", "--store", "sessions"]);
    command
}

/// Returns the ID of the request that a line of the log is about.
fn id_in(line: &str) -> String {
    between(line, "request{id=", " ")
}

/// Returns the IDs of the sessions in the store of a server.
fn sessions(directory: &Path) -> String {
    let output = session3()
        .current_dir(directory)
        .args(["list", "sessions", "--json"])
        .output()
        .unwrap();
    let session: Value = serde_json::from_slice(&output.stdout).unwrap();
    session["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_line_about_a_failed_request_names_it_without_its_query() {
    let place = Place::serve(SITE, &[]);
    place.get("trap?secret=1");
    place.get("status/101?secret=2");
    let lines = place.lines("a request failed", 2);
    for (line, path) in lines.iter().zip(["/trap", "/status/101"]) {
        assert!(
            line.contains(&format!(" method=GET path={path}}}: ")),
            "{line}"
        );
    }
    let time = lines[0].split(' ').next().unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    assert!(!place.log().contains("secret"));
}

#[test]
fn an_application_learns_the_id_of_its_request_and_what_it_prints_has_it() {
    let place = Place::serve(SITE, &["--access-log"]);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut browser = Browser::new();
        let page = browser.get_with(&place.server, "headers", &[("X-Request-Id", "forged")]);
        let id = between(&page.text, "x-request-id: ", "\n");
        assert_eq!(page.text.matches("x-request-id").count(), 1);
        assert!(id.len() == 16 && !seen.contains(&id), "{id}");
        let line = &place.lines(&id, 1)[0];
        assert!(
            line.contains("path=/headers}: answered status=200"),
            "{line}"
        );
        seen.push(id);
    }

    let place = Place::serve(NOSY, &["--access-log"]);
    assert_eq!(place.get("print"), "printed");
    let id = id_in(&place.lines("answered", 1)[0]);
    let said = place.lines("the application says", 1);
    assert!(said.iter().all(|line| id_in(line) == id), "{said:?}");
}

/// With an instance for each request, and with one that serves both.
#[test]
fn the_access_log_has_a_line_for_each_request() {
    for reuse in ["1", "2"] {
        let arguments = ["--access-log", "--max-instance-reuse", reuse];
        let place = Place::serve(SITE, &arguments);
        let mut browser = Browser::new();
        assert_eq!(browser.get(&place.server, "visit?secret=1").text, "1");
        assert_eq!(browser.get(&place.server, "visit").text, "2");
        assert_eq!(browser.get(&place.server, "status/404").status, 404);
        let lines = place.lines(": answered ", 3);
        let session = sessions(place.directory.path());
        for line in &lines[..2] {
            assert!(line.contains("method=GET path=/visit}: answered status=200 bytes=1 "));
            let end = format!(" client=127.0.0.1 session=\"{session}\"");
            assert!(line.ends_with(&end), "{line}");
            let seconds: f64 = between(line, "seconds=", " ").parse().unwrap();
            assert!(seconds > 0.0 && seconds < 60.0, "{line}");
        }
        assert!(lines[2].contains("path=/status/404}: answered status=404 bytes=0 "));
        assert!(!lines[2].contains("session="), "{}", lines[2]);
        assert!(!place.log().contains("secret"));
    }
}

#[test]
fn a_log_of_json_has_an_object_in_each_line() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = command(&directory, SITE);
    let log_file = directory.path().join("log");
    // The address is in the log, too, so `Demo` does not find it.
    let port = free_port();
    command
        .args(["--access-log", "--log-format", "json"])
        .args(["--port", &port.to_string()])
        .stderr(File::create(&log_file).unwrap());
    let mut server = command.spawn().unwrap();
    let log = || fs::read_to_string(&log_file).unwrap();
    wait_until("the address", || log().contains("Open http://"));
    let site = format!("http://127.0.0.1:{port}/");
    Browser::new().get(&site, "visit");
    Browser::new().get(&site, "trap");
    wait_until("two requests", || log().matches("answered").count() == 2);
    server.kill().unwrap();
    server.wait().unwrap();
    let log = log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let about = |path: &str, level: &str| {
        let is_it = |line: &&Value| line["span"]["path"] == path && line["level"] == level;
        lines.iter().find(is_it).unwrap()
    };
    let visit = about("/visit", "INFO");
    assert_eq!(
        (&visit["status"], &visit["bytes"]),
        (&200.into(), &1.into())
    );
    assert_eq!(visit["session"], sessions(directory.path()));
    assert_eq!(visit["span"]["method"], "GET");
    let failure = about("/trap", "ERROR");
    assert!(
        failure["message"]
            .as_str()
            .unwrap()
            .starts_with("a request failed")
    );
    assert_eq!(failure["span"]["id"], about("/trap", "INFO")["span"]["id"]);
}

#[test]
fn a_level_hides_what_is_less_important() {
    for (level, count) in [("off", 0), ("error", 1), ("info", 2)] {
        let place = Place::serve(SITE, &["--access-log", "--log-level", level]);
        place.get("trap");
        let (directory, status) = (place.directory, place.server.stop());
        assert_eq!(status.code(), Some(0));
        let log = fs::read_to_string(directory.path().join("log")).unwrap();
        let lines = log.lines().filter(|line| line.contains("path=/trap"));
        assert_eq!(lines.count(), count, "{log}");
    }
}

#[test]
fn the_metrics_count_requests_instances_and_connections() {
    let arguments = ["--metrics", "127.0.0.1:0", "--max-instance-reuse", "2"];
    let place = Place::serve(SITE, &arguments);
    for page in ["visit", "visit", "status/404", "trap"] {
        place.get(page);
    }
    let metrics = || {
        let mut lines = place.server.greeting.iter();
        let url = lines
            .find_map(|line| line.strip_prefix("Metrics are at "))
            .unwrap();
        ureq::get(url.trim_end_matches('.'))
            .call()
            .unwrap()
            .body_mut()
            .read_to_string()
            .unwrap()
    };
    wait_until("the end of all requests", || {
        metrics().contains("session3_requests_running 0\n")
    });
    let metrics = metrics();
    for line in [
        "session3_requests_total{status=\"2xx\"} 2",
        "session3_requests_total{status=\"4xx\"} 1",
        "session3_requests_total{status=\"5xx\"} 1",
        "session3_request_seconds_count 4",
        "session3_instance_wait_seconds_count 4",
        "session3_failed_requests_total{reason=\"application-failed\"} 1",
        "session3_instances_total{kind=\"new\"} 2",
        "session3_instances_total{kind=\"reused\"} 2",
        "session3_connections_total 4",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}\n{metrics}"
        );
    }
    let described = metrics
        .lines()
        .filter(|line| line.starts_with("# HELP session3_"));
    let kinds = metrics
        .lines()
        .filter(|line| line.starts_with("# TYPE session3_"));
    assert_eq!(described.count(), kinds.count(), "{metrics}");
}
