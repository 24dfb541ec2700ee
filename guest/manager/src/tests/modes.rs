//! Sessions in the modes `strict`, `exclusive` and `read-only`.

use super::merge::{add, race};
use super::{App, text};
use crate::bindings::exports::session3::sessions::manager::{Mode, SessionError};
use crate::bindings::session3::sessions::session_types::Value;
use crate::fake::Lease;

#[test]
fn a_strict_session_merges_nothing() {
    let (app, result) = race(Mode::Strict, add(1), add(5));
    assert_eq!(result, Err(SessionError::Conflict));
    assert_eq!(app.get("n"), Some(Value::Integer(15)));
}

#[test]
fn a_read_only_session_writes_nothing_at_all() {
    let mut app = App::new();
    app.set("a", "1");
    app.fake.wait(120);
    let writes = app.fake.writes.get();
    let fake = app.fake.clone();
    let mut s = app.open_as(Mode::ReadOnly).expect("a session");
    assert_eq!(s.get("a"), Some(text("1")));
    let refused = Err(SessionError::ReadOnly);
    assert_eq!(s.set("a", text("2")), refused);
    assert_eq!(s.set_user(Some("eve".into()), &*fake), refused);
    assert_eq!(s.add("n", 1), Err(SessionError::ReadOnly));
    assert_eq!(s.remove("a"), Err(SessionError::ReadOnly));
    assert_eq!(s.expire(), refused);
    app.commit(&mut s).expect("nothing to do");
    app.fake.wait(24 * 60 * 60);
    assert!(app.open_as(Mode::ReadOnly).expect("a session").is_new());
    assert_eq!((app.fake.writes.get(), app.stored()), (writes, 1));
}

#[test]
fn an_exclusive_session_is_busy_until_its_commit_or_drop() {
    let mut app = App::new();
    app.set("a", "1");
    let busy = Some(SessionError::Busy);
    let mut first = app.open_as(Mode::Exclusive).expect("a session");
    assert_eq!(app.open_as(Mode::Exclusive).err(), busy);
    first.set("a", text("2")).expect("sets");
    app.commit(&mut first).expect("a commit");

    let mut second = app
        .open_as(Mode::Exclusive)
        .expect("the commit released the lock");
    assert_eq!(second.get("a"), Some(text("2")));
    assert_eq!(app.open_as(Mode::Exclusive).err(), busy);
    second.forget_changes();
    let third = app.open_as(Mode::Exclusive).expect("forgotten");
    assert_eq!(app.open_as(Mode::Exclusive).err(), busy);
    drop(third);
    let mut fourth = app.open_as(Mode::Exclusive).expect("dropped");
    fourth.expire().expect("ends");
    app.commit(&mut fourth).expect("a commit");
    assert!(fourth.lock.is_none());
}

#[test]
fn an_exclusive_session_is_loaded_under_its_lock() {
    let mut app = App::new();
    app.set("n", "0");
    let mut others = app.copy();
    // The lock holder commits before this request takes the lock.
    app.fake
        .before_lock
        .replace(Some(Box::new(move |_| others.set("n", "1"))));
    let mut session = app.open_as(Mode::Exclusive).expect("a session");
    assert_eq!(session.get("n"), Some(text("1")));
    session.set("n", text("2")).expect("sets");
    assert_eq!(app.commit(&mut session), Ok(()));
}

#[test]
fn after_its_deadline_an_exclusive_session_saves_nothing() {
    let mut app = App::new();
    app.log_in("alice");
    app.set("a", "1");
    let mut session = app.open_as(Mode::Exclusive).expect("a session");
    let token = session.create_form_token(&*app.fake).expect("a token");
    app.commit(&mut session).expect("a commit");

    let mut session = app.open_as(Mode::Exclusive).expect("a session");
    let id = app.id().expect("it is stored");
    app.fake.locks.borrow()[&id].set(Lease::Over);
    session.set("a", text("2")).expect("sets");
    let writes = app.fake.writes.get();
    let conflict = Err(SessionError::Conflict);
    assert_eq!(app.commit(&mut session), conflict);
    let used_up = session.remove_form_token(&token, &*app.fake);
    assert_eq!(used_up, Err(SessionError::Conflict));
    assert_eq!(app.fake.writes.get(), writes);
    assert_eq!(app.get("a"), Some(text("1")));

    session.expire().expect("a log-out works all the same");
    assert_eq!((app.commit(&mut session), app.stored()), (Ok(()), 0));
}

#[test]
fn after_its_deadline_an_exclusive_session_that_changed_nothing_is_a_conflict_too() {
    let mut app = App::new();
    app.log_in("alice");
    app.request(|_| ());
    // After these times the commit has nothing to do, a touch, and a renewal.
    for wait in [0, 61, 15 * 60] {
        app.fake.wait(wait);
        let mut session = app.open_as(Mode::Exclusive).expect("a session");
        let id = app.id().expect("it is stored");
        app.fake.locks.borrow()[&id].set(Lease::Over);
        let writes = app.fake.writes.get();
        assert_eq!(app.commit(&mut session), Err(SessionError::Conflict));
        assert_eq!(app.fake.writes.get(), writes);
    }
}

#[test]
fn an_exclusive_session_merges_nothing() {
    for work in [add(1), add(0)] {
        let (app, result) = race(Mode::Exclusive, work, add(5));
        assert_eq!(result, Err(SessionError::Conflict));
        assert_eq!(app.get("n"), Some(Value::Integer(15)));
    }
}

#[test]
fn a_client_without_the_secret_takes_no_lock() {
    let mut app = App::new();
    app.set("a", "1");
    let id = app.id().expect("it is stored");
    app.cookie = format!("__Host-session={id}.AAAAAAAAAAAAAAAAAAAAAA");
    assert!(app.open_as(Mode::Exclusive).expect("a new one").is_new());
    assert!(app.fake.locks.borrow().is_empty());
}
