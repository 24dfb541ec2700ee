//! Scenarios of the demo over HTTP, served by the real program: those of the demo of Session3,
//! the Python library, and others across restarts and processes. They hold for the demo in every
//! language.

use std::collections::HashSet;
use std::{slice, thread};

use session3_test_program::{Application, Browser, Demo, Page};

/// Tests scenarios with one application: those that are named, those that hold for every
/// application, or, in a module, these and those of the demo.
macro_rules! scenarios {
    ($module:ident, $application:expr) => {
        mod $module {
            $crate::http::scenarios!($application);
            $crate::http::scenarios! {
                $application =>
                behind_a_tls_proxy_the_cookie_has_the_safe_defaults
                users_share_instances_and_nothing_else
            }
        }
    };
    ($application:expr => $($scenario:ident)*) => {
        $(#[test]
        fn $scenario() {
            $crate::http::$scenario($application);
        })*
    };
    ($application:expr) => {
        $crate::http::scenarios! {
            $application =>
            keep
            increment
            increment_with_failure
            log_out
            log_out_with_failure
            log_out_without_a_session
            there_are_no_other_pages_and_links_are_relative
            methods_other_than_get_and_head_are_refused
            a_head_request_answers_as_get_and_changes_nothing
            a_page_that_shows_the_session_varies_by_cookie
            a_cookie_that_is_stale_forged_or_malformed_acts_as_none
            a_cookie_may_come_in_one_of_several_headers
            headers_may_have_any_bytes
            the_session_is_there_after_a_restart
            two_servers_on_one_directory_see_each_others_changes
        }
    };
}
pub(crate) use scenarios;

scenarios!(rust, session3_test_program::Application::Rust);

/// Starts the demo on an empty directory. Also returns a browser without a cookie.
fn start(application: Application) -> (tempfile::TempDir, Demo, Browser) {
    let directory = tempfile::tempdir().unwrap();
    let demo = application.start(directory.path(), &[]);
    (directory, demo, Browser::new())
}

fn is_redirect(page: &Page) -> bool {
    page.status == 302 && page.location.as_deref() == Some("/")
}

pub fn keep(application: Application) {
    let (directory, demo, mut browser) = start(application);
    assert_eq!(browser.look(&demo), ("None".into(), 0));
    assert!(application.sessions(directory.path()).is_empty());
    let page = browser.get(&demo, "keep");
    assert!(is_redirect(&page));
    let cookie = page.set_cookie.unwrap();
    assert!(cookie.starts_with("session3="), "{cookie}");
    assert!(
        cookie.ends_with("; HttpOnly; SameSite=Lax; Path=/"),
        "{cookie}"
    );
    let (id, counter) = browser.look(&demo);
    assert_eq!(counter, 0);
    assert!(browser.cookie.starts_with(&format!("session3={id}.")));
    let sessions = application.sessions(directory.path());
    assert_eq!(sessions, slice::from_ref(&id));
    assert_eq!(
        browser.get(&demo, "keep").set_cookie,
        None,
        "the browser has a cookie"
    );
}

pub fn increment(application: Application) {
    let (directory, demo, mut browser) = start(application);
    assert!(is_redirect(&browser.get(&demo, "increment")));
    assert_eq!(browser.look(&demo), ("None".into(), 0));
    assert!(application.sessions(directory.path()).is_empty());
    browser.get(&demo, "keep");
    for counter in 1..4 {
        assert!(is_redirect(&browser.get(&demo, "increment")));
        assert_eq!(browser.look(&demo).1, counter);
    }
}

pub fn increment_with_failure(application: Application) {
    let (_directory, demo, mut browser) = start(application);
    browser.get(&demo, "keep");
    browser.get(&demo, "increment");
    assert_eq!(browser.get(&demo, "incrementfail").status, 500);
    assert_eq!(browser.look(&demo).1, 1);
}

pub fn log_out(application: Application) {
    let (directory, demo, mut browser) = start(application);
    browser.get(&demo, "keep");
    let stolen = browser.cookie.clone();
    let page = browser.get(&demo, "logout");
    assert!(is_redirect(&page));
    assert_eq!(
        page.set_cookie.as_deref(),
        Some("session3=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0")
    );
    assert_eq!(browser.look(&demo), ("None".into(), 0));
    assert!(application.sessions(directory.path()).is_empty());
    browser.cookie = stolen;
    assert_eq!(browser.look(&demo).0, "None");
    assert!(
        is_redirect(&browser.get(&demo, "logout")),
        "a second log-out"
    );
}

