//! What a session keeps from one request to the next.

use super::{App, text};
use crate::bindings::exports::session3::sessions::manager::{Mode, SessionError};
use crate::bindings::session3::sessions::{
    events::{EndReason, Event},
    session_types::Value,
    store::StoreError,
};

#[test]
fn a_visitor_with_nothing_to_keep_leaves_nothing_behind() {
    let mut app = App::new();
    app.request(|s| assert!(s.is_new() && s.id().is_none() && !s.view().has_info()));
    app.request(|s| {
        s.set("a", text("1")).expect("sets");
        s.remove("a").expect("removes");
    });
    let fake = app.fake.clone();
    app.request(|s| s.set_user(None, &*fake).expect("sets no user again"));
    app.request(|s| s.expire().expect("nothing to end"));
    assert_eq!((app.stored(), app.fake.writes.get()), (0, 0));
    assert_eq!((app.cookie.as_str(), app.fake.take_events()), ("", vec![]));
}

#[test]
fn the_cookie_comes_with_the_first_commit_and_not_again() {
    let mut app = App::new();
    let mut session = app.open();
    session.set("a", text("1")).expect("sets");
    let headers = session.commit(&*app.fake).expect("a commit");
    assert!(headers[0].value.starts_with("__Host-session="));
    app.take_cookie(&headers);
    let id = session.id().expect("it is stored").to_owned();
    assert_eq!(app.fake.take_events(), [Event::Created(id.clone())]);

    let mut session = app.open();
    assert_eq!((session.id(), session.is_new()), (Some(id.as_str()), false));
    session.set("a", text("2")).expect("sets");
    assert_eq!(session.commit(&*app.fake), Ok(vec![]));
}

#[test]
fn a_second_commit_saves_what_changed_since_the_first() {
    let mut app = App::new();
    app.request(|_| ());
    let mut session = app.open();
    session.add("n", 1).expect("adds");
    app.commit(&mut session).expect("creates");
    session.add("n", 1).expect("adds");
    app.commit(&mut session).expect("saves");
    app.commit(&mut session).expect("has nothing to save");
    assert_eq!(app.get("n"), Some(Value::Integer(2)));
    assert_eq!(app.fake.writes.get(), 2);
}

#[test]
fn a_request_that_changes_nothing_writes_nothing() {
    let mut app = App::new();
    app.set("a", "1");
    app.fake.wait(1);
    app.request(|_| ()); // The first use makes the idle timeout count.
    let writes = app.fake.writes.get();
    for _ in 0..50 {
        app.fake.wait(1);
        app.request(|s| s.get("a"));
    }
    assert_eq!(app.fake.writes.get(), writes);
    app.fake.wait(10);
    app.request(|s| s.get("a"));
    assert_eq!(app.fake.writes.get(), writes + 1, "touched once a minute");
}

/// Each call of an import leaves the component, which takes longer than most of its own work.
#[test]
fn a_request_asks_for_no_more_than_it_needs() {
    let mut app = App::new();
    app.log_in("alice");
    app.request(|_| ());
    app.fake.take_events();
    let calls = |app: &App| {
        let fake = &app.fake;
        [&fake.readings, &fake.loads, &fake.writes].map(std::cell::Cell::take)
    };
    calls(&app);
    app.request(|s| s.add("n", 1).expect("adds"));
    assert_eq!(
        calls(&app),
        [2, 1, 1],
        "the time as it came, and as it commits"
    );
    app.request(|s| s.get("n"));
    assert_eq!(calls(&app), [2, 1, 0]);
    app.open();
    assert_eq!(calls(&app), [1, 1, 0]);
    app.cookie.clear();
    app.request(|_| ());
    assert_eq!(calls(&app), [1, 0, 0]);
    assert_eq!(app.fake.take_events(), []);
}

#[test]
fn a_request_that_does_not_commit_changes_nothing() {
    let mut app = App::new();
    app.set("a", "1");
    let cookie = app.cookie.clone();
    let mut session = app.open();
    session.set("a", text("2")).expect("sets");
    session.add("n", 1).expect("adds");
    session.expire().expect("ends");
    drop(session);
    assert_eq!(app.get("a"), Some(text("1")));
    assert_eq!((app.get("n"), app.cookie), (None, cookie));
}

