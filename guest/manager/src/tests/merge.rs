//! Commits of a request when another request has committed first.

use super::{App, text};
use crate::bindings::exports::session3::sessions::manager::{Mode, SessionError};
use crate::bindings::session3::sessions::{events::Event, session_types::Value};
use crate::fake::Fake;
use crate::session::Session;

/// Commits the changes `mine` after another request has loaded the session later and has
/// committed the changes `other`. Returns the result of the commit.
pub fn race(
    mode: Mode,
    mine: impl FnOnce(&mut Session, &Fake),
    other: impl FnOnce(&mut Session, &Fake) + 'static,
) -> (App, Result<(), SessionError>) {
    let mut app = App::new();
    app.log_in("alice");
    app.request(|s| {
        s.set("n", Value::Integer(10)).expect("sets");
        s.set("a", text("0")).expect("sets");
    });
    app.fake.take_events();
    let mut session = app.open_as(mode).expect("a session");
    mine(&mut session, &app.fake);
    let mut others = app.copy();
    app.fake
        .before_save
        .borrow_mut()
        .push(Box::new(move |fake| {
            let mut session = others.open();
            other(&mut session, fake);
            others
                .commit(&mut session)
                .expect("the commit of the other request");
        }));
    let result = app.commit(&mut session);
    (app, result)
}

pub fn add(delta: i64) -> impl FnOnce(&mut Session, &Fake) {
    move |s, _| {
        s.add("n", delta).expect("adds");
    }
}

fn set(name: &'static str, value: &'static str) -> impl FnOnce(&mut Session, &Fake) {
    move |s, _| s.set(name, text(value)).expect("sets")
}

#[test]
fn concurrent_additions_all_count() {
    let (app, result) = race(Mode::Merge, add(1), add(5));
    assert_eq!(result, Ok(()));
    assert_eq!(app.get("n"), Some(Value::Integer(16)));
    let id = app.id().expect("it is stored");
    assert_eq!(app.fake.take_events(), [Event::Merged(id)]);
}

#[test]
fn different_attributes_do_not_disturb_each_other() {
    let (app, result) = race(Mode::Merge, set("mine", "1"), set("other", "2"));
    assert_eq!(result, Ok(()));
    assert_eq!(app.open().names(), ["a", "mine", "n", "other"]);
}

#[test]
fn of_the_same_attribute_set_twice_the_later_commit_counts() {
    let (app, result) = race(Mode::Merge, set("a", "mine"), set("a", "other"));
    assert_eq!((result, app.get("a")), (Ok(()), Some(text("mine"))));
    let remove = |s: &mut Session, _: &Fake| {
        s.remove("a").expect("removes");
    };
    let (app, result) = race(Mode::Merge, remove, set("a", "other"));
    assert_eq!((result, app.get("a")), (Ok(()), None));
}

#[test]
fn an_addition_to_what_is_no_integer_any_more_saves_nothing() {
    let (app, result) = race(Mode::Merge, add(1), set("n", "text"));
    assert!(matches!(result, Err(SessionError::Invalid(_))));
    assert_eq!(app.get("n"), Some(text("text")));
    let (app, result) = race(Mode::Merge, add(i64::MAX - 10), add(1));
    assert!(matches!(result, Err(SessionError::Invalid(_))));
    assert_eq!(app.get("n"), Some(Value::Integer(11)));
}

#[test]
fn a_log_out_wins_against_requests_under_way() {
    let expire = |s: &mut Session, _: &Fake| s.expire().expect("ends");
    let (app, result) = race(Mode::Merge, add(1), expire);
    assert_eq!(result, Err(SessionError::Ended));
    assert_eq!((app.stored(), app.open().is_new()), (0, true));
}

#[test]
fn a_commit_that_began_under_another_user_saves_nothing() {
    for user in [Some("bob"), None] {
        let change = move |s: &mut Session, fake: &Fake| {
            s.set_user(user.map(str::to_owned), fake).expect("changes");
        };
        let (app, result) = race(Mode::Merge, set("secret", "alice's"), change);
        assert_eq!(result, Err(SessionError::Ended));
        let sessions = app.fake.sessions.borrow();
        let stored = sessions.values().next().expect("one session");
        let data = String::from_utf8_lossy(&stored.state.data);
        assert!(!data.contains("secret") && !data.contains("alice"));
    }
}

#[test]
fn a_new_authentication_of_the_same_user_merges_and_its_secret_stays() {
    let again = |s: &mut Session, fake: &Fake| {
        s.set_user(Some("alice".into()), fake).expect("logs in");
    };
    let (app, result) = race(Mode::Merge, add(1), again);
    assert_eq!(result, Ok(()));
    // The browser of the slow request has the old token, which opens nothing any more.
    assert!(app.open().is_new());
    let sessions = app.fake.sessions.borrow();
    assert_eq!(sessions.values().next().map(|s| s.version), Some(4));
}

#[test]
fn a_merge_gives_up_after_64_rounds() {
    let mut app = App::new();
    app.set("a", "1");
    let mut session = app.open();
    session.add("n", 1).expect("adds");
    for _ in 0..64 {
        let mut others = app.copy();
        app.fake
            .before_save
            .borrow_mut()
            .push(Box::new(move |fake| {
                let before_save = fake.before_save.take();
                others.request(|s| s.add("other", 1).expect("adds"));
                *fake.before_save.borrow_mut() = before_save;
            }));
    }
    assert_eq!(app.commit(&mut session), Err(SessionError::Conflict));
    assert_eq!(app.get("other"), Some(Value::Integer(64)));
    app.commit(&mut session)
        .expect("a commit after all other commits");
    assert_eq!(app.get("n"), Some(Value::Integer(1)));
}
