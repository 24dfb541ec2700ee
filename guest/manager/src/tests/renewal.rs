//! Renewals of a session's token: they log no user out, and a stolen token ends the session.

use super::merge::race;
use super::{App, text};
use crate::bindings::exports::session3::sessions::manager::{Mode, SessionError};
use crate::bindings::session3::sessions::{
    events::{EndReason, Event, RejectReason},
    session_types::Value,
};
use crate::fake::Fake;
use crate::session::Session;

const RENEW_AFTER: u64 = 15 * 60;
const GRACE: u64 = 60;

/// Returns a browser that is logged in and whose next commit renews the token.
fn due() -> App {
    due_with(App::new())
}

fn due_with(mut app: App) -> App {
    app.log_in("alice");
    app.request(|_| ());
    app.fake.wait(RENEW_AFTER);
    app.fake.take_events();
    app
}

/// Waits, and sends requests of `app` meanwhile so that the session does not time out.
fn stay(app: &mut App, seconds: u64) {
    for _ in 0..seconds / 600 {
        app.fake.wait(600);
        app.request(|s| assert!(!s.is_new()));
    }
    app.fake.wait(seconds % 600);
}

fn renew(s: &mut Session, _: &Fake) {
    s.renew().expect("renews");
}

#[test]
fn a_session_in_use_gets_a_new_token_in_time() {
    let mut app = due();
    let (old, id) = (app.copy(), app.id().expect("it is stored"));
    app.request(|_| ());
    assert_ne!(app.cookie, old.cookie);
    assert_eq!(app.id(), Some(id.clone()));
    assert_eq!(app.fake.take_events(), [Event::Renewed(id)]);
    assert!(app.is_logged_in());
    app.fake.wait(RENEW_AFTER - 1);
    let cookie = app.cookie.clone();
    app.request(|_| ());
    assert_eq!(app.cookie, cookie, "not before it is time");
}

#[test]
fn a_request_that_changes_something_renews_with_the_same_save() {
    let mut app = due();
    let (cookie, writes) = (app.cookie.clone(), app.fake.writes.get());
    app.set("a", "1");
    assert_ne!(app.cookie, cookie);
    assert_eq!(app.fake.writes.get(), writes + 1);
    assert_eq!(app.get("a"), Some(text("1")));
}

#[test]
fn no_renewal_where_none_is_configured_or_nothing_may_be_written() {
    let mut app = due_with(App::with(|c| c.renew_after = 0));
    let cookie = app.cookie.clone();
    app.request(|_| ());
    assert_eq!(app.cookie, cookie);
    let app = due();
    let mut session = app.open_as(Mode::ReadOnly).expect("a session");
    assert_eq!(session.commit(&*app.fake), Ok(vec![]));
}

#[test]
fn the_old_token_stays_good_until_the_new_one_is_presented_and_for_its_grace() {
    let mut app = due();
    let mut old = app.copy();
    app.request(|_| ());
    stay(&mut old, 2 * GRACE);
    assert!(old.is_logged_in(), "the new token was not presented yet");
    app.request(|_| ());
    app.fake.wait(GRACE - 1);
    assert!(old.is_logged_in(), "a request in progress");
    old.request(|s| s.set("a", text("1")).expect("sets"));
    assert_eq!(app.get("a"), Some(text("1")));
    assert!(app.is_logged_in());
}

#[test]
fn a_replaced_token_that_comes_back_after_its_grace_ends_the_session() {
    let mut app = due();
    let (thief, id) = (app.copy(), app.id().expect("it is stored"));
    app.request(|_| ());
    app.request(|_| ());
    app.fake.wait(GRACE);
    app.fake.take_events();
    assert!(thief.open().is_new());
    let ended = Event::Ended((id.clone(), EndReason::ReplacedTokenReused));
    let rejected = Event::Rejected((Some(id), RejectReason::ReplacedToken));
    assert_eq!(app.fake.take_events(), [ended, rejected]);
    assert_eq!((app.stored(), app.is_logged_in()), (0, false));
}

