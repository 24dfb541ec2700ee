//! `session3 dev`: an application is built, served, and built again after a change.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use session3_components::DEMO;
use session3_test_fixtures::SITE;
use session3_test_program::{Browser, Demo, session3};
use session3_test_support::wait_until;
use tempfile::TempDir;

/// A directory with an application: its source is a file with the name of a component.
struct Project(TempDir);

const FILE: &str = "\
[dev]
build = \"sh build.sh\"
watch = [\"source\"]

[serve]
application = \"built.wasm\"
grant = [\"admin\"]
store = \"sessions\"
port = 0
";

const BUILD: &str = "\
component=$(cat source/name)
cp $component.wasm built.wasm
";

impl Project {
    fn new() -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        project.write("demo.wasm", DEMO);
        project.write("site.wasm", SITE);
        project.write("build.sh", BUILD.as_bytes());
        project.write("session3.toml", FILE.as_bytes());
        fs::create_dir(project.path("source")).unwrap();
        project.set_source("demo");
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
    }

    fn set_source(&self, name: &str) {
        self.write("source/name", name.as_bytes());
    }

    fn command(&self) -> Command {
        let mut command = session3();
        command.arg("dev").arg(self.0.path());
        command
    }

    fn serve(&self) -> Demo {
        let log = fs::File::create(self.path("log")).unwrap();
        Demo::run_as_it_is(self.command().stderr(log))
    }

    fn refusal(&self) -> String {
        let output = self.command().output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    }
}

fn get(demo: &Demo, page: &str) -> (u16, String) {
    let page = Browser::new().get(demo, page);
    (page.status, page.text)
}

#[test]
fn a_change_is_built_and_served() {
    let project = Project::new();
    let demo = project.serve();
    let (status, text) = get(&demo, "");
    assert_eq!(status, 200);
    project.set_source("site");
    wait_until("the other application answers", || get(&demo, "").1 != text);
    project.set_source("demo");
    wait_until("the first application answers", || get(&demo, "").1 == text);
}

#[test]
fn a_failed_build_is_the_answer_until_one_succeeds() {
    let project = Project::new();
    let demo = project.serve();
    project.set_source("<missing>");
    wait_until("the messages are shown", || get(&demo, "").0 == 503);
    let (_, text) = get(&demo, "keep");
    assert!(
        text.contains("The build failed with exit status: 1"),
        "{text}"
    );
    assert!(text.contains("&lt;missing&gt;.wasm"), "{text}");
    project.set_source("demo");
    wait_until("the application answers", || get(&demo, "").0 == 200);
}

#[test]
fn a_component_that_cannot_be_served_is_explained() {
    let project = Project::new();
    let demo = project.serve();
    project.write("text.wasm", b"no component");
    project.set_source("text");
    wait_until("the reason is shown", || get(&demo, "").0 == 503);
    let (_, text) = get(&demo, "");
    assert!(
        text.contains("The new component cannot be served"),
        "{text}"
    );
    assert!(text.contains("built.wasm"), "{text}");
}

#[test]
fn the_first_build_may_fail_too() {
    let project = Project::new();
    project.set_source("missing");
    let failing = "built.wasm || { touch attempted; exit 1; }";
    project.write("build.sh", BUILD.replace("built.wasm", failing).as_bytes());
    let (attempted, source) = (project.path("attempted"), project.path("source/name"));
    let mending = thread::spawn(move || {
        wait_until("the first build", || attempted.exists());
        fs::write(source, "demo").unwrap();
    });
    let demo = project.serve();
    mending.join().unwrap();
    assert_eq!(get(&demo, "").0, 200);
    let failed = "The build failed with exit status: 1. Waiting for a change.";
    assert!(
        demo.greeting.iter().any(|line| line == failed),
        "{:?}",
        demo.greeting
    );
}

#[test]
fn browsers_keep_the_cookie_without_tls_whatever_the_policy_requires() {
    let project = Project::new();
    let strict = format!(
        "{FILE}\n[policy.cookie]\nname = \"__Host-shop\"\n[policy.require.cookie]\nsecure = true\n"
    );
    project.write("session3.toml", strict.as_bytes());
    // With this option, the demo leaves the cookie as the policy has it.
    let mut command = project.command();
    let demo = Demo::run_as_it_is(command.arg("--secure-cookies"));
    let cookie = Browser::new().get(&demo, "keep").set_cookie.unwrap();
    assert!(
        cookie.starts_with("session3=") && !cookie.contains("Secure"),
        "{cookie}"
    );
}

/// Such as an application in C, whose module this program makes a component.
#[test]
fn a_build_finds_the_program() {
    let project = Project::new();
    let build = format!("{BUILD}\"$SESSION3\" --version >version\n");
    project.write("build.sh", build.as_bytes());
    let server = Demo::run_as_it_is(project.command().env_remove("SESSION3"));
    let said = fs::read_to_string(project.path("version")).unwrap();
    assert!(said.starts_with("session3 "), "{said}");
    assert_eq!(get(&server, "").0, 200);
}

#[test]
fn what_is_missing_is_named() {
    let project = Project::new();
    fs::remove_file(project.path("session3.toml")).unwrap();
    let said = project.refusal();
    assert!(said.contains("there is no session3.toml: "), "{said}");
    project.write(
        "session3.toml",
        b"[serve]\napplication = \"built.wasm\"\nstore = \"s\"\n",
    );
    let said = project.refusal();
    assert!(said.contains("there is no section [dev]: "), "{said}");
    project.write("session3.toml", FILE.replace("source", "sauce").as_bytes());
    let said = project.refusal();
    assert!(said.contains("sauce: cannot be watched: "), "{said}");
    project.write("session3.toml", FILE.replace("watch", "wach").as_bytes());
    let said = project.refusal();
    assert!(said.contains("session3.toml:3: "), "{said}");
}
