//! Applications that use the crate `session3-guest`: without a framework, with wstd, and behind
//! the middleware.

use std::fs;
use std::path::Path;

use session3_test_fixtures::{RUST_HTTP, RUST_LOGIN, RUST_MIDDLEWARE, RUST_WASI03, RUST_WSTD};
use session3_test_program::{Application, Browser, Demo, session3};

use crate::book::blocks;
use crate::http::scenarios;
use crate::middleware::POLICY;
use crate::place::{Place, get, read, send};

const BOTH: [&[u8]; 2] = [RUST_HTTP, RUST_WSTD];

/// Serves an application with its sessions in `directory`.
fn serve(directory: &Path, application: &[u8], arguments: &[&str]) -> Demo {
    let file = directory.with_extension("wasm");
    fs::write(&file, application).unwrap();
    fs::write(directory.with_extension("toml"), POLICY).unwrap();
    let mut command = session3();
    command
        .arg("serve")
        .arg(&file)
        .arg("--store")
        .arg(directory);
    command
        .args(["--config"])
        .arg(directory.with_extension("toml"));
    Demo::run(command.args(arguments))
}

/// Runs scenarios of the demo with an application.
macro_rules! scenarios_of {
    ($module:ident, $application:expr, $arguments:expr) => {
        mod $module {
            use super::*;

            scenarios!(Application::Other(|directory| serve(
                directory,
                $application,
                &$arguments
            )));
        }
    };
}

scenarios_of!(without_a_framework, RUST_HTTP, []);
scenarios_of!(with_wstd, RUST_WSTD, []);
scenarios_of!(behind_the_middleware, RUST_MIDDLEWARE, ["--middleware"]);
scenarios_of!(with_wasi03, RUST_WASI03, []);

/// Calls a test with a server and a browser for each application.
fn with_each(test: impl Fn(&Place, &Demo, &mut Browser)) {
    for application in BOTH {
        let place = Place::new(application);
        let server = place.serve(&[]);
        test(&place, &server, &mut Browser::new());
    }
}

/// Returns the session with this ID as JSON, as an operator sees it.
fn shown(place: &Place, id: &str) -> String {
    let mut command = session3();
    command.arg("show").arg(place.path("sessions"));
    let shown = command.args([id, "--json"]).output().unwrap();
    assert!(shown.status.success(), "{shown:?}");
    String::from_utf8(shown.stdout).unwrap()
}

#[test]
fn attributes_of_all_types_come_back_as_they_were() {
    with_each(|_, server, browser| {
        assert_eq!(browser.get(server, "values").text, "set");
        assert_eq!(browser.get(server, "values/read").text, "equal");
    });
}