pub fn log_out_with_failure(application: Application) {
    let (_directory, demo, mut browser) = start(application);
    browser.get(&demo, "keep");
    browser.get(&demo, "increment");
    let before = browser.look(&demo);
    assert_eq!(browser.get(&demo, "logoutfail").status, 500);
    assert_eq!(browser.look(&demo), before);
}

pub fn log_out_without_a_session(application: Application) {
    let (_directory, demo, mut browser) = start(application);
    let page = browser.get(&demo, "logout");
    assert!(is_redirect(&page));
    assert_eq!(page.set_cookie, None);
    assert_eq!(browser.look(&demo), ("None".into(), 0));
}

pub fn there_are_no_other_pages_and_links_are_relative(application: Application) {
    let (_directory, demo, mut browser) = start(application);
    assert_eq!(browser.get(&demo, "nowhere").status, 404);
    assert_eq!(browser.get(&demo, "keep/").status, 404);
    assert_eq!(browser.get(&demo, "?query").status, 200);
    let text = browser.get(&demo, "").text;
    for link in [
        "./",
        "keep",
        "increment",
        "incrementfail",
        "logout",
        "logoutfail",
    ] {
        assert!(text.contains(&format!("href=\"{link}\"")), "{link}");
    }
}

pub fn methods_other_than_get_and_head_are_refused(application: Application) {
    let (_directory, demo, mut browser) = start(application);
    browser.get(&demo, "keep");
    for page in ["", "increment", "nowhere"] {
        let url = format!("{}{page}", demo.url);
        let error = ureq::post(&url).send("").unwrap_err();
        assert!(matches!(error, ureq::Error::StatusCode(405)), "{error}");
        let error = ureq::delete(&url).call().unwrap_err();
        assert!(matches!(error, ureq::Error::StatusCode(405)), "{error}");
    }
    let mut head = ureq::head(&demo.url).call().unwrap();
    assert_eq!(head.body_mut().read_to_string().unwrap(), "");
}

pub fn a_head_request_answers_as_get_and_changes_nothing(application: Application) {
    let (directory, demo, mut browser) = start(application);
    for page in ["", "keep", "increment", "logout"] {
        let head = browser.head(&demo, page);
        let status = if page.is_empty() { 200 } else { 302 };
        assert_eq!((head.status, head.set_cookie), (status, None), "{page}");
    }
    assert!(
        application.sessions(directory.path()).is_empty(),
        "no session was created"
    );
    browser.get(&demo, "keep");
    browser.get(&demo, "increment");
    let before = browser.look(&demo);
    for page in [
        "",
        "keep",
        "increment",
        "incrementfail",
        "logout",
        "logoutfail",
    ] {
        let head = browser.head(&demo, page);
        assert_eq!((head.set_cookie, head.text.as_str()), (None, ""), "{page}");
        assert_eq!(browser.look(&demo), before, "{page}");
    }
}

/// Otherwise a shared cache could give it to another visitor.
pub fn a_page_that_shows_the_session_varies_by_cookie(application: Application) {
    let (_directory, demo, mut browser) = start(application);
    assert_eq!(browser.get(&demo, "").values("vary"), ["Cookie"]);
    let keep = browser.get(&demo, "keep");
    assert_eq!(keep.values("vary"), ["Cookie"]);
    assert_eq!(keep.values("cache-control"), ["no-store"]);
    let page = browser.get(&demo, "");
    assert_eq!(page.values("vary"), ["Cookie"]);
    assert!(
        page.values("cache-control").is_empty(),
        "no user is logged in"
    );
}

/// Fifty users at once, in a few instances that serve one request after another.
pub fn users_share_instances_and_nothing_else(application: Application) {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--max-instances", "12", "--max-instance-reuse", "1000"];
    let demo = application.start_served(directory.path(), &arguments);
    let ids: Vec<_> = thread::scope(|scope| {
        let users: Vec<_> = (0..50)
            .map(|number| {
                let demo = &demo;
                scope.spawn(move || {
                    let mut browser = Browser::new();
                    browser.get(demo, "keep");
                    let (id, _) = browser.look(demo);
                    for count in 1..=3 + number % 3 {
                        browser.get(demo, "increment");
                        assert_eq!(browser.look(demo), (id.clone(), count));
                        assert_eq!(browser.get(demo, "incrementfail").status, 500);
                    }
                    assert_eq!(Browser::new().look(demo), ("None".into(), 0));
                    id
                })
            })
            .collect();
        users.into_iter().map(|user| user.join().unwrap()).collect()
    });
    let different: HashSet<_> = ids.iter().collect();
    assert_eq!(different.len(), 50);
}