#[test]
fn a_session_that_a_replaced_token_cannot_end_now_is_an_error_until_it_ends() {
    let mut app = due();
    let thief = app.copy();
    app.request(|_| ());
    app.request(|_| ());
    app.fake.wait(GRACE);
    app.keep_busy(&app);
    for mode in [Mode::Merge, Mode::Exclusive] {
        let refused = thief.open_as(mode).err();
        assert_eq!(refused, Some(SessionError::Busy));
    }
    app.fake.busy.take();
    assert!(thief.open().is_new());
    assert_eq!(app.stored(), 0);
}

#[test]
fn reading_only_a_replaced_token_opens_nothing_and_deletes_nothing() {
    let mut app = due();
    let thief = app.copy();
    app.request(|_| ());
    app.request(|_| ());
    app.fake.wait(GRACE);
    let session = thief.open_as(Mode::ReadOnly).expect("a new one");
    assert_eq!((session.is_new(), app.stored()), (true, 1));
}

#[test]
fn the_thief_who_renews_first_is_found_out_by_the_owner() {
    let owner = due();
    let mut thief = owner.copy();
    thief.request(|_| ());
    thief.request(|_| ());
    assert_ne!(thief.cookie, owner.cookie);
    owner.fake.wait(GRACE);
    assert!(owner.open().is_new());
    assert_eq!((owner.stored(), thief.is_logged_in()), (0, false));
}

#[test]
fn tokens_replaced_by_a_change_of_user_never_end_the_session() {
    let mut app = due();
    let in_grace = app.copy();
    app.request(|_| ()); // This request renews the token.
    app.request(|_| ()); // This one presents it, so the grace of the old token begins.
    let current = app.copy();
    app.fake.wait(RENEW_AFTER);
    app.request(|_| ());
    let pending = app.copy();
    let mut app = current.copy();
    app.log_in("alice");
    let expected = [RejectReason::ReplacedToken; 2];
    for wait in [0, GRACE, 10 * GRACE] {
        app.fake.wait(wait);
        app.fake.take_events();
        assert!(current.open().is_new() && pending.open().is_new());
        let events = app.fake.take_events();
        let reasons = events.into_iter().map(|event| match event {
            Event::Rejected((Some(_), reason)) => reason,
            other => panic!("{other:?}"),
        });
        assert!(reasons.eq(expected));
        assert!(app.is_logged_in());
    }
    // The grace of this token was over before the user logged in again, so it is a copy.
    assert!(in_grace.open().is_new());
    assert!(!app.is_logged_in());
}

#[test]
fn a_token_in_its_grace_is_refused_after_a_change_of_user_and_ends_nothing() {
    let mut app = due();
    let in_grace = app.copy();
    app.request(|_| ());
    app.request(|_| ());
    assert!(in_grace.is_logged_in());
    app.log_in("alice");
    for wait in [0, GRACE] {
        app.fake.wait(wait);
        assert!(in_grace.open().is_new());
        assert!(app.is_logged_in());
    }
}

#[test]
fn eight_replaced_tokens_are_known_and_older_ones_are_nothing() {
    let mut app = due();
    let mut tokens = Vec::new();
    for _ in 0..9 {
        tokens.push(app.copy());
        app.request(|_| ());
        app.request(|_| ());
        app.fake.wait(RENEW_AFTER);
    }
    app.fake.take_events();
    assert!(tokens[0].open().is_new());
    let id = app.id();
    let unknown = Event::Rejected((id, RejectReason::WrongSecret));
    assert_eq!(app.fake.take_events(), [unknown]);
    assert!(app.is_logged_in());
    assert!(tokens[1].open().is_new());
    assert!(!app.is_logged_in(), "the eighth before ends it");
}