/// What native programs and applications in other languages read.
#[test]
fn attributes_have_the_types_of_the_contract() {
    let expected = [
        ("boolean", "true"),
        ("bytes", "[0,255]"),
        ("integer", "-9223372036854775808"),
        ("large", "18446744073709551615"),
        ("list", r#"[[1,"a"]]"#),
        ("none", "null"),
        ("number", "-0.1"),
        ("single", "0.10000000149011612"),
        (
            "struct",
            r#"{"items":{"tea":2},"price":122.41629403378658,"picture":[0,255],"note":null}"#,
        ),
        ("text", r#""\u0000é""#),
    ];
    with_each(|place, server, browser| {
        browser.get(server, "values");
        let shown = shown(place, &browser.look(server).0);
        for (name, value) in expected {
            assert!(
                shown.contains(&format!("\"{name}\":{value}")),
                "{name}: {shown}"
            );
        }
    });
}

#[test]
fn every_function_of_a_session_works() {
    with_each(|_, server, browser| {
        assert_eq!(browser.get(server, "all").text, "log in first");
        browser.get(server, "as/alice");
        assert_eq!(browser.get(server, "all").text, "once more");
        assert_eq!(browser.get(server, "all").text, "all is right");
    });
}

#[test]
fn a_form_with_the_csrf_token_logs_a_user_in() {
    with_each(|_, server, browser| {
        let post = |browser: &Browser, fields: &[(&str, &str)], content_type: &str| {
            let body = fields.iter().map(|(name, value)| format!("{name}={value}"));
            let body = body.collect::<Vec<_>>().join("&");
            let request = format!(
                "POST /login HTTP/1.1\r\nHost: h\r\nConnection: close\r\nCookie: {}\r\n\
                 Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
                browser.cookie,
                body.len()
            );
            let response = read(send(server, &request));
            let status: u16 = response[9..12].parse().unwrap();
            (status, response)
        };
        let form = "application/x-www-form-urlencoded; charset=UTF-8";
        let (status, text) = post(browser, &[("csrf", "forged"), ("user", "alice")], form);
        assert_eq!(status, 403, "{text}");
        let (status, text) = post(browser, &[("user", "alice")], form);
        assert_eq!(status, 400, "{text}");
        assert!(
            text.contains("The form is not the one of this page"),
            "{text}"
        );
        let (status, text) = post(browser, &[("csrf", "x"), ("user", "alice")], "text/plain");
        assert_eq!(status, 415, "{text}");
        let long = "x".repeat(64 << 10);
        let (status, text) = post(browser, &[("csrf", "x"), ("user", &long)], form);
        assert_eq!(status, 413, "{text}");
        assert_eq!(browser.clone().get(server, "cache/none").text, "");

        let token = browser.get(server, "csrf").text;
        let fields = [("csrf", token.as_str()), ("user", "al+ice")];
        let (status, text) = post(browser, &fields, form);
        assert!(status == 200 && text.ends_with("al ice"), "{text}");
    });
}

#[test]
fn an_error_of_the_session_is_answered_with_its_status_and_saves_nothing() {
    with_each(|place, server, browser| {
        browser.get(server, "keep");
        for (page, status, why) in [
            ("invalid", 400, "not allowed: "),
            ("type", 400, "the attribute \\\"keep\\\" is of another type"),
            ("read-only", 500, "the mode of this request forbids"),
        ] {
            let answer = browser.get(server, page);
            assert_eq!(answer.status, status, "{page}: {}", answer.text);
            assert!(
                answer.text.contains("Nothing was saved."),
                "{}",
                answer.text
            );
            assert_eq!(answer.values("content-type"), ["text/plain; charset=utf-8"]);
            // The reason is for the operator.
            assert!(!answer.text.contains("keep"), "{}", answer.text);
            assert_eq!(browser.look(server).1, 0);
            place.wait_for(&format!(
                "the request was refused: {}",
                why.replace("\\\"", "\"")
            ));
        }
    });
}

#[test]
fn another_error_of_the_application_is_a_server_error_and_saves_nothing() {
    with_each(|place, server, browser| {
        browser.get(server, "keep");
        let answer = browser.get(server, "other");
        assert_eq!(answer.status, 500);
        assert!(!answer.text.contains("does not work"), "{}", answer.text);
        place.wait_for("the application does not work");
        assert_eq!(browser.look(server).1, 0);
    });
}

#[test]
fn a_panic_is_in_the_log_with_its_message_and_place() {
    with_each(|place, server, _| {
        assert_eq!(get(server, "panic").status, 500);
        place.wait_for("src/lib.rs:");
        place.wait_for("the page panicked");
        place.wait_for("on purpose");
    });
}

#[test]
fn a_page_that_does_not_look_at_the_session_opens_none() {
    with_each(|place, server, browser| {
        browser.get(server, "as/alice");
        let page = browser.get(server, "static");
        assert_eq!(page.text, "the same for all");
        assert!(page.values("vary").is_empty() && page.values("cache-control").is_empty());
        // It works without the store, too.
        fs::remove_dir_all(place.path("sessions")).unwrap();
        assert_eq!(browser.get(server, "static").status, 200);
    });
}

#[test]
fn the_headers_of_session_and_application_go_together() {
    with_each(|_, server, browser| {
        let public = browser.get(server, "cache/max-age=60");
        assert_eq!(public.values("cache-control"), ["max-age=60"]);
        assert_eq!(public.values("vary"), ["Cookie"]);
        browser.get(server, "as/alice");
        for (own, expected) in [
            ("max-age=60", "no-store"),
            ("private,max-age=60", "private,max-age=60"),
        ] {
            let page = browser.get(server, &format!("cache/{own}"));
            assert_eq!((page.text.as_str(), page.status), ("alice", 200));
            assert_eq!(page.values("cache-control"), [expected], "{own}");
        }
    });
}

#[test]
fn a_handler_may_commit_more_than_once() {
    with_each(|_, server, browser| {
        let page = browser.get(server, "twice");
        assert_eq!(page.values("set-cookie").len(), 1);
        assert_eq!(page.values("cache-control"), ["no-store"]);
        assert_eq!(browser.look(server).1, 2);
    });
}

#[test]
fn an_instance_that_serves_several_users_keeps_no_session() {
    for application in BOTH {
        let place = Place::new(application);
        let server = place.serve(&["--max-instances", "1", "--max-instance-reuse", "100"]);
        let (mut alice, mut bob) = (Browser::new(), Browser::new());
        alice.get(&server, "keep");
        bob.get(&server, "keep");
        for count in 1..=3 {
            alice.get(&server, "increment");
            assert_eq!(alice.look(&server).1, count);
            assert_eq!(bob.look(&server).1, 0);
            assert_eq!(get(&server, "as/nobody").text, "nobody");
        }
        let uses: u32 = get(&server, "uses").text.parse().unwrap();
        assert!(uses > 10, "{uses}");
        assert!(!place.log().contains("has no effect"), "{}", place.log());
    }
}

#[test]
fn behind_tls_the_cookie_has_the_safe_defaults() {
    for application in BOTH {
        let place = Place::new(application);
        let server = place.serve(&["--secure-cookies"]);
        let cookie = Browser::new().get(&server, "keep").set_cookie.unwrap();
        assert!(cookie.starts_with("__Host-session="), "{cookie}");
    }
}

#[test]
fn a_session_has_the_address_of_its_client() {
    with_each(|place, server, browser| {
        browser.get(server, "as/alice");
        let shown = shown(place, &browser.look(server).0);
        assert!(shown.contains(r#""remote_address":"127.0.0.1""#), "{shown}");
    });
}

/// A header that the host refuses may be the cookie, so the response is not sent without it.
#[test]
fn a_response_with_a_header_that_the_host_refuses_is_not_sent() {
    let place = Place::new(RUST_HTTP);
    let server = place.serve(&[]);
    assert_eq!(get(&server, "connection").status, 500);
    place.wait_for("a header that the host does not send");
}

#[test]
fn a_handler_of_wstd_can_wait_and_import_interfaces_of_its_own() {
    let place = Place::new(RUST_WSTD);
    let server = place.serve(&[]);
    let mut browser = Browser::new();
    browser.get(&server, "keep");
    assert_eq!(browser.get(&server, "late").status, 200);
    assert_eq!(browser.look(&server).1, 1);
    let numbers = [0; 2].map(|_| browser.get(&server, "random").text);
    assert_ne!(numbers[0], numbers[1]);
}

/// Called with a URL, the client of wstd gets the response of the servers that are allowed.
#[test]
fn a_handler_of_wstd_calls_the_servers_that_are_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let other = Demo::start(directory.path());
    let port = other.url.trim_end_matches('/').rsplit(':').next().unwrap();
    let call = format!("call?{}none", other.url);

    let place = Place::new(RUST_WSTD);
    let server = place.serve(&["--allow-outbound", &format!("127.0.0.1:{port}")]);
    let mut browser = Browser::new();
    let page = browser.get(&server, &call);
    assert!(page.text.starts_with("404 <!"), "{}", page.text);
    assert_eq!(browser.look(&server).1, 1);

    let place = Place::new(RUST_WSTD);
    let server = place.serve(&[]);
    assert_eq!(get(&server, &call).status, 500);
    place.wait_for("HttpRequestDenied");
}

/// The README of the crate.
const README: &str = include_str!("../../guest/rust/README.md");

#[test]
fn the_readme_contains_the_example() {
    let example = include_str!("../../guest/rust/examples/log_in.rs");
    let snippet = blocks(README, "rust,no_run,standalone_crate")[0];
    assert_eq!(snippet, example);
}

/// The scenarios in [`with_wasi03`] run this handler.
#[test]
fn the_readme_contains_the_handler_for_wasi_03() {
    let source = include_str!("../fixtures/rust-wasi03/src/lib.rs");
    let snippet = blocks(README, "rust,ignore")[0];
    let handler = snippet.lines().map(|line| format!("    {line}\n"));
    assert!(source.contains(&handler.collect::<String>()), "{snippet}");
}

/// The example with which the documentation of the crate begins, served as its README says.
#[test]
fn the_example_of_the_documentation_logs_a_user_in_and_out() {
    let place = Place::new(RUST_LOGIN);
    let policy = blocks(README, "toml")[1];
    place.write("development.toml", policy.as_bytes());
    let server = place.serve(&["--config", "development.toml"]);
    let mut browser = Browser::new();
    let page = browser.get(&server, "");
    assert!(page.text.contains("Visit 1."), "{}", page.text);
    let wrong = [("user", "alice"), ("password", "wrong")];
    assert_eq!(browser.send(&server, &page, "login", &wrong).status, 403);
    let before = browser.cookie.clone();
    let right = [("user", "alice"), ("password", "correct horse")];
    assert_eq!(browser.send(&server, &page, "login", &right).status, 303);
    assert_ne!(browser.cookie, before);
    let page = browser.get(&server, "");
    assert!(
        page.text.contains("Visit 2.") && page.text.contains("Hello, alice!"),
        "{}",
        page.text
    );
    assert_eq!(page.values("cache-control"), ["no-store"]);
    // The token from before the log-in opens nothing.
    let mut thief = browser.clone();
    thief.cookie = before;
    assert!(!thief.get(&server, "").text.contains("alice"));
    assert_eq!(browser.send(&server, &page, "logout", &[]).status, 303);
    assert_eq!(browser.cookie, "");
    assert!(!browser.get(&server, "").text.contains("alice"));
}

#[test]
fn behind_the_middleware_a_session_has_the_same_functions() {
    let place = Place::new(RUST_MIDDLEWARE);
    place.write("policy.toml", POLICY.as_bytes());
    let server = place.serve(&["--middleware", "--config", "policy.toml"]);
    let mut browser = Browser::new();
    browser.get(&server, "as/alice");
    assert_eq!(browser.get(&server, "all").text, "once more");
    assert_eq!(browser.get(&server, "all").text, "all is right");
    assert_eq!(browser.get(&server, "values").text, "set");
    assert_eq!(browser.get(&server, "values/read").text, "equal");
    assert_eq!(browser.get(&server, "invalid").status, 400);
    // A change before the error is not saved, though the status is below 500.
    browser.get(&server, "keep");
    assert_eq!(browser.get(&server, "type").status, 400);
    assert_eq!(browser.look(&server).1, 0);
    assert_eq!(browser.get(&server, "panic").status, 500);
    place.wait_for("the page panicked");
    assert_eq!(browser.get(&server, "values/read").text, "equal");
}
