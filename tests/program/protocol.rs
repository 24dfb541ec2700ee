//! Requests that HTTP does not allow, and unusual ones that it allows.

use std::io::Write;
use std::net::Shutdown;

use session3_test_fixtures::GUEST;

use crate::place::{Place, read, send};

/// Returns the status with which the server answers a request.
fn status(place: &Place, request: &str) -> String {
    let server = place.serve(&[]);
    let answer = read(send(&server, request));
    answer.split(' ').nth(1).unwrap_or("none").to_owned()
}

#[test]
fn a_request_names_one_host() {
    let place = Place::new(GUEST);
    for hosts in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: u:p@h\r\n",
        "Host: h:99999\r\n",
        "Host: \r\n",
    ] {
        let request = format!("GET / HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        assert_eq!(status(&place, &request), "400", "{hosts}");
    }
    for target in ["http://u:p@h/", "http://h:99999/"] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        assert_eq!(status(&place, &request), "400", "{target}");
    }
    for host in ["h", "h:80", "[::1]:8080"] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(status(&place, &request), "200", "{host}");
    }
}

#[test]
fn http_1_0_needs_no_host() {
    let place = Place::new(GUEST);
    assert_eq!(status(&place, "GET / HTTP/1.0\r\n\r\n"), "200");
}

#[test]
fn a_client_that_has_sent_all_may_close_its_side() {
    let server = Place::new(GUEST).serve(&[]);
    for request in [
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody",
    ] {
        let stream = send(&server, request);
        stream.shutdown(Shutdown::Write).unwrap();
        let answer = read(stream);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[test]
fn a_body_that_is_not_complete_is_refused() {
    let server = Place::new(GUEST).serve(&[]);
    for body in [
        "Content-Length: 4\r\n\r\nbod",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nbod",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\nbody\r\n0\r\n\r\n",
    ] {
        let mut stream = send(&server, "POST /body HTTP/1.1\r\nHost: h\r\n");
        stream.write_all(body.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let answer = read(stream);
        assert!(!answer.contains(" 200 "), "{answer}");
    }
}

#[test]
fn headers_have_one_limit_for_both_versions() {
    let place = Place::new(GUEST);
    for (size, status_1, status_2) in [(20_000, "200", 200), (70_000, "431", 431)] {
        let cookie = "x".repeat(size);
        let request =
            format!("GET / HTTP/1.1\r\nHost: h\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
        assert_eq!(status(&place, &request), status_1, "{size} bytes");
        assert_eq!(
            crate::clients::status_over_http_2(&place, &cookie),
            status_2,
            "{size} bytes"
        );
    }
}

/// Whatever the application writes.
#[test]
fn a_response_to_head_has_no_body() {
    let place = Place::new(GUEST);
    let server = place.serve(&[]);
    for path in ["", "bytes/300", "trap", "status/404"] {
        let head = format!("HEAD /{path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        let answer = read(send(&server, &head));
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        let body = crate::clients::body_of_head_over_http_2(&server, path);
        assert_eq!(body, "", "/{path}");
    }
    assert!(!place.log().contains("cut off"), "{}", place.log());
}

#[test]
fn a_response_without_its_end_does_not_look_complete() {
    let server = Place::new(GUEST).serve(&[]);
    let answer = read(send(
        &server,
        "GET /unfinished HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    ));
    let is_complete = answer.ends_with("0\r\n\r\n") || answer.contains("content-length");
    assert!(!is_complete, "{answer}");
}

/// A response to HEAD has no body, and its head says nothing of the length of that of GET.
#[test]
fn the_response_to_head_says_no_wrong_length() {
    let server = Place::new(session3_components::DEMO).serve(&["--grant", "admin"]);
    let answer = read(send(
        &server,
        "HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    ));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.contains("content-length"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}
