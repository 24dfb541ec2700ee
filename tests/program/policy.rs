//! `--config`: the operator's policy for the sessions of all applications.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use session3_components::{DEMO, MANAGER};
use session3_compose::{Composition, Grant};

use session3_test_program::clock::{Clock, speed_up};
use session3_test_program::{Browser, Demo, between, session3};
use session3_test_support::{files, wait_until};

/// A directory with the demo, its sessions and a policy.
struct Place(tempfile::TempDir);

impl Place {
    fn new(policy: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::write(place.path("demo.wasm"), DEMO).unwrap();
        fs::write(place.path("policy.toml"), policy).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = session3();
        command.current_dir(&self.0);
        command.args(["serve", "demo.wasm", "--grant", "admin"]);
        command.args(["--store", "sessions", "--config", "policy.toml"]);
        command.args(arguments);
        command
    }

    fn serve(&self, arguments: &[&str]) -> Demo {
        let log = fs::File::create(self.path("log")).unwrap();
        Demo::run(self.command(arguments).stderr(log))
    }

    /// Starts the server, which must fail. Returns its one line on standard error.
    fn refusal(&self) -> String {
        let output = self.command(&["--port", "0"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }
}

/// Returns the demo composed with this manager.
fn composed(manager: &[u8]) -> Vec<u8> {
    let demo = Composition::new(DEMO, manager).grant(Grant::Admin);
    demo.compose().unwrap()
}

fn cookie(server: &Demo) -> String {
    Browser::new().get(server, "keep").set_cookie.unwrap()
}

#[test]
fn applications_get_the_operators_defaults() {
    let place = Place::new(
        "[cookie]\nname = \"__Secure-sid\"\npath = \"/\"\ndomain = \"example.org\"\n\
         same-site = \"strict\"\nmax-age = 3600\npartitioned = true\n",
    );
    let cookie = cookie(&place.serve(&["--secure-cookies"]));
    let mut parts: Vec<_> = cookie.split("; ").skip(1).collect();
    parts.sort_unstable();
    let expected = [
        "Domain=example.org",
        "HttpOnly",
        "Max-Age=3600",
        "Partitioned",
        "Path=/",
        "SameSite=Strict",
        "Secure",
    ];
    assert_eq!(parts, expected, "{cookie}");
    assert!(cookie.starts_with("__Secure-sid="), "{cookie}");
}

#[test]
fn the_policy_of_the_book_is_one() {
    let chapter = include_str!("../../docs/src/operating.md");
    let (_, policy) = chapter.split_once("## The session policy").unwrap();
    let place = Place::new(&between(policy, "```toml\n", "```"));
    assert!(cookie(&place.serve(&["--secure-cookies"])).contains("; SameSite=Strict"));
}

#[test]
fn the_policy_of_the_guides_ends_a_session_soon() {
    let chapter = include_str!("../../docs/src/guides.md");
    let place = Place::new(&between(chapter, "```toml\n", "```"));
    let server = place.serve(&["--secure-cookies"]);
    let mut browser = Browser::new();
    assert!(browser.get(&server, "keep").set_cookie.is_some());
    thread::sleep(Duration::from_secs(5));
    assert_eq!(browser.look(&server).0, "None");
}

#[test]
fn an_application_cannot_weaken_what_is_required() {
    let place = Place::new("[require.cookie]\nsecure = true\n");
    // Over plain HTTP, the demo wants a cookie without Secure.
    let server = place.serve(&[]);
    let page = Browser::new().get(&server, "keep");
    assert_eq!((page.status, page.set_cookie), (400, None));
    drop(server);
    assert!(cookie(&place.serve(&["--secure-cookies"])).contains("; Secure"));
}

#[test]
fn a_requirement_is_a_default_too() {
    let place = Place::new("[require.cookie]\nsame-site = \"strict\"\n");
    assert!(cookie(&place.serve(&[])).contains("; SameSite=Strict"));
}

#[test]
fn sighup_reads_it_anew_and_a_bad_one_leaves_the_old() {
    let place = Place::new("[cookie]\nmax-age = 600\n");
    let server = place.serve(&[]);
    assert!(cookie(&server).contains("; Max-Age=600"));
    fs::write(place.path("policy.toml"), "[cookie]\nmax-age = 700\n").unwrap();
    server.signal("HUP");
    while !cookie(&server).contains("; Max-Age=700") {}
    fs::write(place.path("policy.toml"), "[cookie]\nmax-age = 0\n").unwrap();
    server.signal("HUP");
    while !place
        .log()
        .contains("continues with the previous component")
    {
        thread::yield_now();
    }
    assert!(
        place.log().contains("policy.toml: cookie max-age"),
        "{}",
        place.log()
    );
    assert!(cookie(&server).contains("; Max-Age=700"));
}

#[test]
fn a_bad_policy_is_one_line_before_anything_is_served() {
    for (policy, expected) in [
        ("idle = 5", "policy.toml:1: unknown key `idle`"),
        ("[cookie]\nname = 5", "policy.toml:2: invalid type"),
        (
            "[cookie]\nsecure = false",
            "policy.toml: cookie: a name with the prefix __Host-",
        ),
        (
            "idle-timeout = 0",
            "policy.toml: idle-timeout: more than 0 seconds",
        ),
        (
            "idle-timeout = 901\n[require]\nidle-timeout = 900",
            "policy.toml: idle-timeout: weaker than the operator's policy requires",
        ),
    ] {
        let said = Place::new(policy).refusal();
        assert!(said.starts_with(&format!("session3: {expected}")), "{said}");
    }
    let place = Place::new("");
    fs::remove_file(place.path("policy.toml")).unwrap();
    let said = place.refusal();
    assert!(
        said.starts_with("session3: policy.toml: cannot be read"),
        "{said}"
    );
}

/// `--config` is refused for an application that already contains a manager, and for a
/// component other than the manager.
#[test]
fn what_it_has_no_effect_on_is_refused() {
    let place = Place::new("");
    fs::write(place.path("demo.wasm"), composed(MANAGER)).unwrap();
    let output = place.command(&["--grant", "store", "--port", "0"]).output();
    let said = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(said.contains("--config has no effect"), "{said}");

    let mut command = session3();
    command.current_dir(&place.0);
    let output = command.args(["component", "demo", "--config", "policy.toml"]);
    let output = output.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--config is for the manager"), "{said}");
}

/// The policy is part of the manager component that the program writes, so it applies under any
/// host.
#[test]
fn the_manager_and_what_is_joined_with_it_carry_it_along() {
    let place = Place::new("[cookie]\nmax-age = 770\n");
    let run = |arguments: &[&str]| {
        let mut command = session3();
        command.current_dir(&place.0).args(arguments);
        assert!(command.status().unwrap().success());
    };
    let policy = ["--config", "policy.toml", "-o"];
    run(&[&["component", "manager"], &policy[..], &["manager.wasm"]].concat());
    let manager = fs::read(place.path("manager.wasm")).unwrap();
    fs::write(place.path("by-hand.wasm"), composed(&manager)).unwrap();
    let demo = ["compose", "demo.wasm", "--grant", "admin"];
    run(&[&demo, &policy[..], &["joined.wasm"]].concat());
    for component in ["by-hand.wasm", "joined.wasm"] {
        let mut command = session3();
        command.current_dir(&place.0).args(["serve", component]);
        command.args(["--store", "sessions", "--grant", "store"]);
        assert!(cookie(&Demo::run(&mut command)).contains("; Max-Age=770"));
    }
}

/// All sessions seem to have expired when the clock is wrong.
#[test]
fn a_clock_that_jumps_ahead_ends_no_sessions_without_a_word() {
    let place = Place::new("");
    let log = fs::File::create(place.path("log")).unwrap();
    let mut command = place.command(&["--sweep-every", "1"]);
    let mut clock = Clock::new(&mut command);
    let server = Demo::run(command.stderr(log));
    cookie(&server);
    clock.advance(Duration::from_secs(100_000));
    wait_until("the sweep", || place.log().contains("deleted: 1"));
    let log = place.log();
    let (before, _) = log.split_once("deleted: 1").unwrap();
    assert!(before.contains("the time of day jumped ahead by "), "{log}");
}

/// The program's time is a day ahead and 20 times as fast, so that the first sweep comes within
/// 3 seconds; the second one would come after 3 minutes.
#[test]
fn a_server_that_is_started_again_deletes_what_expired_before() {
    let place = Place::new("idle-timeout = 2\nfirst-use-timeout = 1\ntouch-after = 0\n");
    let log = || fs::File::create(place.path("log")).unwrap();
    let mut command = place.command(&["--sweep-every", "0"]);
    let server = Demo::run(command.stderr(log()));
    cookie(&server);
    drop(server);
    let mut command = place.command(&["--sweep-every", "3600"]);
    speed_up(&mut command, 20).env("FAKETIME", "+1d x20");
    let _server = Demo::run(command.stderr(log()));
    let deadline = Instant::now() + Duration::from_secs(60);
    while !place.log().contains("expired and were deleted: 1") {
        assert!(Instant::now() < deadline, "{}", place.log());
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_has_expired_is_deleted_by_the_server() {
    let place = Place::new("idle-timeout = 2\nfirst-use-timeout = 1\ntouch-after = 0\n");
    let log = fs::File::create(place.path("log")).unwrap();
    let mut command = place.command(&["--sweep-every", "1"]);
    let server = Demo::run(speed_up(&mut command, 20).stderr(log));
    cookie(&server);
    let text = "expired and were deleted: 1";
    wait_until(text, || place.log().contains(text));
    let mut remaining = files(&place.path("sessions"));
    remaining.retain(|file| !file.ends_with("sweep.lock"));
    assert_eq!(remaining, Vec::<PathBuf>::new());
}
