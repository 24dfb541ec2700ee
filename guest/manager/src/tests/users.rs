//! Logging in and out.

use super::{App, text};
use crate::bindings::exports::session3::sessions::manager::Header;
use crate::bindings::session3::sessions::events::{Event, RejectReason};

#[test]
fn logging_in_keeps_the_id_and_the_attributes_and_changes_the_secret() {
    let mut app = App::new();
    app.set("cart", "3");
    let before = app.copy();
    app.fake.take_events();
    app.log_in("alice");
    assert_ne!(app.cookie, before.cookie);
    assert_eq!(app.open().view().user.as_deref(), Some("alice"));
    assert_eq!(app.get("cart"), Some(text("3")));
    let id = app.id().expect("it is stored");
    assert_eq!(app.fake.take_events(), [Event::UserChanged(id.clone())]);

    // The old secret is refused, and the session does not change.
    assert!(before.open().is_new());
    let replaced = Event::Rejected((Some(id), RejectReason::ReplacedToken));
    assert_eq!(app.fake.take_events(), [replaced]);
    assert!(app.is_logged_in());
}

#[test]
fn the_same_user_again_is_a_new_authentication_and_a_new_secret() {
    let mut app = App::new();
    app.log_in("alice");
    app.set("a", "1");
    let (cookie, then) = (app.cookie.clone(), app.open().view().authenticated);
    app.fake.wait(5);
    app.log_in("alice");
    assert_ne!(app.cookie, cookie);
    assert_eq!(app.open().view().authenticated, then.map(|t| t + 5000));
    assert_eq!(app.get("a"), Some(text("1")));
}

#[test]
fn attributes_go_with_their_user() {
    for next in [Some("bob"), None] {
        let mut app = App::new();
        app.log_in("alice");
        app.set("secret", "alice's");
        let fake = app.fake.clone();
        app.request(|s| {
            s.set("more", text("alice's")).expect("sets");
            s.set_user(next.map(str::to_owned), &*fake)
                .expect("changes");
            assert_eq!(s.names(), Vec::<String>::new());
            s.set("own", text("new")).expect("sets");
        });
        assert_eq!(app.open().names(), ["own"]);
        assert_eq!(app.open().view().user.as_deref(), next);
        assert_eq!(app.open().view().authenticated.is_some(), next.is_some());
    }
}

#[test]
fn a_change_of_user_and_back_within_a_request_still_drops_the_attributes() {
    let mut app = App::new();
    app.log_in("alice");
    app.set("a", "1");
    let fake = app.fake.clone();
    app.request(|s| {
        s.set_user(None, &*fake).expect("logs out");
        s.set_user(Some("alice".into()), &*fake).expect("logs in");
    });
    assert_eq!((app.get("a"), app.is_logged_in()), (None, true));
}

fn clears_caches(headers: &[Header]) -> bool {
    headers.iter().any(|header| {
        assert!(header.name != "Clear-Site-Data" || header.value == "\"cache\"");
        header.name == "Clear-Site-Data"
    })
}

#[test]
fn the_caches_are_cleared_when_a_user_goes() {
    for (users, clears) in [
        (&[None][..], true),
        (&[Some("bob")], true),
        (&[None, Some("alice")], true),
        (&[Some("alice")], false),
        (&[], false),
    ] {
        let mut app = App::with(|c| c.clear_cache = true);
        app.log_in("alice");
        let mut session = app.open();
        for user in users {
            let user = user.map(str::to_owned);
            session.set_user(user, &*app.fake).expect("changes");
        }
        let headers = session.commit(&*app.fake).expect("a commit");
        assert_eq!(clears_caches(&headers), clears, "{users:?}");
        assert_eq!(headers.is_empty(), users.is_empty());
        session.set("a", text("1")).expect("sets");
        assert_eq!(session.commit(&*app.fake), Ok(vec![]), "once");
    }
}

#[test]
fn the_caches_are_left_alone_when_a_user_comes() {
    let app = App::new();
    let mut session = app.open();
    let user = Some("alice".to_owned());
    session.set_user(user, &*app.fake).expect("logs in");
    let headers = session.commit(&*app.fake).expect("a commit");
    assert!(!headers.is_empty() && !clears_caches(&headers));
}

#[test]
fn the_caches_are_left_alone_unless_the_configuration_says_otherwise() {
    let mut app = App::new();
    app.log_in("alice");
    let mut session = app.open();
    session.expire().expect("ends");
    let headers = session.commit(&*app.fake).expect("a commit");
    assert!(!headers.is_empty() && !clears_caches(&headers));
}
