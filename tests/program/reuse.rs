//! Instances that serve several requests, one after another.

use session3_components::DEMO;
use session3_test_fixtures::{CURRENT, GUEST, HANDLER, NOSY};
use session3_test_program::{Browser, Demo};

use crate::place::{Place, get};

/// Serves an application in one instance at a time, which may serve this many requests.
fn serve(application: &[u8], uses: &str, more: &[&str]) -> (Place, Demo) {
    let place = Place::new(application);
    let arguments = ["--max-instances", "1", "--max-instance-reuse", uses];
    let server = place.serve(&[&arguments, more].concat());
    (place, server)
}

fn uses(server: &Demo) -> String {
    get(server, "uses").text
}

#[test]
fn an_instance_serves_as_many_requests_as_it_may() {
    for application in [GUEST, HANDLER] {
        let (_place, server) = serve(application, "3", &[]);
        let numbers: Vec<_> = (0..7).map(|_| uses(&server)).collect();
        assert_eq!(numbers, ["1", "2", "3", "1", "2", "3", "1"]);
    }
}

#[test]
fn each_request_gets_a_new_instance_by_default() {
    for application in [GUEST, HANDLER] {
        let server = Place::new(application);
        let server = server.serve(&[]);
        assert_eq!((uses(&server), uses(&server)), ("1".into(), "1".into()));
    }
}

#[test]
fn an_instance_that_failed_serves_no_further_request() {
    let failures = [
        ("trap", 500),
        ("silent", 500),
        ("loop", 504),
        ("random", 500),
    ];
    let (_place, server) = serve(GUEST, "100", &["--timeout", "1"]);
    for (failure, status) in failures {
        assert_eq!((uses(&server), uses(&server)), ("1".into(), "2".into()));
        assert_eq!(get(&server, failure).status, status);
        let expected = if failure == "silent" { "4" } else { "1" };
        assert_eq!(uses(&server), expected, "after /{failure}");
        get(&server, "trap");
    }
    let (_place, server) = serve(HANDLER, "100", &["--timeout", "1"]);
    for (failure, status) in [("trap", 500), ("loop", 504)] {
        assert_eq!((uses(&server), uses(&server)), ("1".into(), "2".into()));
        assert_eq!(get(&server, failure).status, status);
        assert_eq!(uses(&server), "1", "after /{failure}");
        get(&server, "trap");
    }
}

#[test]
fn an_instance_that_has_grown_or_kept_something_serves_no_further_request() {
    let (place, server) = serve(GUEST, "100", &[]);
    assert_eq!(uses(&server), "1");
    assert_eq!(get(&server, "memory/32").status, 200);
    assert_eq!(uses(&server), "1");
    assert_eq!(get(&server, "leak").status, 200);
    assert_eq!(uses(&server), "1");
    assert!(!place.log().contains("has no effect"));
    let (place, server) = serve(GUEST, "100", &[]);
    for _ in 0..3 {
        assert_eq!(get(&server, "leak").status, 200);
    }
    assert_eq!(uses(&server), "1");
    place.wait_for("has no effect");
    let log = place.log();
    assert_eq!(
        log.matches("--max-instance-reuse has no effect").count(),
        1,
        "{log}"
    );
}

#[test]
fn an_application_that_can_serve_one_request_gets_new_instances() {
    let (place, server) = serve(GUEST, "100", &[]);
    let statuses: Vec<_> = (0..4).map(|_| get(&server, "once").status).collect();
    assert_eq!(statuses, [200, 500, 200, 200]);
    assert_eq!((uses(&server), uses(&server)), ("1".into(), "1".into()));
    place.wait_for("from now on");
    let log = place.log();
    assert_eq!(
        log.matches("from now on, each request gets a new instance")
            .count(),
        1,
        "{log}"
    );
}

#[test]
fn a_failure_after_a_second_request_is_an_ordinary_one() {
    let (place, server) = serve(GUEST, "100", &[]);
    assert_eq!((uses(&server), uses(&server)), ("1".into(), "2".into()));
    assert_eq!(get(&server, "once").status, 500);
    assert_eq!((uses(&server), uses(&server)), ("1".into(), "2".into()));
    assert!(!place.log().contains("from now on"));
}

/// The session of a request that forgot to drop it cannot be used by a later request.
#[test]
fn a_forgotten_session_is_closed() {
    let (_place, server) = serve(HANDLER, "100", &[]);
    let mut browser = Browser::new();
    assert_eq!(browser.get(&server, "").text, "1");
    assert_eq!(browser.get(&server, "forget").text, "1000");
    let text = get(&server, "remember").text;
    let ended = "Err(SessionError::Ended)";
    assert_eq!(text, format!("(None, false) {ended} {ended}"));
    assert_eq!(browser.get(&server, "").text, "2");
    // All of that was served by one instance.
    assert_eq!(uses(&server), "5");
}

#[test]
fn the_lease_of_a_forgotten_session_ends_with_its_request() {
    let (_place, server) = serve(HANDLER, "100", &[]);
    let mut browser = Browser::new();
    assert_eq!(browser.get(&server, "").text, "1");
    assert_eq!(browser.get(&server, "exclusive/forget").text, "1000");
    assert_eq!(
        get(&server, "remember").text,
        "nothing",
        "in a new instance"
    );
    assert_eq!(browser.get(&server, "exclusive").text, "2");
}

#[test]
fn each_request_may_print_as_much() {
    let (place, server) = serve(NOSY, "100", &[]);
    for _ in 0..3 {
        assert_eq!(get(&server, "print").text, "printed");
        assert_eq!(get(&server, "flood").text, "printed");
    }
    assert_eq!(server.stop().code(), Some(0));
    let log = place.log();
    assert_eq!(log.matches("the rest is dropped").count(), 3);
    assert_eq!(log.matches("the application says: one").count(), 3);
}

#[test]
fn the_demo_and_the_middleware_work_in_instances_that_are_used_again() {
    let middleware: &[&str] = &["--middleware"];
    for (application, more) in [(DEMO, &["--grant", "admin"][..]), (CURRENT, middleware)] {
        let (_place, server) = serve(application, "1000", more);
        let (mut first, mut second) = (Browser::new(), Browser::new());
        for browser in [&mut first, &mut second] {
            browser.get(&server, "keep");
        }
        for count in 1..4 {
            first.get(&server, "increment");
            assert_eq!(first.look(&server).1, count);
            assert_eq!(first.get(&server, "incrementfail").status, 500);
            assert_eq!(second.look(&server).1, 0);
            assert_eq!(Browser::new().look(&server), ("None".into(), 0));
        }
        first.get(&server, "logout");
        assert_eq!(first.look(&server), ("None".into(), 0));
        assert_eq!(second.look(&server).1, 0);
    }
}
