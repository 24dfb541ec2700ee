//! A disk that stalls, for real: a file system that is frozen.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use session3_test_fixtures::HANDLER;
use session3_test_program::Browser;

use crate::place::{Place, get};

/// A small file system in a file, which is thawed and unmounted when this is dropped.
struct Mounted {
    path: PathBuf,
}

impl Mounted {
    fn new(directory: &Path) -> Self {
        let (image, path) = (directory.join("image"), directory.join("mounted"));
        run("truncate", &["-s", "32M", image.to_str().unwrap()]);
        run("mkfs.ext4", &["-q", image.to_str().unwrap()]);
        std::fs::create_dir(&path).unwrap();
        let paths = [image.to_str().unwrap(), path.to_str().unwrap()];
        run("mount", &[&["-o", "loop"][..], &paths].concat());
        Self { path }
    }

    fn freeze(&self) {
        run("fsfreeze", &["--freeze", self.path.to_str().unwrap()]);
    }

    fn thaw(&self) {
        run("fsfreeze", &["--unfreeze", self.path.to_str().unwrap()]);
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze")
            .arg("--unfreeze")
            .arg(&self.path)
            .status();
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(&self.path)
            .status();
    }
}

/// Runs a command of the system, as root.
fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status();
    let status = status.unwrap_or_else(|error| panic!("{program} is missing: {error}"));
    assert!(status.success(), "{program} failed: run this test as root");
}

/// While the disk stalls, requests without a session are answered, and those with one get 504
/// at their time limit, except the few that the stall has caught in a call of the server's own
/// threads.
#[test]
#[ignore = "mounts and freezes a file system, which needs root: make torture"]
fn a_frozen_file_system_stops_only_what_needs_a_session() {
    let directory = tempfile::tempdir().unwrap();
    let mounted = Mounted::new(directory.path());
    let place = Place::new(HANDLER);
    let store = mounted.path.join("sessions");
    let mut command = place.command(&["--timeout", "2", "--metrics", "127.0.0.1:0", "--store"]);
    let server = place.run(command.arg(&store));
    let line = server
        .greeting
        .iter()
        .find_map(|line| line.strip_prefix("Metrics are at "));
    let health = line.unwrap().replace("/metrics.", "/healthz");
    let mut browser = Browser::new();
    assert_eq!(browser.get(&server, "").text, "1");

    mounted.freeze();
    let start = Instant::now();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let requests: Vec<_> = (0..20)
            .map(|_| {
                let (mut browser, server) = (browser.clone(), &server);
                scope.spawn(move || browser.get(server, "").status)
            })
            .collect();
        while start.elapsed() < Duration::from_secs(4) {
            let asked = Instant::now();
            assert_eq!(get(&server, "uses").text, "1");
            assert_eq!(ureq::get(&health).call().unwrap().status(), 200);
            assert!(
                asked.elapsed() < Duration::from_secs(2),
                "{:?}",
                asked.elapsed()
            );
        }
        mounted.thaw();
        requests
            .into_iter()
            .map(|request| request.join().unwrap())
            .collect()
    });
    let late = statuses.iter().filter(|status| **status == 504).count();
    let caught = thread::available_parallelism().unwrap().get().max(2) - 1;
    assert!(late >= statuses.len() - caught, "{statuses:?}");
    assert_eq!(browser.get(&server, "").status, 200);
}
