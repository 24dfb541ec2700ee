//! Sessions that end because they time out.

use super::App;
use crate::bindings::session3::sessions::events::{EndReason, Event, RejectReason};

fn ended(app: &App, reason: EndReason) {
    let id = app.fake.sessions.borrow().keys().next().cloned();
    let id = id.expect("it is still stored");
    app.fake.take_events();
    assert!(app.open().is_new());
    assert_eq!(app.stored(), 0, "deleted, so that it stays ended");
    let expected = [
        Event::Ended((id.clone(), reason)),
        Event::Rejected((Some(id), RejectReason::Ended)),
    ];
    assert_eq!(app.fake.take_events(), expected);
}

#[test]
fn a_session_ends_when_it_is_not_used() {
    let mut app = App::new();
    app.set("a", "1");
    app.request(|_| ());
    app.fake.wait(30 * 60 - 1);
    app.request(|s| assert!(!s.is_new()));
    app.fake.wait(30 * 60);
    ended(&app, EndReason::Idle);
}

#[test]
fn a_session_that_timed_out_opens_no_more_although_it_cannot_be_deleted_now() {
    let mut app = App::new();
    app.set("a", "1");
    app.keep_busy(&app);
    app.fake.wait(30 * 60);
    assert!(app.open().is_new());
    app.fake.busy.take();
    ended(&app, EndReason::Idle);
}

#[test]
fn a_session_ends_at_its_age_however_busy_it_is() {
    let mut app = App::new();
    app.set("a", "1");
    for minute in 0..(12 * 60 - 1) {
        app.fake.wait(60);
        app.request(|s| assert!(!s.is_new(), "minute {minute}"));
    }
    app.fake.wait(60);
    ended(&app, EndReason::TooOld);
}

#[test]
fn a_session_whose_cookie_never_comes_back_ends_soon() {
    let mut app = App::new();
    app.set("a", "1");
    let robot = app.copy();
    app.fake.wait(10 * 60 - 1);
    app.request(|s| assert!(!s.is_new(), "it came back just in time"));
    app.fake.wait(10 * 60);
    assert!(
        !app.open().is_new(),
        "from then on, the idle timeout counts"
    );

    let mut app = robot;
    app.cookie = String::new();
    app.fake.sessions.borrow_mut().clear();
    app.set("a", "1");
    app.fake.wait(10 * 60);
    ended(&app, EndReason::Idle);
}

#[test]
fn an_emptied_session_does_not_stay_for_long() {
    let mut app = App::new();
    app.log_in("alice");
    let fake = app.fake.clone();
    app.request(|s| s.set_user(None, &*fake).expect("logs out"));
    app.fake.wait(10 * 60);
    ended(&app, EndReason::Idle);
}

#[test]
fn a_session_with_nothing_but_form_tokens_lasts_while_it_is_used() {
    let mut app = App::with(|c| c.first_use_timeout = c.touch_after + 1);
    let fake = app.fake.clone();
    app.request(|s| s.create_form_token(&*fake).expect("a token"));
    for _ in 0..600 {
        app.fake.wait(1);
        app.request(|s| assert!(!s.is_new()));
    }
}
