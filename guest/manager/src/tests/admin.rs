//! The functions of administration programs.

use super::{App, text};
use crate::admin;
use crate::bindings::exports::session3::sessions::admin::SessionInfo;
use crate::bindings::session3::sessions::{
    events::{EndReason, Event},
    session_types::Value,
    store::StoreError,
};
use crate::fake::Fake;

/// Creates two sessions of Alice, one of Bob, and one without a user.
fn four() -> (App, [App; 4]) {
    let app = App::new();
    let users = [Some("alice"), Some("alice"), Some("bob"), None];
    let browsers = users.map(|user| {
        let mut browser = app.copy();
        browser.set("a", "1");
        if let Some(user) = user {
            browser.log_in(user);
        }
        browser
    });
    app.fake.take_events();
    (app, browsers)
}

fn ended(app: &App) -> Vec<String> {
    let events = app.fake.take_events().into_iter();
    let mut ids: Vec<_> = events
        .map(|event| match event {
            Event::Ended((id, EndReason::ByAdministrator)) => id,
            other => panic!("{other:?}"),
        })
        .collect();
    ids.sort();
    ids
}

fn ids(sessions: &[SessionInfo]) -> Vec<String> {
    sessions.iter().map(|info| info.id.clone()).collect()
}

#[test]
fn a_session_shows_all_that_is_in_it_but_what_opens_it() {
    let mut app = App::new();
    let start = app.fake.now.get();
    app.request(|s| {
        s.set("t", text("grüße")).expect("sets");
        s.set("j", Value::Json("[1]".into())).expect("sets");
    });
    app.log_in("alice");
    app.fake.wait(100);
    app.request(|_| ());
    let id = app.id().expect("it is stored");
    let shown = admin::show(&id, &*app.fake);
    let expected = SessionInfo {
        id: id.clone(),
        user: Some("alice".into()),
        created: start,
        accessed: start + 100_000,
        expires: start + 100_000 + 30 * 60 * 1000,
        authenticated: Some(start),
        is_remembered: false,
        remote_address: Some("192.0.2.1".into()),
        user_agent: None,
        attributes: vec![
            ("j".into(), Value::Json("[1]".into())),
            ("t".into(), text("grüße")),
        ],
    };
    assert!(shown == Ok(Some(expected)));
    assert!(admin::show(&"0".repeat(32), &*app.fake) == Ok(None));
}

