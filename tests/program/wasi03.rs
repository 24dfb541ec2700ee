//! Applications for WASI 0.3, served like those for WASI 0.2.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use session3_test_program::{Browser, Demo, session3};

use session3_test_fixtures::HANDLER;

/// Serves the application on a free port, with its sessions in a folder of the directory.
fn serve(directory: &Path, arguments: &[&str]) -> Demo {
    fs::write(directory.join("application.wasm"), HANDLER).unwrap();
    let mut command = session3();
    command
        .current_dir(directory)
        .args(["serve", "application.wasm", "--store", "sessions"])
        .args(arguments);
    Demo::run(&mut command)
}

fn start(arguments: &[&str]) -> (tempfile::TempDir, Demo, Browser) {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path(), arguments);
    (directory, server, Browser::new())
}

fn visits(browser: &mut Browser, server: &Demo) -> String {
    browser.get(server, "").text
}

#[test]
fn it_keeps_sessions() {
    let (directory, server, mut browser) = start(&[]);
    for count in ["1", "2", "3"] {
        assert_eq!(visits(&mut browser, &server), count);
    }
    assert_eq!(server.stop().code(), Some(0));
    let server = serve(directory.path(), &[]);
    assert_eq!(visits(&mut browser, &server), "4");
}

#[test]
fn a_body_passes_through_it_in_a_stream() {
    let (_directory, server, browser) = start(&[]);
    let body: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
    assert_eq!(browser.post(&server, "echo", &body), body);
}

#[test]
fn it_calls_the_servers_that_are_allowed_and_no_others() {
    let (_directory, server, mut browser) = start(&["--allow-outbound", "127.0.0.1:1"]);
    let port = server.url.trim_end_matches('/').rsplit(':').next().unwrap();
    let url = format!("http://127.0.0.1:{port}/uses");
    let text = browser.get(&server, &format!("fetch?{url}")).text;
    assert_eq!(text, "ErrorCode::HttpRequestDenied");

    let allowed = format!("127.0.0.1:{port}");
    let (_other, other, mut browser) = start(&["--allow-outbound", &allowed]);
    assert_eq!(browser.get(&other, &format!("fetch?{url}")).text, "200 1");
}

#[test]
fn what_it_does_wrong_costs_its_own_request() {
    let (_directory, server, mut browser) = start(&["--timeout", "1"]);
    let wrongs = [
        ("trap", 500),
        ("loop", 504),
        ("error", 500),
        ("memory", 500),
    ];
    for (count, (page, status)) in (1..).zip(wrongs) {
        assert_eq!(browser.get(&server, page).status, status, "{page}");
        assert_eq!(visits(&mut browser, &server), count.to_string(), "{page}");
    }
    let half = browser.try_get(&server, "half");
    assert!(
        half.is_err(),
        "a response that was cut off should be an error"
    );
    assert_eq!(visits(&mut browser, &server), "5");
}

#[test]
fn it_may_go_on_after_its_response() {
    let (_directory, server, mut browser) = start(&[]);
    assert_eq!(visits(&mut browser, &server), "1");
    assert_eq!(browser.get(&server, "afterwards").text, "fine");
    // The response ends after the application's work, so the second visit is already counted.
    assert_eq!(visits(&mut browser, &server), "3");
}

#[test]
fn an_instance_that_traps_or_loops_gives_its_exclusive_session_back() {
    let (_directory, server, mut browser) = start(&["--timeout", "1"]);
    assert_eq!(browser.get(&server, "exclusive").text, "1");
    assert_eq!(browser.get(&server, "exclusive/trap").status, 500);
    assert_eq!(browser.get(&server, "exclusive").text, "2");
    assert_eq!(browser.get(&server, "exclusive/loop").status, 504);
    assert_eq!(browser.get(&server, "exclusive").text, "3");
}

/// A second exclusive session in the same instance fails with `busy` at once, since waiting
/// for the lease would block the instance that holds it.
#[test]
fn a_second_exclusive_session_in_one_instance_is_busy_at_once() {
    let (_directory, server, mut browser) = start(&["--lock-timeout", "60", "--timeout", "30"]);
    assert_eq!(browser.get(&server, "exclusive").text, "1");
    let start = Instant::now();
    let text = browser.get(&server, "exclusive/twice").text;
    assert_eq!(text, "SessionError::Busy");
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "the second session waited"
    );
    assert_eq!(browser.get(&server, "exclusive").text, "2");
}

#[test]
fn many_at_once_take_turns_in_the_pool() {
    let (_directory, server, mut browser) = start(&["--max-instances", "3"]);
    assert_eq!(visits(&mut browser, &server), "1");
    std::thread::scope(|scope| {
        for _ in 0..12 {
            let (server, mut browser) = (&server, browser.clone());
            scope.spawn(move || {
                for _ in 0..20 {
                    assert_eq!(browser.get(server, "").status, 200);
                }
            });
        }
    });
    assert_eq!(visits(&mut browser, &server), "242");
}
