//! Sessions that outlive the browser because their users asked for that.

use super::App;
use crate::bindings::exports::session3::sessions::manager::{Header, SessionError};
use crate::bindings::session3::sessions::events::EndReason;

const DAY: u64 = 24 * 60 * 60;

fn cookie(headers: &[Header]) -> Option<&str> {
    let cookie = headers.iter().find(|header| header.name == "Set-Cookie");
    cookie.map(|header| header.value.as_str())
}

fn max_age(headers: &[Header]) -> Option<&str> {
    cookie(headers)?
        .rsplit_once("; Max-Age=")
        .map(|(_, age)| age)
}

/// Returns a browser that logged in and asked to be remembered.
fn remembered() -> App {
    let mut app = App::new();
    let fake = app.fake.clone();
    app.request(|s| {
        s.set_user(Some("alice".into()), &*fake).expect("logs in");
        s.remember(true).expect("remembers");
    });
    app.request(|s| assert!(s.view().is_remembered));
    app
}

#[test]
fn a_remembered_session_outlives_the_browser_and_the_usual_timeouts() {
    let mut app = remembered();
    app.fake.wait(14 * DAY - 1);
    app.request(|s| assert!(!s.is_new()));
    app.fake.wait(14 * DAY - 1);
    app.request(|s| assert!(!s.is_new()));
    app.fake.wait(2 * DAY + 2);
    app.fake.take_events();
    assert!(app.open().is_new(), "its absolute timeout is 30 days");
    let ended = app.fake.take_events();
    assert!(format!("{ended:?}").contains(&format!("{:?}", EndReason::TooOld)));
}

#[test]
fn a_remembered_session_ends_when_it_is_not_used() {
    let app = remembered();
    app.fake.wait(14 * DAY);
    assert!(app.open().is_new());
}

#[test]
fn the_cookie_of_a_remembered_session_keeps_its_lifetime() {
    let mut app = App::new();
    let mut session = app.open();
    session
        .set_user(Some("alice".into()), &*app.fake)
        .expect("logs in");
    session.remember(true).expect("remembers");
    let headers = session.commit(&*app.fake).expect("a commit");
    assert_eq!(max_age(&headers), Some("2592000"));
    app.take_cookie(&headers);
    app.request(|_| ());
    // A touch sends the cookie again, and so does a renewal.
    for (seconds, is_renewed) in [(61, false), (15 * 60, true)] {
        app.fake.wait(seconds);
        let before = app.cookie.clone();
        let headers = app.open().commit(&*app.fake).expect("a commit");
        assert_eq!(max_age(&headers), Some("2592000"));
        app.take_cookie(&headers);
        assert_eq!(app.cookie != before, is_renewed);
    }
}

#[test]
fn a_session_can_be_remembered_and_forgotten_later() {
    let mut app = App::new();
    app.log_in("alice");
    app.request(|_| ());
    for (remember, age) in [(true, Some("2592000")), (false, None)] {
        app.fake.wait(61);
        let mut session = app.open();
        session.remember(remember).expect("changes");
        session.remember(remember).expect("changes nothing");
        let headers = session.commit(&*app.fake).expect("a commit");
        assert!(cookie(&headers).is_some());
        assert_eq!(max_age(&headers), age);
        app.take_cookie(&headers);
        app.request(|s| assert_eq!(s.view().is_remembered, remember));
    }
    let mut session = app.open();
    session.remember(true).expect("changes");
    session.forget_changes();
    assert!(!session.view().is_remembered);
}

#[test]
fn another_user_is_not_remembered() {
    for user in [None, Some("bob".to_owned())] {
        let mut app = remembered();
        let fake = app.fake.clone();
        app.request(|s| s.set_user(user, &*fake).expect("changes"));
        assert!(!app.open().view().is_remembered);
    }
}

#[test]
fn a_visitor_who_logs_in_stays_remembered() {
    let mut app = App::new();
    app.request(|s| {
        s.remember(true).expect("remembers");
        s.add("n", 1).expect("adds");
    });
    app.log_in("alice");
    assert!(app.open().view().is_remembered);
    let own = app.open().own_sessions(&*app.fake).expect("a list");
    assert!(own[0].is_remembered);
    assert!(own[0].expires > app.fake.now.get());
}

/// A session that is remembered but has no content is not stored.
#[test]
fn to_be_remembered_is_nothing_to_keep() {
    let mut app = App::new();
    app.request(|s| s.remember(true).expect("remembers"));
    assert_eq!(app.stored(), 0);
}

#[test]
fn without_times_for_it_no_session_is_remembered() {
    let mut app = App::with(|c| c.remember = None);
    app.log_in("alice");
    let mut session = app.open();
    assert!(matches!(
        session.remember(true),
        Err(SessionError::Invalid(_))
    ));
    assert_eq!(session.remember(false), Ok(()));
    assert_eq!(session.commit(&*app.fake), Ok(vec![]));
}

/// If the times for remembered sessions were removed from the configuration, the ordinary timeouts
/// apply to a session that was remembered before.
#[test]
fn without_times_for_it_a_remembered_session_is_an_ordinary_one() {
    let app = remembered();
    let mut ordinary = App::with(|c| c.remember = None);
    ordinary.fake = app.fake.clone();
    ordinary.cookie = app.cookie.clone();
    app.fake.wait(61);
    ordinary.request(|s| assert!(!s.is_new()));
    app.fake.wait(30 * 60);
    assert!(ordinary.open().is_new());
}