pub fn a_cookie_that_is_stale_forged_or_malformed_acts_as_none(application: Application) {
    let (_directory, demo, mut browser) = start(application);
    browser.get(&demo, "keep");
    let good = browser.cookie.clone();
    let (id, _) = browser.look(&demo);
    let forged = [
        "session3=".into(),
        "session3=../../etc/passwd".into(),
        "session3=/dev/null".into(),
        format!("session3={id}"),
        format!("session3={id}."),
        format!("session3={id}.AAAAAAAAAAAAAAAAAAAAAA"),
        format!("{good}A"),
        format!("other={}", good.split_once('=').unwrap().1),
    ];
    for cookie in forged {
        browser.cookie.clone_from(&cookie);
        assert_eq!(browser.look(&demo).0, "None", "{cookie}");
        browser.cookie.clone_from(&cookie);
        let page = browser.get(&demo, "logout");
        assert!(is_redirect(&page));
        // A log-out removes the cookie that opens nothing.
        let is_removed = page
            .set_cookie
            .is_some_and(|cookie| cookie.contains("Max-Age=0"));
        assert_eq!(is_removed, cookie.starts_with("session3="), "{cookie}");
    }
    browser.cookie = format!("a=b; {good}; c=\"d\"");
    assert_eq!(
        browser.look(&demo).0,
        id,
        "the cookie still opens the session"
    );
}

/// Browsers may split their cookies like this over HTTP/2 (RFC 9113 §8.2.3).
pub fn a_cookie_may_come_in_one_of_several_headers(application: Application) {
    let (_directory, demo, mut browser) = start(application);
    browser.get(&demo, "keep");
    let (id, _) = browser.look(&demo);
    for cookies in [["a=b", &browser.cookie], [&browser.cookie, "a=b"]] {
        let [first, second] = cookies;
        let request = ureq::get(&demo.url).header("Cookie", first);
        let mut response = request.header("Cookie", second).call().unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        assert!(text.contains(&id), "{cookies:?}: {text}");
    }
}

pub fn headers_may_have_any_bytes(application: Application) {
    let (_directory, demo, mut browser) = start(application);
    browser.get(&demo, "keep");
    let (id, _) = browser.look(&demo);
    let cookies = [b"a=\xff\xfe; ", browser.cookie.as_bytes()].concat();
    let request = ureq::get(&demo.url).header("User-Agent", &b"\xff\xfe"[..]);
    let mut response = request.header("Cookie", cookies).call().unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    assert!(text.contains(&id), "{text}");
}

pub fn the_session_is_there_after_a_restart(application: Application) {
    let (directory, demo, mut browser) = start(application);
    browser.get(&demo, "keep");
    browser.get(&demo, "increment");
    let before = browser.look(&demo);
    assert_eq!(demo.stop().code(), Some(0));
    let demo = application.start(directory.path(), &[]);
    assert_eq!(browser.look(&demo), before);
}

pub fn two_servers_on_one_directory_see_each_others_changes(application: Application) {
    let (directory, first, mut browser) = start(application);
    let second = application.start(directory.path(), &[]);
    browser.get(&first, "keep");
    for counter in 0..10 {
        let (writer, reader) = match counter % 2 {
            0 => (&first, &second),
            _ => (&second, &first),
        };
        browser.get(writer, "increment");
        assert_eq!(browser.look(reader).1, counter + 1);
    }
    browser.get(&first, "logout");
    assert_eq!(browser.look(&second).0, "None");
}

pub fn behind_a_tls_proxy_the_cookie_has_the_safe_defaults(application: Application) {
    let directory = tempfile::tempdir().unwrap();
    let demo = application.start(directory.path(), &["--secure-cookies"]);
    let cookie = Browser::new().get(&demo, "keep").set_cookie.unwrap();
    assert!(cookie.starts_with("__Host-session="), "{cookie}");
    assert!(
        cookie.ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/"),
        "{cookie}"
    );
}
