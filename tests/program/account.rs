//! The demo's pages for users and for the administrator.

use std::fs;

use session3_test_program::{Browser, Demo, Page};
use session3_test_support::files;

const NAME: &str = "<b>\"alice\" {sessions}";
/// The name as it must be escaped in a page.
const ESCAPED: &str = "&#60;b&#62;&#34;alice&#34; &#123;sessions&#125;";

fn start() -> (tempfile::TempDir, Demo) {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(directory.path());
    (directory, demo)
}

/// Logs in, and returns the account page.
fn log_in(browser: &mut Browser, demo: &Demo, user: &str) -> Page {
    let page = browser.get(demo, "account");
    let sent = browser.send(demo, &page, "login", &[("user", user)]);
    assert_eq!(
        (sent.status, sent.location.as_deref()),
        (302, Some("/account"))
    );
    browser.get(demo, "account")
}

#[test]
fn a_log_in_changes_the_cookie_and_welcomes_once() {
    let (_directory, demo) = start();
    let mut browser = Browser::new();
    browser.get(&demo, "keep");
    let before = browser.clone();
    let page = log_in(&mut browser, &demo, NAME);
    assert!(
        page.text.contains(ESCAPED) && !page.text.contains(NAME),
        "{}",
        page.text
    );
    assert!(page.text.contains("Welcome."));
    assert!(!browser.get(&demo, "account").text.contains("Welcome."));
    assert_ne!(browser.cookie, before.cookie);
    // A request with the cookie from before the log-in opens no session. For a minute after the
    // log-in it is a late one, which cannot begin a new session either.
    let page = before.clone().get(&demo, "account");
    assert_eq!((page.status, page.set_cookie), (409, None), "{}", page.text);
    assert_eq!(before.clone().look(&demo).0, "None");
    let page = browser.get(&demo, "account");
    browser.send(&demo, &page, "leave", &[]);
    assert!(browser.get(&demo, "account").text.contains("not logged in"));
}

#[test]
fn a_form_is_good_once_and_in_its_own_session_only() {
    let (_directory, demo) = start();
    let (mut alice, mut bob) = (Browser::new(), Browser::new());
    let page = log_in(&mut alice, &demo, "alice");
    log_in(&mut bob, &demo, "bob");
    let stolen = bob.send(&demo, &page, "note", &[("text", "from bob")]);
    assert_eq!(stolen.status, 403, "{}", stolen.text);
    assert_eq!(
        alice
            .send(&demo, &page, "note", &[("text", "one <i>")])
            .status,
        302
    );
    assert_eq!(
        alice.send(&demo, &page, "note", &[("text", "two")]).status,
        403
    );
    let page = alice.get(&demo, "account");
    assert!(page.text.contains("one &#60;i&#62;") && !page.text.contains("two"));
}

#[test]
fn users_see_their_own_sessions_and_end_the_others() {
    let (_directory, demo) = start();
    let (mut here, mut there, mut bob) = (Browser::new(), Browser::new(), Browser::new());
    log_in(&mut there, &demo, "alice");
    log_in(&mut bob, &demo, "bob");
    let page = log_in(&mut here, &demo, "alice");
    assert_eq!(page.text.matches("<li>").count(), 2);
    here.send(&demo, &page, "others", &[]);
    let page = here.get(&demo, "account");
    assert!(page.text.contains("Other sessions that were ended: 1."));
    assert_eq!(page.text.matches("<li>").count(), 1);
    assert!(there.get(&demo, "account").text.contains("not logged in"));
    assert!(
        bob.get(&demo, "account")
            .text
            .contains("logged in as <b>bob</b>")
    );
}

#[test]
fn the_administrator_alone_sees_and_ends_everyones_sessions() {
    let (_directory, demo) = start();
    let (mut admin, mut bob) = (Browser::new(), Browser::new());
    log_in(&mut bob, &demo, "bob");
    bob.get(&demo, "increment");
    assert_eq!(bob.get(&demo, "admin").status, 403);
    let own = log_in(&mut admin, &demo, "admin");
    let page = admin.get(&demo, "admin");
    assert_eq!(page.status, 200);
    assert!(
        page.text.contains("bob") && page.text.contains("counter: 1"),
        "{}",
        page.text
    );
    // The rows are ordered by session ID, so bob's may be the first or the second.
    let bobs = bob.look(&demo).0;
    let row = page
        .text
        .split("<tr>")
        .find(|row| row.contains(&bobs))
        .unwrap();
    let bobs_form = Page {
        text: row.to_owned(),
        ..own
    };
    assert_eq!(
        bob.send(&demo, &bobs_form, "end", &[]).status,
        403,
        "only the administrator may end the session of another user"
    );
    let sent = admin.send(&demo, &bobs_form, "end", &[]);
    assert_eq!(
        (sent.status, sent.location.as_deref()),
        (302, Some("/admin"))
    );
    assert!(bob.get(&demo, "account").text.contains("not logged in"));
}

/// The pages of the administrator list every session once, also a damaged one, and an invalid
/// cursor gets 404.
#[test]
fn the_administrator_comes_to_every_session() {
    let (directory, demo) = start();
    for _ in 0..60 {
        Browser::new().get(&demo, "keep");
    }
    let kept = files(directory.path());
    let mut bytes = fs::read(&kept[0]).unwrap();
    bytes[600] ^= 1;
    fs::write(&kept[0], bytes).unwrap();
    let mut admin = Browser::new();
    log_in(&mut admin, &demo, "admin");
    let mut text = String::new();
    let mut page = admin.get(&demo, "admin");
    let mut pages = 1;
    while let Some((_, rest)) = page.text.split_once("href=\"admin?after=") {
        let cursor = rest.split('"').next().unwrap().to_owned();
        text += &page.text;
        page = admin.get(&demo, &format!("admin?after={cursor}"));
        pages += 1;
    }
    text += &page.text;
    assert_eq!(pages, 3);
    for file in kept {
        let id = file.file_name().unwrap().to_str().unwrap();
        assert_eq!(text.matches(&format!("<td>{id}</td>")).count(), 1, "{id}");
    }
    assert!(text.contains("neither of its two slots is whole"), "{text}");
    assert_eq!(admin.get(&demo, "admin?after=nowhere").status, 404);
}

#[test]
fn what_is_no_form_is_refused() {
    let (_directory, demo) = start();
    let mut browser = Browser::new();
    let page = log_in(&mut browser, &demo, "alice");
    let long = "x".repeat(100_000);
    for text in ["", "\0", "%zz&=;", &long] {
        let sent = browser.send(&demo, &page, "note", &[("text", text)]);
        let expected = if text.len() > 16 << 10 {
            [413; 3]
        } else {
            [302, 400, 403]
        };
        assert!(expected.contains(&sent.status), "{}", sent.text);
    }
    assert_eq!(browser.get(&demo, "login").status, 404);
    assert!(browser.get(&demo, "account").text.contains("alice"));
}
