//! The remote address and the user agent of the request that started a session.

use super::App;
use crate::bindings::exports::session3::sessions::manager::{Mode, Policy, SessionError};
use crate::bindings::session3::sessions::events::{EndReason, Event, RejectReason};
use crate::state::State;

const AT_START: (Option<&str>, Option<&str>) = (Some("192.0.2.1"), Some("Browser/1"));
const OTHERS: [(Option<&str>, Option<&str>); 3] = [
    (Some("192.0.2.2"), Some("Browser/1")),
    (Some("192.0.2.1"), Some("Browser/2")),
    (None, Some("Browser/2")),
];

fn logged_in(policy: Policy) -> (App, String) {
    let mut app = App::with(|c| c.on_client_change = policy);
    app.client = AT_START;
    app.log_in("alice");
    let id = app.id().expect("it is stored");
    app.fake.take_events();
    (app, id)
}

#[test]
fn a_client_is_unchanged_if_a_request_lacks_its_address_or_user_agent() {
    let (mut app, _) = logged_in(Policy::Fail);
    for client in [
        AT_START,
        (None, AT_START.1),
        (AT_START.0, None),
        (None, None),
    ] {
        app.client = client;
        assert!(app.is_logged_in());
    }
    let mut app = App::with(|c| c.on_client_change = Policy::Fail);
    app.client = (None, None);
    app.log_in("alice");
    app.client = AT_START;
    assert!(app.is_logged_in(), "the first request had no address");
    assert_eq!(app.open().view().remote_address, None);
}

#[test]
fn an_address_that_is_mapped_to_ipv6_is_the_same_address() {
    for (first, now, is_same) in [
        ("192.0.2.1", "::ffff:192.0.2.1", true),
        ("::FFFF:192.0.2.1", "192.0.2.1", true),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1", true),
        ("192.0.2.1", "::ffff:192.0.2.2", false),
        ("::ffff:1", "1", false),
        ("é::ffff:192.0.2.1", "192.0.2.1", false),
    ] {
        let mut app = App::with(|c| c.on_client_change = Policy::Fail);
        app.client = (Some(first), None);
        app.log_in("alice");
        app.client = (Some(now), None);
        assert_eq!(app.open_as(Mode::Merge).is_ok(), is_same, "{first} {now}");
    }
}

#[test]
fn a_changed_client_is_ignored_or_reported() {
    for (policy, events) in [(Policy::Ignore, 0), (Policy::Report, 3)] {
        let (mut app, id) = logged_in(policy);
        for client in OTHERS {
            app.client = client;
            assert!(app.is_logged_in());
        }
        let expected = vec![Event::ClientChanged(id); events];
        assert_eq!(app.fake.take_events(), expected);
    }
}

#[test]
fn a_changed_client_ends_the_session() {
    for client in OTHERS {
        let (mut app, id) = logged_in(Policy::End);
        app.client = client;
        assert!(app.open().is_new());
        assert_eq!(app.stored(), 0);
        let ended = Event::Ended((id.clone(), EndReason::ClientChanged));
        let rejected = Event::Rejected((Some(id), RejectReason::Ended));
        assert_eq!(app.fake.take_events(), [ended, rejected]);
    }
}

#[test]
fn a_session_that_a_changed_client_cannot_end_now_is_an_error_until_it_ends() {
    let (mut app, _) = logged_in(Policy::End);
    app.keep_busy(&app);
    app.client = OTHERS[0];
    let refused = app.open_as(Mode::Merge).err();
    assert_eq!(refused, Some(SessionError::Busy));
    app.fake.busy.take();
    assert!(app.open().is_new());
    assert_eq!(app.stored(), 0);
}

#[test]
fn a_changed_client_is_an_error_and_the_session_stays() {
    for client in OTHERS {
        let (mut app, id) = logged_in(Policy::Fail);
        app.client = client;
        let refused = app.open_as(Mode::Merge).err();
        assert_eq!(refused, Some(SessionError::ClientChanged));
        assert_eq!(app.fake.take_events(), [Event::ClientChanged(id)]);
        app.client = AT_START;
        assert!(app.is_logged_in());
    }
}

#[test]
fn a_client_without_the_secret_causes_no_client_event() {
    let (mut app, id) = logged_in(Policy::End);
    app.client = OTHERS[0];
    app.cookie = format!("__Host-session={id}.AAAAAAAAAAAAAAAAAAAAAA");
    assert!(app.open().is_new());
    let wrong = Event::Rejected((Some(id), RejectReason::WrongSecret));
    assert_eq!((app.fake.take_events(), app.stored()), (vec![wrong], 1));
}

#[test]
fn of_a_long_user_agent_the_beginning_is_kept_and_compared() {
    let begins = |end: &str| format!("{}é{end}", "B".repeat(511)).leak() as &str;
    let other = "C".repeat(1 << 20).leak() as &str;
    let mut app = App::with(|c| c.on_client_change = Policy::Fail);
    app.client = (Some(begins("")), Some(begins(&"x".repeat(1 << 20))));
    app.log_in("alice");
    let stored = app.fake.sessions.borrow().values().next().cloned();
    assert!(stored.is_some_and(|stored| stored.state.data.len() < 1200));
    let kept = Some("B".repeat(511));
    assert_eq!(app.open().view().remote_address, kept);
    assert_eq!(app.open().view().user_agent, kept);
    app.client = (Some(begins("y")), Some(begins("z")));
    assert!(app.is_logged_in(), "the kept part is equal");
    for client in [(None, Some(other)), (Some(other), None)] {
        app.client = client;
        assert!(app.open_as(Mode::Merge).is_err());
    }
}

/// Earlier releases stored user agents of any length. Their sessions stay valid.
#[test]
fn a_long_user_agent_that_was_kept_whole_is_the_same_client() {
    let mut app = App::with(|c| c.on_client_change = Policy::Fail);
    let long = "B".repeat(600).leak() as &str;
    app.client = (None, Some(long));
    app.log_in("alice");
    for stored in app.fake.sessions.borrow_mut().values_mut() {
        let mut state = State::decode(&stored.state).expect("a state");
        state.user_agent = Some(long.into());
        stored.state = state.encode(stored.state.expires).expect("encodes");
    }
    assert!(app.is_logged_in());
}
