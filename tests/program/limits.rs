//! What an application can make the server keep, and what the system lets the server use.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::process::{Resource, getrlimit};
use session3_test_fixtures::GUEST;
use session3_test_program::Demo;

use crate::place::{Place, get};

#[test]
fn the_memory_for_a_request_is_bounded_at_the_host_too() {
    let place = Place::new(GUEST);
    let server = place.serve(&["--max-instance-reuse", "100"]);
    assert_eq!(get(&server, "").status, 200);
    let before = server.memory("VmHWM");
    for path in ["fields", "bodies", "random"] {
        for _ in 0..5 {
            assert_eq!(get(&server, path).status, 500, "/{path}");
        }
    }
    let grown = server.memory("VmHWM") - before;
    assert!(grown < 150_000, "{grown} kB");
    assert_eq!(get(&server, "").status, 200);
}

#[test]
fn an_interim_response_is_an_error_of_the_application() {
    let place = Place::new(GUEST);
    let server = place.serve(&[]);
    for status in ["status/100", "status/103"] {
        assert_eq!(get(&server, status).status, 500);
    }
    assert_eq!(get(&server, "status/404").status, 404);
    place.wait_for("answered with the status 103");
}

/// Returns the limit of open files of a server.
fn limit_of_open_files(server: &Demo) -> u64 {
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let mut lines = limits.lines();
    let line = lines.find_map(|line| line.strip_prefix("Max open files"));
    line.unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn the_limit_of_open_files_is_raised_and_one_that_is_too_low_is_named() {
    let maximum = getrlimit(Resource::Nofile).maximum.unwrap();
    let place = Place::new(GUEST);
    let with_limits = |limits: &str, arguments: &[&str]| {
        let command = place.with_store(arguments);
        let mut limited = std::process::Command::new("sh");
        limited
            .arg("-c")
            .arg(format!("{limits}; exec \"$0\" \"$@\""))
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(command.get_current_dir().unwrap())
            .envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
        place.run(&mut limited)
    };
    let server = with_limits("ulimit -Sn 300", &["--max-connections", "100"]);
    assert_eq!(limit_of_open_files(&server), maximum);
    // The application has no sessions, which is the one warning.
    assert_eq!(place.log().lines().count(), 1, "{}", place.log());
    let server = with_limits("ulimit -n 2000", &["--max-connections", "501"]);
    assert_eq!(limit_of_open_files(&server), 2000);
    place.wait_for("choose at most");
    let log = place.log();
    assert_eq!(log.lines().count(), 2, "{log}");
    assert!(log.contains("--max-connections 501"), "{log}");
    assert!(log.contains("choose at most 500"), "{log}");
    let _server = with_limits("ulimit -n 2000", &["--max-connections", "500"]);
    assert_eq!(place.log().lines().count(), 1, "{}", place.log());
}

/// Applications that compute for long take turns, and a page gets in between.
#[test]
fn a_page_does_not_wait_for_all_that_compute() {
    const LOOPS: usize = 40;
    let place = Place::new(GUEST);
    let server = place.serve(&["--timeout", "4"]);
    let running = AtomicUsize::new(LOOPS);
    let pages = thread::scope(|scope| {
        for _ in 0..LOOPS {
            scope.spawn(|| {
                assert_eq!(get(&server, "loop").status, 504);
                running.fetch_sub(1, Ordering::SeqCst);
            });
        }
        let mut pages = 0;
        while running.load(Ordering::SeqCst) == LOOPS {
            assert_eq!(get(&server, "").text, "fine");
            pages += 1;
        }
        pages
    });
    // If each page waited for a slice of each of the others, there would be about ten.
    println!("{pages} pages");
    assert!(pages > LOOPS, "{pages}");
}