#[test]
fn forgotten_changes_are_not_saved() {
    let mut app = App::new();
    app.set("a", "1");
    let fake = app.fake.clone();
    app.request(|s| {
        s.set("a", text("2")).expect("sets");
        s.set_user(Some("eve".into()), &*fake).expect("logs in");
        s.expire().expect("ends");
        s.forget_changes();
        assert_eq!(s.get("a"), Some(text("1")));
        s.set("b", text("3")).expect("sets");
    });
    assert_eq!(app.get("a"), Some(text("1")));
    assert_eq!(app.get("b"), Some(text("3")));
    assert!(!app.is_logged_in());
}

#[test]
fn expire_ends_the_session_at_the_commit_and_clears_the_cookie() {
    let mut app = App::new();
    app.log_in("alice");
    let id = app.id().expect("it is stored");
    app.fake.take_events();
    let mut session = app.open();
    session.expire().expect("ends");
    session.expire().expect("ends a second time");
    assert!(!session.view().has_info());
    assert_eq!(session.set("a", text("1")), Err(SessionError::Ended));
    assert_eq!(app.stored(), 1, "not before the commit");

    let headers = session.commit(&*app.fake).expect("a commit");
    assert!(headers[0].value.starts_with("__Host-session=; "));
    assert!(headers[0].value.ends_with("; Max-Age=0"));
    assert_eq!(session.commit(&*app.fake), Ok(vec![]), "once");
    assert_eq!((session.id(), app.stored()), (None, 0));
    let by_application = EndReason::ExpiredByApplication;
    assert_eq!(app.fake.take_events(), [Event::Ended((id, by_application))]);
    assert!(app.open().is_new());
}

#[test]
fn accessed_is_the_use_before_this_one() {
    let mut app = App::new();
    let start = app.fake.now.get();
    app.set("a", "1");
    app.fake.wait(100);
    app.request(|s| assert_eq!(s.accessed(), start));
    app.fake.wait(100);
    app.request(|s| assert_eq!(s.accessed(), start + 100_000));
    assert_eq!(app.open().view().created, start);
}

#[test]
fn a_store_that_fails_is_an_error_and_what_changed_is_still_there_to_commit() {
    let mut app = App::new();
    let unavailable = || Some(StoreError::Unavailable("disk full".into()));
    let failed = Err(SessionError::Store("disk full".into()));
    let mut session = app.open();
    session.set("a", text("1")).expect("sets");
    for fault in [
        (unavailable(), failed.clone()),
        (Some(StoreError::Busy), Err(SessionError::Busy)),
    ] {
        app.fake.fault.replace(fault.0);
        assert_eq!(app.commit(&mut session), fault.1);
    }
    app.fake.fault.replace(Some(StoreError::TooLarge(9)));
    let too_large = app.commit(&mut session);
    assert!(matches!(too_large, Err(SessionError::Invalid(why)) if why.contains("9 bytes")));
    app.commit(&mut session).expect("a commit");

    let mut session = app.open();
    session.set("b", text("2")).expect("sets");
    app.fake.fault.replace(unavailable());
    assert_eq!(app.commit(&mut session), failed);
    app.commit(&mut session).expect("a commit");
    assert_eq!(app.open().names(), ["a", "b"]);
    app.fake.fault.replace(unavailable());
    assert!(app.open_as(Mode::Merge).is_err(), "not a new session");
}

#[test]
fn a_random_source_that_repeats_itself_ends_in_an_error() {
    let mut app = App::new();
    let mut session = app.open();
    session.set("a", text("1")).expect("sets");
    app.fake.stuck.set(true);
    app.commit(&mut session).expect("the first of its ID");
    let mut session = App {
        cookie: String::new(),
        ..app.copy()
    }
    .open();
    session.set("a", text("1")).expect("sets");
    assert!(matches!(
        app.commit(&mut session),
        Err(SessionError::Store(_))
    ));
    assert_eq!(app.stored(), 1);
}