#[test]
fn responses_that_get_lost_log_nobody_out() {
    let mut app = due();
    let mut lost = 0;
    for _ in 0..11 * 12 {
        let mut session = app.open();
        assert!(!session.is_new());
        let headers = session.commit(&*app.fake).expect("a commit");
        lost += u32::from(!headers.is_empty());
        app.fake.wait(300);
    }
    assert_eq!(lost, 11 * 4, "each renewal of eleven hours");
    app.fake.wait(RENEW_AFTER);
    let cookie = app.cookie.clone();
    app.request(|_| ());
    assert_ne!(app.cookie, cookie);
    app.request(|_| ());
    assert!(app.is_logged_in());
}

/// Sends requests of a browser until it gets a newer cookie. The cookie that it has must not
/// expire before.
fn use_until_renewed(app: &mut App, max_age: u64) {
    let (cookie, start) = (app.cookie.clone(), app.fake.now.get());
    while app.cookie == cookie {
        app.fake.wait(7);
        let age = (app.fake.now.get() - start) / 1000;
        assert!(age < max_age, "the cookie has expired");
        app.request(|s| assert!(!s.is_new()));
    }
}

#[test]
fn a_cookie_with_a_lifetime_does_not_lapse_when_a_renewal_gets_lost() {
    let max_age = 2 * GRACE;
    for renew_after in [0, 24 * 60 * 60, GRACE] {
        let mut app = App::with(|c| {
            c.cookie.max_age = u32::try_from(max_age).ok();
            c.renew_after = u32::try_from(renew_after).expect("it fits");
            c.touch_after = 0;
        });
        app.log_in("alice");
        app.request(|s| s.renew().expect("renews"));
        app.request(|_| ());
        let mut lost = app.copy();
        lost.request(|s| s.renew().expect("renews"));
        use_until_renewed(&mut app, max_age);
        // The response of this renewal may get lost, too.
        let mut lost = app.copy();
        lost.request(|s| s.renew().expect("renews"));
        use_until_renewed(&mut app, max_age);
        app.fake.wait(GRACE);
        assert!(app.is_logged_in());
    }
}

#[test]
fn a_cookie_that_ends_with_the_browser_needs_no_second_renewal() {
    let mut app = due();
    let mut lost = app.copy();
    lost.request(|_| ());
    let cookie = app.cookie.clone();
    app.fake.wait(RENEW_AFTER - 1);
    app.request(|_| ());
    assert_eq!(app.cookie, cookie);
}

#[test]
fn of_two_renewals_at_once_one_counts_and_the_other_sends_no_cookie() {
    let mut app = due();
    let mut others = app.copy();
    let (mut one, mut other) = (app.open(), app.open());
    one.set("a", text("1")).expect("sets");
    other.set("b", text("2")).expect("sets");
    app.commit(&mut one).expect("a commit");
    assert_eq!(other.commit(&*app.fake), Ok(vec![]));
    assert!(app.is_logged_in() && others.is_logged_in());
    others.request(|_| ());
    assert_eq!(app.open().names(), ["a", "b"]);
    let renewals = app.fake.take_events().into_iter();
    let renewals = renewals.filter(|event| matches!(event, Event::Renewed(_)));
    assert_eq!(renewals.count(), 1);
}

#[test]
fn an_automatic_renewal_never_fails_a_request() {
    let app = due();
    let (mut one, mut other) = (app.open(), app.open());
    assert_ne!(one.commit(&*app.fake), Ok(vec![]));
    assert_eq!(other.commit(&*app.fake), Ok(vec![]));
    let mut strict = app.open_as(Mode::Strict).expect("a session");
    app.copy().set("a", "1");
    assert_eq!(strict.commit(&*app.fake), Ok(vec![]));
    let (app, result) = race(Mode::Strict, |_, fake| fake.wait(RENEW_AFTER), renew);
    assert_eq!(result, Ok(()));
    assert!(app.is_logged_in());
}

