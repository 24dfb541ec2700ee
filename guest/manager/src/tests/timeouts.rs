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
    let mut app = App::with(|c| c.first_use_timeout = 600);
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
    let mut app = App::with(|c| c.first_use_timeout = 600);
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

/// A session that began while the host's clock was ahead times out like any other.
#[test]
fn a_clock_that_was_ahead_does_not_prolong_a_session() {
    let year = 365 * 24 * 60 * 60;
    let mut app = App::new();
    app.fake.wait(year);
    app.log_in("alice");
    app.request(|_| ());
    app.fake.now.set(app.fake.now.get() - year * 1000);
    let now = app.fake.now.get();
    app.request(|s| {
        assert_eq!((s.view().created, s.view().authenticated), (now, Some(now)));
        assert_eq!(s.accessed(), now);
    });
    assert!(app.open().view().created == now, "the record was corrected");
    let mut idle = app.copy();
    for _ in 0..(12 * 60 - 1) {
        app.fake.wait(60);
        app.request(|s| assert!(!s.is_new()));
    }
    app.fake.wait(60);
    ended(&app, EndReason::TooOld);

    idle.cookie.clear();
    app.fake.wait(year);
    idle.set("a", "1");
    idle.request(|_| ());
    app.fake.now.set(app.fake.now.get() - year * 1000);
    idle.request(|_| ());
    app.fake.wait(30 * 60);
    ended(&idle, EndReason::Idle);
}

/// The clock was ahead during a touch only.
#[test]
fn a_touch_while_the_clock_was_ahead_is_corrected() {
    let year = 365 * 24 * 60 * 60;
    let mut app = App::new();
    app.set("a", "1");
    app.request(|_| ());
    for session in app.fake.sessions.borrow_mut().values_mut() {
        session.modified += year * 1000;
        session.state.expires += year * 1000;
    }
    app.request(|_| ());
    app.fake.wait(30 * 60);
    ended(&app, EndReason::Idle);
}
