//! The demo's pages for users and for the administrator.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

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

/// The second request has the cookie from before the first response.
#[test]
fn a_form_that_is_clicked_twice_shows_no_error() {
    let (_directory, demo) = start();
    let mut browser = Browser::new();
    let page = browser.get(&demo, "account");
    let (mut second, login) = (browser.clone(), [("user", "alice")]);
    assert_eq!(browser.send(&demo, &page, "login", &login).status, 302);
    let answer = second.send(&demo, &page, "login", &login);
    assert_eq!(
        (answer.status, answer.set_cookie),
        (302, None),
        "{}",
        answer.text
    );
    let page = browser.get(&demo, "account");
    assert!(page.text.contains("<b>alice</b>"), "{}", page.text);
    for action in ["others", "leave"] {
        let page = browser.get(&demo, "account");
        let mut second = browser.clone();
        assert_eq!(browser.send(&demo, &page, action, &[]).status, 302);
        assert_eq!(
            second.send(&demo, &page, action, &[]).status,
            302,
            "{action}"
        );
    }
    assert!(browser.get(&demo, "account").text.contains("not logged in"));
}

#[test]
fn a_user_can_be_remembered() {
    let (_directory, demo) = start();
    let mut browser = Browser::new();
    let page = browser.get(&demo, "account");
    let fields = [("user", "alice"), ("remember", "yes")];
    let answer = browser.send(&demo, &page, "login", &fields);
    let cookie = answer.set_cookie.unwrap();
    assert!(cookie.ends_with("; Max-Age=2592000"), "{cookie}");
    let text = browser.get(&demo, "account").text;
    assert!(text.contains("(this one, remembered)"), "{text}");
}

#[test]
fn no_cache_keeps_the_page_of_a_user() {
    let (_directory, demo) = start();
    let mut browser = Browser::new();
    log_in(&mut browser, &demo, "alice");
    let page = browser.get(&demo, "");
    assert_eq!(page.set_cookie, None);
    assert_eq!(page.values("cache-control"), ["no-store"]);
    assert_eq!(page.values("vary"), ["Cookie"]);
}

/// Half of a name may be another name: `admin` is the beginning of `administrator`.
#[test]
fn a_form_that_was_cut_off_changes_nothing() {
    let (_directory, demo) = start();
    let mut browser = Browser::new();
    let page = browser.get(&demo, "account");
    let (_, token) = page.hidden_fields("login").remove(0);
    let body = format!("form={token}&user=admin");
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: a\r\nCookie: {}\r\n",
        browser.cookie
    );
    let length = body.len();
    let address = demo
        .url
        .strip_prefix("http://")
        .unwrap()
        .trim_end_matches('/');
    for rest in [
        format!("Content-Length: {}\r\n\r\n{body}", length + 8),
        format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n"),
        format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\nnonsense\r\n"),
    ] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .write_all(format!("{head}{rest}").as_bytes())
            .unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // The server may also close the connection without an answer.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
            "{answer}"
        );
        assert!(!answer.to_lowercase().contains("set-cookie"), "{answer}");
    }
    let page = browser.get(&demo, "account");
    assert!(page.text.contains("not logged in"), "{}", page.text);
    let whole = browser.send(&demo, &page, "login", &[("user", "administrator")]);
    assert_eq!(whole.status, 302);
}

#[test]
fn an_id_that_is_none_is_said_to_be_none() {
    let (_directory, demo) = start();
    let mut admin = Browser::new();
    log_in(&mut admin, &demo, "admin");
    let page = admin.get(&demo, "admin");
    let (_, token) = page.hidden_fields("end").remove(0);
    let fields = [("form", token.as_str()), ("id", "../x")];
    let url = format!("{}end", demo.url);
    let answer = ureq::post(url).header("Cookie", &admin.cookie);
    let answer = answer
        .config()
        .http_status_as_error(false)
        .build()
        .send_form(fields);
    assert_eq!(answer.unwrap().status(), 400);
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
        .split("<li>")
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
        assert_eq!(
            text.matches(&format!("<small>{id}</small>")).count(),
            1,
            "{id}"
        );
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