#[test]
fn two_hundred_requests_at_once_log_no_browser_out() {
    let app = due();
    let mut sessions: Vec<_> = (0..200).map(|_| (app.open(), app.copy())).collect();
    for (index, (session, _)) in sessions.iter_mut().enumerate() {
        if index % 3 == 0 {
            session.add("n", 1).expect("adds");
        }
    }
    let mut browsers = Vec::new();
    for (mut session, mut browser) in sessions {
        browser.commit(&mut session).expect("a commit");
        browsers.push(browser);
    }
    // The browser keeps the cookie of the last response, which may be any of them.
    let last = browsers.iter().map(|b| b.cookie.clone());
    for cookie in last.collect::<std::collections::BTreeSet<_>>() {
        let mut browser = App {
            cookie,
            ..app.copy()
        };
        assert!(browser.is_logged_in());
        browser.request(|_| ());
    }
    app.fake.wait(GRACE / 2);
    assert!(browsers.iter().all(App::is_logged_in), "within the grace");
    let newest = browsers.iter().find(|b| b.cookie != app.cookie);
    let newest = newest.expect("one renewal");
    assert_eq!(newest.get("n"), Some(Value::Integer(67)));
    newest.fake.wait(GRACE);
    assert!(newest.is_logged_in());
}

#[test]
fn an_application_can_ask_for_a_new_token() {
    let mut app = App::new();
    app.log_in("alice");
    app.request(|_| ());
    let (mut old, id) = (app.copy(), app.id().expect("it is stored"));
    app.fake.take_events();
    app.request(|s| s.renew().expect("renews"));
    assert_ne!(app.cookie, old.cookie);
    assert_eq!(app.fake.take_events(), [Event::Renewed(id)]);
    assert!(old.is_logged_in());
    // Another renewal follows, a grace later, before the first new token is presented. Both
    // are valid.
    old.fake.wait(GRACE);
    old.request(|s| s.renew().expect("renews"));
    assert!(app.is_logged_in() && old.is_logged_in());
    old.request(|_| ());
    app.request(|_| ());
    assert!(app.is_logged_in() && old.is_logged_in());
    app.fake.wait(GRACE);
    old.request(|_| ());
    assert!(old.is_logged_in());
    assert!(app.open().is_new(), "the older of the two was replaced");
}

/// The browser may process the responses in any order, and keeps the cookie of the last one.
#[test]
fn parallel_renewals_log_nobody_out_whichever_response_comes_last() {
    for pause in [0, 1, GRACE / 4, GRACE - 1, GRACE, GRACE + 1] {
        let mut app = App::new();
        app.log_in("alice");
        app.request(|_| ());
        let mut browsers = Vec::new();
        for _ in 0..7 {
            let mut browser = app.copy();
            browser.request(|s| s.renew().expect("renews"));
            browsers.push(browser);
            app.fake.wait(pause);
        }
        // A response takes less than a grace to arrive.
        let late = if pause < GRACE { 0 } else { 5 };
        for mut last in browsers.into_iter().skip(late) {
            let fake = last.fake.sessions.borrow().clone();
            last.request(|s| assert!(s.view().user.is_some(), "{pause}"));
            // The next browser is another possible last one, not a later one.
            *last.fake.sessions.borrow_mut() = fake;
        }
    }
}

#[test]
fn a_new_session_has_nothing_to_renew() {
    let mut app = App::new();
    app.request(|s| s.renew().expect("renews"));
    assert_eq!((app.stored(), app.cookie.as_str()), (0, ""));
}

#[test]
fn a_renewal_yields_to_a_log_in_that_was_committed_first() {
    let again = |s: &mut Session, fake: &Fake| {
        s.set_user(Some("alice".into()), fake).expect("logs in");
    };
    let mine = |s: &mut Session, fake: &Fake| {
        renew(s, fake);
        s.set("a", text("mine")).expect("sets");
    };
    let (app, result) = race(Mode::Merge, mine, again);
    assert_eq!(result, Ok(()));
    assert!(app.open().is_new(), "its token opens nothing any more");
}