#[test]
fn all_sessions_are_listed_in_pages_and_damaged_ones_by_name() {
    let (app, browsers) = four();
    let all: Vec<_> = app.fake.sessions.borrow().keys().cloned().collect();
    app.damage(&browsers[0]);
    let newer = browsers[1].id().expect("it is stored");
    if let Some(session) = app.fake.sessions.borrow_mut().get_mut(&newer) {
        session.state.data[0] = 255;
    }
    let (mut seen, mut damaged, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let page = admin::list(cursor.as_deref(), 0, &*app.fake).expect("a page");
        assert!(page.sessions.len() <= 1);
        seen.extend(ids(&page.sessions));
        damaged.extend(page.damaged);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((seen.len(), damaged.len()), (2, 2));
    let newest = damaged.iter().find(|(id, _)| *id == newer);
    assert!(newest.is_some_and(|(_, why)| why.contains("newer")));
    seen.extend(damaged.into_iter().map(|(id, _)| id));
    seen.sort();
    assert_eq!(seen, all);
}

#[test]
fn the_sessions_of_one_user_are_listed() {
    let (app, browsers) = four();
    let mut listed = ids(&admin::list_of_user("alice", &*app.fake).expect("a list"));
    let mut expected: Vec<_> = browsers[..2].iter().filter_map(App::id).collect();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    let none = admin::list_of_user("carol", &*app.fake);
    assert!(none.is_ok_and(|list| list.is_empty()));
    app.fake.damaged.borrow_mut().push(expected[0].clone());
    let listed = admin::list_of_user("alice", &*app.fake).expect("a list");
    assert_eq!(ids(&listed), [expected[1].clone()]);
}

#[test]
fn an_administrator_ends_one_session() {
    let (app, browsers) = four();
    let id = browsers[2].id().expect("it is stored");
    assert_eq!(admin::delete(&id, &*app.fake), Ok(true));
    assert_eq!(admin::delete(&id, &*app.fake), Ok(false));
    assert_eq!((ended(&app), app.stored()), (vec![id], 3));
    assert!(browsers[2].open().is_new());
}

#[test]
fn an_administrator_ends_one_users_sessions() {
    let (app, browsers) = four();
    assert_eq!(admin::delete_of_user("alice", &*app.fake), Ok(2));
    let mut expected: Vec<_> = ended(&app);
    expected.sort();
    assert_eq!((expected.len(), app.stored()), (2, 2));
    assert!(browsers[2].is_logged_in() && !browsers[0].is_logged_in());
}

#[test]
fn an_administrator_ends_everyones_sessions() {
    let (app, browsers) = four();
    app.damage(&browsers[0]);
    let report = admin::delete_all(&*app.fake).expect("a report");
    assert_eq!((report.deleted, report.complete), (4, true));
    assert_eq!((ended(&app).len(), app.stored()), (4, 0));
    assert!(browsers.iter().all(|app| app.open().is_new()));
}

#[test]
fn ending_everyones_sessions_stops_in_time_and_goes_on_when_called_again() {
    let app = App::new();
    for _ in 0..2500 {
        app.copy().set("a", "1");
    }
    app.fake.slow_iteration.set(3);
    let report = admin::delete_all(&*app.fake).expect("a report");
    assert_eq!((report.deleted, report.complete), (2000, false));
    let report = admin::delete_all(&*app.fake).expect("a report");
    assert_eq!((report.deleted, report.complete), (500, true));
    assert_eq!(app.stored(), 0);
}

#[test]
fn a_session_that_cannot_be_ended_keeps_no_other_one() {
    let (app, browsers) = four();
    for busy in 0..4 {
        app.fake.busy.take();
        let others: Vec<_> = browsers.iter().map(App::copy).collect();
        app.keep_busy(&others[busy]);
        let before = app.fake.sessions.borrow().clone();
        assert!(admin::delete_all(&*app.fake).is_err());
        assert_eq!((app.stored(), others[busy].open().is_new()), (1, false));
        app.fake.sessions.replace(before);
    }
    app.fake.busy.take();
    app.keep_busy(&browsers[0]);
    assert!(admin::delete_of_user("alice", &*app.fake).is_err());
    assert!(browsers[0].is_logged_in() && !browsers[1].is_logged_in());
    assert!(browsers[2].is_logged_in());
    app.fake.busy.take();
    assert_eq!(admin::delete_of_user("alice", &*app.fake), Ok(1));
}

#[test]
fn what_cannot_be_ended_is_counted_when_there_is_no_time_for_the_rest() {
    let app = App::new();
    for _ in 0..2500 {
        app.copy().set("a", "1");
    }
    let first = app.fake.sessions.borrow().keys().next().cloned();
    app.fake.busy.borrow_mut().extend(first);
    app.fake.slow_iteration.set(3);
    let report = admin::delete_all(&*app.fake).expect("a report");
    let counts = (report.deleted, report.remaining, report.complete);
    assert_eq!(counts, (1999, 1, false));
    assert!(admin::delete_all(&*app.fake).is_err(), "none can end");
    assert_eq!(app.stored(), 1);
}

#[test]
fn a_session_that_went_to_another_user_meanwhile_is_not_listed_or_ended() {
    let (app, browsers) = four();
    let go = |from: usize| {
        let mut browser = browsers[from].copy();
        let log_in = move |_: &Fake| browser.log_in("bob");
        app.fake.before_load.replace(Some(Box::new(log_in)));
    };
    let ids: Vec<_> = browsers[..2].iter().filter_map(App::id).collect();
    let first = usize::from(ids[1] < ids[0]);
    go(first);
    let listed = admin::list_of_user("alice", &*app.fake).expect("a list");
    assert_eq!(self::ids(&listed), [ids[1 - first].clone()]);
    go(1 - first);
    assert_eq!(admin::delete_of_user("alice", &*app.fake), Ok(0));
    assert_eq!(app.stored(), 4);
}

#[test]
fn damaged_records_of_a_user_are_ended_too() {
    let (app, browsers) = four();
    app.damage(&browsers[0]);
    assert_eq!(admin::delete_of_user("alice", &*app.fake), Ok(2));
    assert_eq!(app.stored(), 2);
}

#[test]
fn an_administrator_ends_old_sessions() {
    let (app, mut browsers) = four();
    browsers[0].request(|_| ());
    app.fake.wait(9 * 60);
    browsers[1].request(|_| ());
    let report = admin::delete_old(5, &*app.fake).expect("a report");
    let counts = (report.deleted, report.remaining, report.complete);
    assert_eq!(counts, (3, 1, true));
    assert!(browsers[1].is_logged_in());
}

#[test]
fn a_store_that_fails_is_an_error_in_one_line() {
    let (app, browsers) = four();
    let id = browsers[0].id().expect("it is stored");
    for fault in [
        StoreError::InvalidId,
        StoreError::Busy,
        StoreError::Unsupported,
        StoreError::Corrupt("torn".into()),
        StoreError::Unavailable("disk full".into()),
    ] {
        let fail = || {
            app.fake.fault.replace(Some(fault.clone()));
            &*app.fake
        };
        let results = [
            admin::show(&id, fail()).map(|_| ()),
            admin::list(None, 9, fail()).map(|_| ()),
            admin::list_of_user("alice", fail()).map(|_| ()),
            admin::delete(&id, fail()).map(|_| ()),
            admin::delete_of_user("alice", fail()).map(|_| ()),
            admin::delete_all(fail()).map(|_| ()),
            admin::delete_old(1, fail()).map(|_| ()),
        ];
        for result in results {
            let why = result.expect_err("an error");
            assert!(!why.is_empty() && !why.contains('\n'), "{why}");
        }
    }
    assert_eq!(app.stored(), 4);
}
