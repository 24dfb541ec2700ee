//! The demo in other languages: the scenarios of the demo in Rust hold for each, and all of
//! them can use the same sessions.

use std::path::Path;

use crate::engines::redis;
use crate::http::scenarios;
use crate::listening::address_of_session;
use session3_test_program::{Application, Browser};

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
