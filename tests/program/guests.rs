//! The demo in other languages: the scenarios of the demo in Rust hold for each, and all of
//! them can use the same sessions.

mod worlds;

use std::collections::HashSet;
use std::path::Path;

use crate::engines::redis;
use crate::http::scenarios;
use crate::listening::address_of_session;
use session3_test_program::{Application, Browser, Demo};

scenarios!(c, session3_test_program::Application::Guest("c"));
scenarios!(
    javascript,
    session3_test_program::Application::Guest("javascript")
);
scenarios!(python, session3_test_program::Application::Guest("python"));

#[test]
fn a_cookie_that_one_of_them_issued_is_good_in_all_the_others() {
    let directory = tempfile::tempdir().unwrap();
    share_sessions(directory.path());
}

#[test]
fn all_of_them_can_keep_their_sessions_in_redis() {
    let directory = tempfile::tempdir().unwrap();
    share_sessions(Path::new(&redis(directory.path())));
}

#[test]
fn a_session_has_the_address_of_its_client_in_each_of_them() {
    for name in ["c", "javascript", "python"] {
        let address = address_of_session(Application::Guest(name));
        assert_eq!(address, "203.0.113.7", "{name}");
    }
}

/// Serves an application in a language that calls other servers.
fn calling(language: &'static str, arguments: &[&str]) -> (tempfile::TempDir, Demo) {
    let directory = tempfile::tempdir().unwrap();
    let name = match language {
        "javascript" => "calling-javascript",
        _ => "calling-python",
    };
    let server = Application::Guest(name).start(directory.path(), arguments);
    (directory, server)
}

#[test]
fn an_application_in_javascript_or_python_calls_the_servers_that_are_allowed() {
    let other = Demo::start(tempfile::tempdir().unwrap().path());
    let port = other.url.trim_end_matches('/').rsplit(':').next().unwrap();
    let call = format!("call?{}none", other.url);
    for (language, denied) in [
        ("javascript", "TypeError: NetworkError"),
        ("python", "HttpRequestDenied True"),
    ] {
        let (_directory, server) = calling(language, &[]);
        let said = Browser::new().get(&server, &call).text;
        assert!(said.starts_with(denied), "{language}: {said}");

        let allowed = format!("127.0.0.1:{port}");
        let (_directory, server) = calling(language, &["--allow-outbound", &allowed]);
        let said = Browser::new().get(&server, &call).text;
        assert!(said.starts_with("404 <!"), "{language}: {said}");
        if language == "python" {
            let little = call.replace("call?", "little?");
            let said = Browser::new().get(&server, &little).text;
            assert_eq!(said, "HttpResponseBodySize False");
        }
    }
}

/// Random numbers that were drawn when the component was built would be the same in each
/// instance.
#[test]
fn each_request_has_random_numbers_of_its_own() {
    for language in ["javascript", "python"] {
        let (_directory, server) = calling(language, &[]);
        let mut seen = HashSet::new();
        for _ in 0..3 {
            let text = Browser::new().get(&server, "random").text;
            for value in text.split(' ') {
                assert!(seen.insert(value.to_owned()), "{language}: {value} twice");
            }
        }
    }
}

/// Checks that the demo in each language accepts the cookies of all the others.
fn share_sessions(store: &Path) {
    let demos = [
        Application::Rust,
        Application::Guest("c"),
        Application::Guest("javascript"),
        Application::Guest("python"),
    ];
    let demos = demos.map(|application| application.start(store, &[]));
    for issuer in &demos {
        let mut browser = Browser::new();
        browser.get(issuer, "keep");
        let (id, mut counter) = browser.look(issuer);
        for demo in &demos {
            assert_eq!(browser.get(demo, "increment").set_cookie, None);
            counter += 1;
            for reader in &demos {
                assert_eq!(browser.look(reader), (id.clone(), counter));
            }
        }
        let stolen = browser.clone();
        browser.get(issuer, "logout");
        for demo in &demos {
            assert_eq!(stolen.clone().look(demo).0, "None");
        }
    }
}