#[test]
fn a_cookie_with_a_lifetime_is_never_sent_again_beside_a_newer_one() {
    let mut app = due_with(App::with(|c| {
        c.cookie.max_age = Some(3600);
        c.touch_after = 10;
    }));
    let old = app.copy();
    app.request(|_| ());
    app.fake.wait(29);
    let mut session = old.open();
    session.set("a", text("1")).expect("sets");
    assert_eq!(session.commit(&*app.fake), Ok(vec![]));
    app.fake.wait(29);
    assert_eq!(old.open().commit(&*app.fake), Ok(vec![]));
    let newer = app.cookie.clone();
    app.request(|_| ());
    assert_eq!(app.cookie, newer, "this one may be sent again");
    app.fake.wait(29);
    assert_eq!(old.open().commit(&*app.fake), Ok(vec![]), "in its grace");
}

/// The response of the renewal might arrive first, and the older token after it.
#[test]
fn a_cookie_with_a_lifetime_is_not_sent_again_shortly_before_a_renewal() {
    let mut app = App::with(|c| c.cookie.max_age = Some(3600));
    app.log_in("alice");
    app.request(|_| ());
    for (wait, sends) in [
        (RENEW_AFTER - 2 * GRACE, true),
        (GRACE, false),
        (GRACE, true),
    ] {
        app.fake.wait(wait);
        let headers = app.copy().open().commit(&*app.fake).expect("a commit");
        assert_eq!(!headers.is_empty(), sends);
    }
}

#[test]
fn a_strict_renewal_that_was_asked_for_conflicts() {
    let other = |s: &mut Session, _: &Fake| s.set("a", text("other")).expect("sets");
    let (_, result) = race(Mode::Strict, renew, other);
    assert_eq!(result, Err(SessionError::Conflict));
}

/// Sets the limit of the store so that a session has no room for another secret.
fn fill(app: &App) {
    let sessions = app.fake.sessions.borrow();
    let sizes = sessions.values().map(|session| session.state.data.len());
    app.fake.limit.set(sizes.max());
}

#[test]
fn a_session_without_room_for_a_new_token_keeps_its_own() {
    let mut app = App::with(|c| c.cookie.max_age = Some(3600));
    app.set("a", "1");
    app = due_with(app);
    fill(&app);
    let cookie = app.cookie.clone();
    for _ in 0..5 {
        let mut session = app.open();
        assert!(!session.is_new(), "its use is noted");
        let headers = session.commit(&*app.fake).expect("a commit");
        assert!(!headers.is_empty(), "the cookie must not expire");
        app.take_cookie(&headers);
        assert_eq!(app.cookie, cookie);
        app.fake.wait(20 * 60);
    }
    app.set("a", "2");
    assert_eq!((app.get("a"), &app.cookie), (Some(text("2")), &cookie));
    let mut session = app.open();
    session.set("b", text("1")).expect("sets");
    let refused = app.commit(&mut session);
    assert!(matches!(refused, Err(SessionError::Invalid(_))));
    app.fake.limit.set(None);
    app.commit(&mut session).expect("there is room");
    app.request(|_| ());
    assert_ne!(app.cookie, cookie);
}

#[test]
fn a_new_token_opens_a_session_without_room_to_note_that_it_came_back() {
    let mut app = App::new();
    app.set("a", "1");
    app = due_with(app);
    app.request(|_| ());
    fill(&app);
    for _ in 0..3 {
        app.request(|s| assert!(!s.is_new()));
        app.set("a", "2");
        app.fake.wait(20 * 60);
    }
}

#[test]
fn a_new_token_that_was_asked_for_needs_room() {
    let app = &mut due();
    fill(app);
    let mut session = app.open();
    session.renew().expect("renews");
    let refused = app.commit(&mut session);
    assert!(matches!(refused, Err(SessionError::Invalid(_))));
}
