//! `session3 compile`, and serving what it writes.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

use session3_components::{DEMO, STORE_FILESYSTEM};
use session3_test_fixtures::{CURRENT, GUEST};
use session3_test_program::{Browser, Demo, session3};
use session3_test_support::wait_until;
use tempfile::TempDir;

/// What `serve` takes beside the file.
const ALLOWED: [&str; 3] = ["application.compiled", "--allow-compiled", "--store"];

/// A directory with an application and what was compiled from it.
struct Place(TempDir);

impl Place {
    fn new(application: &[u8], arguments: &[&str]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::write(place.path("application.wasm"), application).unwrap();
        fs::write(place.path("store.wasm"), STORE_FILESYSTEM).unwrap();
        fs::write(place.path("policy.toml"), "[cookie]\nmax-age = 770\n").unwrap();
        place.compile(arguments);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, command: &str, arguments: &[&str]) -> Command {
        let mut program = session3();
        program
            .current_dir(&self.0)
            .arg(command)
            .args(arguments)
            // A compiled component needs no cache.
            .env("XDG_CACHE_HOME", self.path("cache"));
        program
    }

    fn compile(&self, arguments: &[&str]) {
        let mut command = self.command("compile", &["application.wasm"]);
        command.args(["-o", "application.compiled"]).args(arguments);
        assert!(command.status().unwrap().success());
    }

    fn serve(&self, arguments: &[&str]) -> Demo {
        let log = File::create(self.path("log")).unwrap();
        Demo::run(self.command("serve", arguments).stderr(log))
    }

    /// Runs `serve`, which must fail, and returns its one line on standard error.
    fn refusal(&self, arguments: &[&str]) -> String {
        let mut command = self.command("serve", arguments);
        let output = command.args(["--port", "0"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    }
}

#[test]
fn a_compiled_application_is_served_with_the_parts_that_it_was_compiled_with() {
    let place = Place::new(DEMO, &["--grant", "admin", "--config", "policy.toml"]);
    // The policy was checked by running the manager, whose code is kept.
    fs::remove_dir_all(place.path("cache")).unwrap();
    let with_store = [&ALLOWED[..], &["sessions"]].concat();
    let server = place.serve(&with_store);
    let mut browser = Browser::new();
    let cookie = browser.get(&server, "keep").set_cookie.unwrap();
    assert!(cookie.contains("; Max-Age=770"), "{cookie}");
    browser.get(&server, "increment");
    assert_eq!(browser.look(&server).1, 1);
    assert!(!place.path("cache").join("session3/modules").exists());
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn an_application_for_wasi_0_3_may_be_compiled() {
    let place = Place::new(CURRENT, &["--middleware"]);
    let server = place.serve(&[&ALLOWED[..], &["sessions"]].concat());
    assert_eq!(Browser::new().get(&server, "").status, 200);
}

#[test]
fn a_compiled_store_component_needs_no_store() {
    let parts = ["--grant", "admin", "--store-component", "store.wasm"];
    let place = Place::new(DEMO, &parts);
    fs::create_dir(place.path("data")).unwrap();
    let without_store = [&ALLOWED[..2], &["--dir", "data::/sessions"]].concat();
    let server = place.serve(&without_store);
    assert_eq!(Browser::new().get(&server, "keep").status, 302);
    let said = place.refusal(&[&ALLOWED[..], &["sessions"]].concat());
    assert!(said.contains("--store has no effect"), "{said}");
}

/// Anyone can give native code the form of an application.
#[test]
fn compiled_code_is_loaded_only_if_that_is_allowed() {
    let place = Place::new(DEMO, &["--grant", "admin"]);
    let said = place.refusal(&["application.compiled", "--store", "sessions"]);
    assert!(said.contains("--allow-compiled"), "{said}");
    let said = place.refusal(&ALLOWED[..2]);
    assert!(said.contains("--store"), "{said}");
}

#[test]
fn compiled_code_that_others_can_write_is_refused() {
    let place = Place::new(DEMO, &["--grant", "admin"]);
    let file = place.path("application.compiled");
    let arguments = [&ALLOWED[..], &["sessions"]].concat();
    fs::set_permissions(&file, Permissions::from_mode(0o664)).unwrap();
    let said = place.refusal(&arguments);
    assert!(said.contains("chmod go-w"), "{said}");
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(&file, Some(65534), None).unwrap();
        let said = place.refusal(&arguments);
        assert!(said.contains("user with the ID 65534"), "{said}");
    }
}

#[test]
fn options_that_come_too_late_are_refused() {
    let place = Place::new(DEMO, &["--grant", "admin"]);
    let options = [
        &["--config", "policy.toml"][..],
        &["--grant", "admin"],
        &["--middleware"],
        &["--store-component", "store.wasm"],
    ];
    for option in options {
        let said = place.refusal(&[&ALLOWED[..2], option].concat());
        let expected = format!("{} has no effect: give it to `session3 compile`", option[0]);
        assert!(said.contains(&expected), "{said}");
    }
    for command in ["compile", "compose"] {
        let output = place.command(command, &["application.compiled"]).output();
        let said = String::from_utf8(output.unwrap().stderr).unwrap();
        assert!(
            said.contains("application.compiled: it is compiled"),
            "{said}"
        );
    }
}

#[test]
fn a_file_of_another_version_is_one_line_that_says_to_compile_again() {
    let place = Place::new(DEMO, &["--grant", "admin"]);
    let file = place.path("application.compiled");
    let compiled = fs::read(&file).unwrap();
    let arguments = [&ALLOWED[..], &["sessions"]].concat();
    let version = b"\"session3\":\"";
    let place_of = |text: &[u8]| {
        compiled
            .windows(text.len())
            .position(|window| window == text)
    };
    let mut other = compiled.clone();
    other[place_of(version).unwrap() + version.len()] = b'9';
    let mut of_other_wasmtime = compiled.clone();
    let wasmtime = place_of(b".wasmtime.engine").unwrap();
    of_other_wasmtime[wasmtime] = b',';
    for bad in [
        &other[..],
        &of_other_wasmtime,
        &compiled[..compiled.len() / 2],
    ] {
        fs::write(&file, bad).unwrap();
        let said = place.refusal(&arguments);
        assert!(said.contains("compile it again"), "{said}");
        assert!(said.contains("application.compiled"), "{said}");
    }
}

#[test]
fn sighup_loads_a_compiled_application_again() {
    let place = Place::new(DEMO, &["--grant", "admin"]);
    let server = place.serve(&[&ALLOWED[..], &["sessions"]].concat());
    let log = || fs::read_to_string(place.path("log")).unwrap();
    let wait_for = |text: &str| wait_until(text, || log().contains(text));
    fs::write(place.path("application.wasm"), GUEST).unwrap();
    place.compile(&[]);
    server.signal("HUP");
    wait_for("it keeps no sessions in a store of the host");
    fs::write(place.path("application.wasm"), DEMO).unwrap();
    place.compile(&["--grant", "admin"]);
    server.signal("HUP");
    wait_for("application.compiled was loaded anew");
    assert_eq!(Browser::new().get(&server, "").status, 200);
}
