//! `session3 serve --middleware`: the middleware opens and commits the session of each request,
//! so the application does neither.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use session3_components::{CONTEXT, DEMO, MANAGER, MIDDLEWARE};
use session3_compose::{ComposeError, Composition, Grant};
use session3_test_fixtures::{CURRENT, HANDLER};

use crate::http;
use session3_test_program::{Application, Browser, Demo, session3};

/// A policy with the cookie that the demo uses over plain HTTP.
pub const POLICY: &str = "[cookie]\nname = \"session3\"\nsecure = false\n";

/// Returns the command that serves this application with its sessions in `directory`.
fn command(directory: &Path, application: &[u8]) -> Command {
    let files = directory.with_extension("application");
    fs::create_dir_all(&files).unwrap();
    fs::write(files.join("application.wasm"), application).unwrap();
    fs::write(files.join("policy.toml"), POLICY).unwrap();
    let mut command = session3();
    command
        .current_dir(&files)
        .args(["serve", "application.wasm", "--store"])
        .arg(directory);
    command
}

fn serve(directory: &Path) -> Demo {
    let mut command = command(directory, CURRENT);
    Demo::run(command.args(["--middleware", "--config", "policy.toml"]))
}

fn start() -> (tempfile::TempDir, Demo, Browser) {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(&directory.path().join("sessions"));
    (directory, server, Browser::new())
}

http::scenarios!(Application::Other(serve));

#[test]
fn current_is_never_somebody_elses() {
    let (_directory, server, _) = start();
    fifty_users_see_themselves(&server);
}

/// Checks that fifty users at once see only their own session, in ten requests each. The page
/// lets other requests run between the log-in and the response.
pub fn fifty_users_see_themselves(server: &Demo) {
    thread::scope(|scope| {
        for user in 0..50 {
            scope.spawn(move || {
                let mut browser = Browser::new();
                for visit in 1..=10 {
                    let page = browser.get(server, &format!("as/user-{user}"));
                    assert_eq!(page.text, format!("user-{user} {visit}"));
                }
            });
        }
    });
}

/// The response has one Cache-Control header, whatever the application has set.
#[test]
fn the_headers_of_session_and_application_go_together() {
    let (_directory, server, mut browser) = start();
    assert!(browser.get(&server, "static").values("vary").is_empty());
    let public = browser.get(&server, "cache/max-age=60");
    assert_eq!(public.values("cache-control"), ["max-age=60"]);
    assert_eq!(public.values("vary"), ["Cookie"]);
    browser.get(&server, "as/alice");
    assert!(
        browser
            .get(&server, "static")
            .values("cache-control")
            .is_empty()
    );
    for (own, expected) in [
        ("max-age=60", "no-store"),
        ("private,max-age=60", "private,max-age=60"),
        ("no-store,max-age=60", "no-store,max-age=60"),
        ("public,private", "no-store"),
    ] {
        let page = browser.get(&server, &format!("cache/{own}"));
        assert_eq!(page.text, "alice");
        assert_eq!(page.values("cache-control"), [expected], "{own}");
    }
}

#[test]
fn without_a_response_nothing_is_committed() {
    let (_directory, server, mut browser) = start();
    browser.get(&server, "keep");
    browser.get(&server, "increment");
    assert_eq!(browser.get(&server, "error").status, 500);
    assert_eq!(browser.look(&server).1, 1);
}

#[test]
fn what_comes_after_the_responses_headers_changes_nothing() {
    let (_directory, server, mut browser) = start();
    browser.get(&server, "keep");
    assert_eq!(browser.get(&server, "late").text, "then ended true");
    assert_eq!(browser.look(&server).1, 1);
}

/// An application that opens its sessions through the manager works behind the middleware too.
#[test]
fn one_that_asks_the_manager_goes_on_doing_so() {
    let directory = tempfile::tempdir().unwrap();
    let sessions = directory.path().join("sessions");
    let mut command = command(&sessions, HANDLER);
    let server = Demo::run(command.args(["--middleware", "--config", "policy.toml"]));
    let mut browser = Browser::new();
    for count in ["1", "2"] {
        assert_eq!(browser.get(&server, "").text, count);
    }
}

/// Composing fails without the middleware for an application that needs it, and with the
/// middleware for an application that cannot use it.
#[test]
fn it_is_asked_for_and_only_where_it_can_be() {
    let compose = Composition::new(CURRENT, MANAGER).compose();
    let error = compose.unwrap_err();
    assert!(matches!(error, ComposeError::NoMiddleware), "{error}");
    assert!(error.to_string().ends_with("add --middleware"), "{error}");

    let compose = Composition::new(DEMO, MANAGER)
        .grant(Grant::Admin)
        .middleware(MIDDLEWARE, CONTEXT)
        .compose();
    let error = compose.unwrap_err();
    assert!(matches!(error, ComposeError::NotAHandler), "{error}");
    assert!(
        error.to_string().contains("leave out --middleware"),
        "{error}"
    );
}
