//! The directory of compiled code: where other users can write, or this one cannot, nothing is
//! kept, and the program works nevertheless.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use session3_test_program::{Browser, Demo, session3};
use tempfile::TempDir;

const NOBODY: u32 = 65534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A directory for sessions, for compiled code and for the log.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.0.path().join("cache")).unwrap();
        place
    }

    fn command(&self, name: &str) -> Command {
        let mut command = session3();
        command.current_dir(&self.0).args([name, "sessions"]);
        command
    }

    /// Runs the demo, which must answer, and returns its log.
    fn log_of(&self, demo: &mut Command) -> String {
        let log = self.0.path().join("log");
        let demo = Demo::run(demo.stderr(File::create(&log).unwrap()));
        assert_eq!(Browser::new().get(&demo, "keep").status, 302);
        assert_eq!(demo.stop().code(), Some(0));
        fs::read_to_string(&log).unwrap()
    }

    fn is_cache_used(&self) -> bool {
        self.0.path().join("cache/modules").exists()
    }
}

/// Returns the lines about the cache.
fn warnings(log: &str) -> Vec<&str> {
    let warnings = log.lines().filter(|line| line.contains("compiles anew"));
    warnings.collect()
}

#[test]
fn the_option_names_the_directory() {
    let place = Place::new();
    let cache = ["--cache", "cache"];
    let log = place.log_of(place.command("demo").args(cache));
    assert_eq!(warnings(&log), [""; 0]);
    assert!(place.is_cache_used());
    let id = "0".repeat(32);
    for arguments in [&["list", "--json"][..], &["show", &id]] {
        fs::remove_dir_all(place.0.path().join("cache")).unwrap();
        let mut command = place.command(arguments[0]);
        let output = command.args(&arguments[1..]).args(cache).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(i32::from(arguments[0] == "show"))
        );
        assert!(place.is_cache_used(), "{arguments:?}");
    }
}

#[test]
fn a_directory_that_others_can_write_is_not_used() {
    for mode in [0o770, 0o707] {
        let place = Place::new();
        let cache = place.0.path().join("cache");
        fs::set_permissions(&cache, Permissions::from_mode(mode)).unwrap();
        let log = place.log_of(place.command("demo").args(["--cache", "cache"]));
        let [warning] = warnings(&log)[..] else {
            panic!("{log}");
        };
        assert!(warning.contains("chmod go-w"), "{warning}");
        assert!(!place.is_cache_used());
    }
}

#[test]
fn a_directory_of_another_user_is_not_used() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    chown(place.0.path().join("cache"), Some(NOBODY), None).unwrap();
    let log = place.log_of(place.command("demo").args(["--cache", "cache"]));
    let [warning] = warnings(&log)[..] else {
        panic!("{log}");
    };
    assert!(warning.contains("belongs to the user with the ID 65534"));
    assert!(!place.is_cache_used());
}

/// Changes a command so that it may not write where the tests may.
fn without_rights<'a>(command: &'a mut Command, place: &Path) -> &'a mut Command {
    if is_root() {
        chown(place, Some(NOBODY), None).unwrap();
        fs::set_permissions(place, Permissions::from_mode(0o755)).unwrap();
        command.uid(NOBODY);
    }
    command
}

#[test]
fn a_directory_that_cannot_be_created_stops_nothing() {
    let place = Place::new();
    let directory = place.0.path();
    let forbidden = tempfile::tempdir().unwrap();
    fs::set_permissions(forbidden.path(), Permissions::from_mode(0o555)).unwrap();
    let mut demo = place.command("demo");
    demo.env_remove("XDG_CACHE_HOME")
        .env("HOME", forbidden.path());
    let log = place.log_of(without_rights(&mut demo, directory));
    let [warning] = warnings(&log)[..] else {
        panic!("{log}");
    };
    let path = forbidden.path().join(".cache/session3");
    assert!(warning.contains(path.to_str().unwrap()), "{warning}");
    let mut list = place.command("list");
    list.arg("--json")
        .env_remove("XDG_CACHE_HOME")
        .env("HOME", forbidden.path());
    let output = without_rights(&mut list, directory).output().unwrap();
    assert!(output.status.success());
    assert!(output.stdout.starts_with(b"{"));
}

#[test]
fn without_a_home_directory_the_log_says_that_nothing_is_kept() {
    let place = Place::new();
    let mut demo = place.command("demo");
    demo.env_remove("XDG_CACHE_HOME").env_remove("HOME");
    let log = place.log_of(&mut demo);
    assert!(log.contains("HOME") && log.contains("--cache"), "{log}");
}
