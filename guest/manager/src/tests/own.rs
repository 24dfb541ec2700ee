//! The sessions of one user, which the user lists and ends, and their limit.

use super::{App, text};
use crate::bindings::exports::session3::sessions::manager::{Mode, SessionError};
use crate::bindings::session3::sessions::{
    events::{EndReason, Event},
    store::StoreError,
};
use crate::fake::Fake;

/// Logs one user in at several browsers, one per second.
fn browsers<const N: usize>(app: &App, user: &str) -> [App; N] {
    std::array::from_fn(|_| {
        let mut browser = App {
            cookie: String::new(),
            ..app.copy()
        };
        browser.log_in(user);
        browser.fake.wait(1);
        browser
    })
}

fn ended_by_application(app: &App) -> Vec<String> {
    let events = app.fake.take_events().into_iter();
    events
        .map(|event| match event {
            Event::Ended((id, EndReason::ExpiredByApplication)) => id,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn users_see_only_their_own_sessions() {
    let app = App::new();
    let alice: [App; 3] = browsers(&app, "alice");
    let _bob: [App; 2] = browsers(&app, "bob");
    let session = alice[1].open();
    let mut own = session.own_sessions(&*app.fake).expect("a list");
    own.sort_by_key(|own| own.created);
    let ids: Vec<_> = own.iter().map(|own| Some(own.id.clone())).collect();
    assert!(
        ids.iter()
            .eq(&[alice[0].id(), alice[1].id(), alice[2].id()])
    );
    let current: Vec<_> = own.iter().map(|own| own.is_current).collect();
    assert_eq!(current, [false, true, false]);
    assert_eq!(own[0].remote_address.as_deref(), Some("192.0.2.1"));
    assert_eq!(own[0].created + 1000, own[1].created);
    assert_eq!(own[0].accessed, own[0].created);
}

#[test]
fn sessions_that_timed_out_or_cannot_be_read_are_not_shown() {
    let app = App::with(|c| c.first_use_timeout = 600);
    let [mut one, two, three, four]: [App; 4] = browsers(&app, "alice");
    one.request(|_| ()); // After its first use it outlives the first-use timeout.
    let damaged = two.id().expect("it is stored");
    for (id, session) in app.fake.sessions.borrow_mut().iter_mut() {
        if *id == damaged {
            session.state.data.clear();
        }
    }
    app.damage(&three);
    let list = |app: &App| app.open().own_sessions(&*app.fake).expect("a list");
    let mut shown: Vec<_> = list(&one).into_iter().map(|own| Some(own.id)).collect();
    shown.sort();
    let mut expected = vec![one.id(), four.id()];
    expected.sort();
    assert_eq!(shown, expected);
    app.fake.wait(10 * 60);
    assert_eq!(list(&one).len(), 1);
}

#[test]
fn no_list_is_shown_that_lacks_what_could_not_be_loaded() {
    let app = App::new();
    let alice: [App; 3] = browsers(&app, "alice");
    let session = alice[0].open();
    let fail = |fake: &Fake| {
        fake.fault.replace(Some(StoreError::Busy));
    };
    app.fake.before_load.replace(Some(Box::new(fail)));
    let refused = session.own_sessions(&*app.fake);
    assert_eq!(refused.err(), Some(SessionError::Busy));
    assert_eq!(session.own_sessions(&*app.fake).map(|own| own.len()), Ok(3));
}

#[test]
fn a_session_without_a_user_has_no_own_sessions() {
    let mut app = App::new();
    app.set("a", "1");
    let mut session = app.open();
    assert_eq!(session.own_sessions(&*app.fake), Ok(vec![]));
    assert_eq!(session.expire_others(&*app.fake), Ok(0));
    let id = app.id().expect("it is stored");
    assert_eq!(session.expire_own(&id, &*app.fake), Ok(false));
    assert_eq!(app.stored(), 1);
}

#[test]
fn users_end_one_of_their_sessions_at_once() {
    let app = App::new();
    let [mine, other]: [App; 2] = browsers(&app, "alice");
    let [bob]: [App; 1] = browsers(&app, "bob");
    let [id, bobs] = [&other, &bob].map(|app| app.id().expect("it is stored"));
    app.fake.take_events();
    let mut session = mine.open();
    assert_eq!(session.expire_own(&bobs, &*app.fake), Ok(false));
    for nonsense in ["", "../etc/passwd", &"0".repeat(32), &"A".repeat(32)] {
        assert_eq!(session.expire_own(nonsense, &*app.fake), Ok(false));
    }
    assert_eq!(session.expire_own(&id, &*app.fake), Ok(true));
    assert_eq!(session.expire_own(&id, &*app.fake), Ok(false));
    assert_eq!(ended_by_application(&app), [id]);
    assert!(other.open().is_new());
    assert!(bob.is_logged_in() && mine.is_logged_in());
}

#[test]
fn users_end_the_session_that_they_use() {
    let mut app = App::new();
    app.log_in("alice");
    let id = app.id().expect("it is stored");
    app.fake.take_events();
    let mut session = app.open();
    session.set("a", text("1")).expect("sets");
    assert_eq!(session.expire_own(&id, &*app.fake), Ok(true));
    assert_eq!(app.stored(), 0, "at once");
    session.forget_changes();
    assert!(!session.view().has_info());
    assert_eq!(session.set("a", text("1")), Err(SessionError::Ended));
    let headers = session.commit(&*app.fake).expect("a commit");
    assert!(headers[0].value.starts_with("__Host-session=; "));
    assert_eq!(session.commit(&*app.fake), Ok(vec![]));
    assert_eq!(ended_by_application(&app), [id]);
}

#[test]
fn users_end_all_their_other_sessions_at_once() {
    let app = App::new();
    let alice: [App; 4] = browsers(&app, "alice");
    let [bob]: [App; 1] = browsers(&app, "bob");
    let mut others: Vec<_> = [0, 1, 3].iter().filter_map(|i| alice[*i].id()).collect();
    others.sort();
    app.fake.take_events();
    assert_eq!(alice[2].open().expire_others(&*app.fake), Ok(3));
    assert_eq!(ended_by_application(&app), others);
    let logged_in: Vec<_> = alice.iter().map(App::is_logged_in).collect();
    assert_eq!(logged_in, [false, false, true, false]);
    assert!(bob.is_logged_in());
    assert_eq!(alice[2].open().expire_others(&*app.fake), Ok(0));
}

#[test]
fn a_session_that_cannot_be_ended_keeps_no_other_one() {
    let app = App::new();
    let alice: [App; 4] = browsers(&app, "alice");
    app.keep_busy(&alice[0]);
    app.damage(&alice[1]);
    let ended = alice[2].open().expire_others(&*app.fake);
    assert_eq!((ended, app.stored()), (Err(SessionError::Busy), 2));
    app.fake.busy.take();
    assert_eq!(alice[2].open().expire_others(&*app.fake), Ok(1));
}

#[test]
fn a_session_that_went_to_another_user_meanwhile_is_not_ended() {
    let app = App::new();
    let [mine, mut other]: [App; 2] = browsers(&app, "alice");
    let session = mine.open();
    let log_in = move |_: &Fake| other.log_in("bob");
    app.fake.before_load.replace(Some(Box::new(log_in)));
    assert_eq!(session.expire_others(&*app.fake), Ok(0));
    assert_eq!(app.stored(), 2);
}

#[test]
fn a_read_only_session_ends_no_session() {
    let app = App::new();
    let alice: [App; 2] = browsers(&app, "alice");
    let mut session = alice[0].open_as(Mode::ReadOnly).expect("a session");
    let id = alice[1].id().expect("it is stored");
    let refused = session.expire_own(&id, &*app.fake);
    assert_eq!(refused, Err(SessionError::ReadOnly));
    let refused = session.expire_others(&*app.fake);
    assert_eq!(refused, Err(SessionError::ReadOnly));
    assert_eq!(session.own_sessions(&*app.fake).map(|own| own.len()), Ok(2));
}

#[test]
fn a_users_least_recently_used_sessions_end_when_there_are_more() {
    let app = App::with(|c| c.max_sessions_per_user = Some(3));
    let mut alice: [App; 3] = browsers(&app, "alice");
    let bob: [App; 3] = browsers(&app, "bob");
    app.fake.wait(120);
    alice[0].request(|_| ()); // This use makes it the most recently used one.
    let id = alice[1].id().expect("it is stored");
    app.fake.take_events();
    let [newest]: [App; 1] = browsers(&app, "alice");
    assert!(
        app.fake
            .take_events()
            .contains(&Event::Ended((id, EndReason::TooMany)))
    );
    let logged_in: Vec<_> = alice.iter().map(App::is_logged_in).collect();
    assert_eq!(logged_in, [true, false, true]);
    assert!(newest.is_logged_in() && bob.iter().all(App::is_logged_in));
}

#[test]
fn sessions_that_timed_out_go_before_any_other() {
    let app = App::with(|c| {
        c.max_sessions_per_user = Some(2);
        c.first_use_timeout = 600;
    });
    let [mut used, unused]: [App; 2] = browsers(&app, "alice");
    used.request(|_| ());
    // This session is used less recently than the one whose cookie never came back.
    let id = used.id().expect("it is stored");
    if let Some(session) = app.fake.sessions.borrow_mut().get_mut(&id) {
        session.modified -= 60_000;
    }
    app.fake.wait(11 * 60);
    let [newest]: [App; 1] = browsers(&app, "alice");
    assert_eq!(app.stored(), 2);
    assert!(used.is_logged_in() && newest.is_logged_in());
    assert!(unused.open().is_new());
}

#[test]
fn a_bound_of_one_leaves_the_session_that_logs_in() {
    let app = App::with(|c| c.max_sessions_per_user = Some(1));
    let alice: [App; 3] = browsers(&app, "alice");
    let logged_in: Vec<_> = alice.iter().map(App::is_logged_in).collect();
    assert_eq!(logged_in, [false, false, true]);
}

/// Each log-in runs after the previous one has saved and before it counts the sessions.
#[test]
fn log_ins_at_once_leave_as_many_as_allowed() {
    fn log_in(app: &App, depth: u32) {
        let mut browser = app.copy();
        let next = app.copy();
        if depth > 0 {
            let log_in = move |fake: &Fake| {
                fake.now.set(fake.now.get() + 1);
                log_in(&next, depth - 1);
            };
            app.fake.before_list.replace(Some(Box::new(log_in)));
        }
        browser.log_in("alice");
    }
    for max in [1, 3] {
        let app = App::with(|c| c.max_sessions_per_user = Some(max));
        log_in(&app, 9);
        assert_eq!(app.stored(), max as usize);
    }
}

#[test]
fn a_bound_that_cannot_be_kept_is_an_error_and_the_next_commit_sends_the_cookie() {
    let app = App::with(|c| c.max_sessions_per_user = Some(1));
    let [_first]: [App; 1] = browsers(&app, "alice");
    let mut second = app.copy();
    second.set("a", "1");
    let mut session = second.open();
    session
        .set_user(Some("alice".into()), &*app.fake)
        .expect("logs in");
    let fail = |fake: &Fake| {
        fake.fault_of_user.replace(Some(StoreError::Unsupported));
    };
    app.fake.before_save.borrow_mut().push(Box::new(fail));
    let refused = second.commit(&mut session);
    assert!(matches!(refused, Err(SessionError::Store(_))));
    second.commit(&mut session).expect("a commit");
    assert!(second.is_logged_in());
    assert_eq!(app.stored(), 1);
}

#[test]
fn a_log_in_counts_although_older_sessions_cannot_be_ended_now() {
    let app = App::with(|c| c.max_sessions_per_user = Some(2));
    let [first]: [App; 1] = browsers(&app, "alice");
    app.keep_busy(&first);
    let [second, third]: [App; 2] = browsers(&app, "alice");
    assert_eq!(app.stored(), 3, "no younger session is ended instead");
    app.damage(&second);
    let [fourth]: [App; 1] = browsers(&app, "alice");
    assert!(third.is_logged_in() && fourth.is_logged_in());
    app.fake.busy.take();
    let [fifth]: [App; 1] = browsers(&app, "alice");
    let logged_in = [&first, &third, &fourth, &fifth].map(App::is_logged_in);
    assert_eq!(
        logged_in,
        [false, false, true, true],
        "a later log-in ends the oldest ones"
    );
}

#[test]
fn a_log_in_counts_although_the_store_cannot_list_the_sessions_now() {
    for fault in [StoreError::Busy, StoreError::Unavailable("gone".into())] {
        let app = App::with(|c| c.max_sessions_per_user = Some(1));
        let [_first]: [App; 1] = browsers(&app, "alice");
        app.fake.fault_of_user.replace(Some(fault));
        let [second]: [App; 1] = browsers(&app, "alice");
        assert!(second.is_logged_in());
    }
}
