//! Cookies and the tokens that they carry.

use super::{App, text};
use crate::bindings::exports::session3::sessions::manager::Header;
use crate::bindings::session3::sessions::events::{Event, RejectReason};
use crate::fake::Fake;

#[test]
fn a_cookie_with_a_lifetime_is_sent_again_while_the_session_is_used() {
    let mut app = App::with(|c| c.cookie.max_age = Some(3600));
    app.set("a", "1");
    app.request(|_| ());
    for change in [false, true] {
        app.fake.wait(61);
        let mut session = app.open();
        if change {
            session.set("a", text("2")).expect("sets");
        }
        let headers = session.commit(&*app.fake).expect("a commit");
        assert!(headers[0].value.starts_with(&app.cookie));
        let again = app.open().commit(&*app.fake);
        assert_eq!(again, Ok(vec![]), "not with every request");
    }
}

#[test]
fn the_shortest_lifetime_is_long_enough_for_a_session_in_use() {
    let max_age = 60 + 60 + 1;
    let mut app = App::with(|c| c.cookie.max_age = Some(max_age));
    app.log_in("alice");
    let mut sent = 0;
    for second in 1..11 * 60 * 60 {
        app.fake.wait(1);
        let headers = app.open().commit(&*app.fake).expect("a commit");
        if !headers.is_empty() {
            app.take_cookie(&headers);
            sent = second;
        }
        assert!(second - sent < max_age, "the cookie has expired");
    }
}

#[test]
fn a_form_that_was_sent_counts_as_a_use() {
    for (others, changes) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut app = App::with(|c| c.cookie.max_age = Some(3600));
        let fake = app.fake.clone();
        let form = app.request(|s| s.create_form_token(&*fake).expect("a token"));
        app.request(|_| ());
        app.fake.wait(61);
        let mut session = app.open();
        if others {
            let mut others = app.copy();
            let commit = move |_: &Fake| others.set("b", "2");
            app.fake.before_save.borrow_mut().push(Box::new(commit));
        }
        assert_eq!(session.remove_form_token(&form, &*app.fake), Ok(true));
        if changes {
            session.set("a", text("1")).expect("sets");
        }
        let headers = session.commit(&*app.fake).expect("a commit");
        assert!(headers[0].value.starts_with(&app.cookie));
        assert_eq!(session.commit(&*app.fake), Ok(vec![]), "once");
    }
}

#[test]
fn a_form_brings_no_cookie_beside_a_newer_one() {
    let mut app = App::with(|c| c.cookie.max_age = Some(3600));
    let fake = app.fake.clone();
    let form = app.request(|s| s.create_form_token(&*fake).expect("a token"));
    app.request(|s| s.set("a", text("1")).expect("sets"));
    app.fake.wait(61);
    let mut session = app.open();
    let mut others = app.copy();
    let renew = move |_: &Fake| others.request(|s| s.renew().expect("renews"));
    app.fake.before_save.borrow_mut().push(Box::new(renew));
    assert_eq!(session.remove_form_token(&form, &*app.fake), Ok(true));
    assert_eq!(session.commit(&*app.fake), Ok(vec![]));
}

#[test]
fn of_several_cookies_the_first_that_opens_a_session_counts() {
    let mut app = App::new();
    app.set("a", "1");
    let good = app.cookie.clone();
    let bad = "__Host-session=x";
    app.fake.take_events();
    for (count, reported) in [(1, 1), (4, 4), (40, 4)] {
        app.cookie = format!("{}{good}", format!("{bad}; ").repeat(count));
        assert!(!app.open().is_new(), "malformed cookies cost no load");
        let malformed = Event::Rejected((None, RejectReason::Malformed));
        assert_eq!(app.fake.take_events(), vec![malformed; reported]);
    }
    let unknown = format!("__Host-session={}.AAAAAAAAAAAAAAAAAAAAAA; ", "0".repeat(32));
    for (count, opens) in [(3, true), (4, false)] {
        app.cookie = unknown.repeat(count) + &good;
        app.fake.loads.set(0);
        assert_eq!(!app.open().is_new(), opens);
        assert_eq!(app.fake.loads.get(), 4);
    }
}

#[test]
fn a_token_that_was_never_issued_gets_a_new_id() {
    let mut app = App::new();
    let id = "0".repeat(32);
    app.cookie = format!("__Host-session={id}.AAAAAAAAAAAAAAAAAAAAAA");
    app.set("a", "1");
    assert_ne!(app.id().as_deref(), Some(id.as_str()));
    let unknown = Event::Rejected((Some(id), RejectReason::Unknown));
    assert_eq!(app.fake.take_events()[0], unknown);
}

#[test]
fn a_refused_token_changes_nothing_and_clears_no_cookie() {
    let mut app = App::new();
    app.log_in("alice");
    let id = app.id().expect("it is stored");
    let before = app.fake.sessions.borrow().clone();
    let mut thief = app.copy();
    thief.cookie = format!("__Host-session={id}.AAAAAAAAAAAAAAAAAAAAAA");
    let mut session = thief.open();
    assert!(session.is_new());
    assert_eq!(session.commit(&*app.fake), Ok(vec![]));
    assert!(before == *app.fake.sessions.borrow());
    assert!(app.is_logged_in());
}

/// Any other call may race with a log-in whose response the browser has already processed.
#[test]
fn only_a_log_out_deletes_a_cookie_that_opens_nothing() {
    let dead = format!("__Host-session={}.AAAAAAAAAAAAAAAAAAAAAA", "0".repeat(32));
    for (cookie, deletes) in [
        (&*dead, true),
        ("__Host-session=x", true),
        ("other=1", false),
    ] {
        let mut app = App::new();
        app.cookie = cookie.into();
        let mut session = app.open();
        assert_eq!(session.commit(&*app.fake), Ok(vec![]));
        session.expire().expect("there is nothing to end");
        let headers = session.commit(&*app.fake).expect("a commit");
        let is_deleted = |header: &Header| header.value.contains("Max-Age=0");
        assert_eq!(headers.iter().any(is_deleted), deletes, "{cookie}");
    }
}
