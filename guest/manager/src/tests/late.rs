//! Requests with the token from before a change of user, which arrive after it.

use super::{App, text};
use crate::bindings::exports::session3::sessions::manager::{Mode, SessionError};

const GRACE: u64 = 60;

/// Returns a browser that has logged in, and one that still has its cookie from before.
fn late() -> (App, App) {
    let mut app = App::new();
    app.set("cart", "3");
    let before = app.copy();
    app.log_in("alice");
    (app, before)
}

#[test]
fn a_late_request_does_not_undo_the_log_in() {
    let (app, mut late) = late();
    let (stored, cookie) = (app.fake.sessions.borrow().clone(), late.cookie.clone());
    for mode in [Mode::Merge, Mode::Strict, Mode::Exclusive] {
        let mut session = late.open_as(mode).expect("a session");
        assert!(session.is_new() && session.id().is_none() && !session.view().has_info());
        assert_eq!(session.commit(&*app.fake), Ok(vec![]), "it changes nothing");
        session.set("a", text("1")).expect("sets");
        assert_eq!(late.commit(&mut session), Err(SessionError::Ended));
        session.forget_changes();
        session.expire().expect("there is nothing to end");
        assert_eq!(
            session.commit(&*app.fake),
            Ok(vec![]),
            "no cookie is deleted"
        );
    }
    assert_eq!(late.cookie, cookie);
    assert!(stored == *app.fake.sessions.borrow());
    assert!(app.is_logged_in());
}

/// If the response to the log-in was lost, the user logs in again with the earlier token.
#[test]
fn a_late_request_can_log_in_itself() {
    let (app, mut late) = late();
    let cookie = late.cookie.clone();
    late.request(|s| {
        s.set("a", text("1")).expect("sets");
        s.set_user(Some("alice".into()), &*app.fake)
            .expect("logs in");
    });
    assert_ne!(late.cookie, cookie);
    assert!(late.is_logged_in() && app.is_logged_in());
    assert_ne!(late.id(), app.id());
    assert_eq!(late.get("a"), Some(text("1")));
}

#[test]
fn after_a_grace_a_request_with_the_old_token_begins_a_new_session() {
    let (app, mut late) = late();
    app.fake.wait(GRACE - 1);
    let mut session = late.open();
    session.set("a", text("1")).expect("sets");
    assert_eq!(late.commit(&mut session), Err(SessionError::Ended));
    app.fake.wait(1);
    let cookie = late.cookie.clone();
    late.set("a", "1");
    assert_ne!(late.cookie, cookie);
    assert!(
        app.is_logged_in(),
        "the session of the old token stays as it is"
    );
}

#[test]
fn a_request_from_before_a_log_out_is_late_too() {
    let mut app = App::new();
    app.log_in("alice");
    let late = app.copy();
    let fake = app.fake.clone();
    app.request(|s| s.set_user(None, &*fake).expect("logs out"));
    let mut session = late.open();
    assert!(session.view().user.is_none());
    session.flash("late".into()).expect("a message");
    assert_eq!(session.commit(&*fake), Err(SessionError::Ended));
}
