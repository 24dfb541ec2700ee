//! The headers that keep caches from giving a page to another visitor, and dry runs.

use super::{App, text};
use crate::bindings::exports::session3::sessions::manager::{Mode, SessionError, UserCaching};
use crate::session::Session;

/// Commits, and returns the headers as pairs, without the cookie itself.
fn commit(app: &App, session: &mut Session) -> Vec<(String, String)> {
    let headers = session.commit(&*app.fake).expect("a commit");
    let headers = headers
        .into_iter()
        .map(|header| (header.name, header.value));
    headers.filter(|(name, _)| name != "Set-Cookie").collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = expected
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()));
    pairs.collect()
}

const VARY: (&str, &str) = ("Vary", "Cookie");

#[test]
fn a_page_that_depends_on_the_session_says_so() {
    let mut app = App::new();
    app.set("a", "1");
    app.request(|_| ());
    for mode in [
        Mode::Merge,
        Mode::Strict,
        Mode::Exclusive,
        Mode::ReadOnly,
        Mode::DryRun,
    ] {
        let mut session = app.open_as(mode).expect("a session");
        assert_eq!(commit(&app, &mut session), [], "nothing was looked at");
        session.note_look();
        assert_eq!(commit(&app, &mut session), pairs(&[VARY]));
        assert_eq!(commit(&app, &mut session), pairs(&[VARY]), "again");
    }
    // The page also depends on the cookie if there is no session.
    app.cookie.clear();
    let mut session = app.open();
    session.note_look();
    assert_eq!(commit(&app, &mut session), pairs(&[VARY]));
}

#[test]
fn no_cache_keeps_the_page_of_a_user() {
    for (caching, value) in [
        (UserCaching::NoStore, "no-store"),
        (UserCaching::Private, "private"),
    ] {
        let mut app = App::with(|c| c.user_caching = caching);
        let mut session = app.open();
        session
            .set_user(Some("alice".into()), &*app.fake)
            .expect("logs in");
        session.note_look();
        let headers = session.commit(&*app.fake).expect("a commit");
        app.take_cookie(&headers);
        let control = headers
            .iter()
            .filter(|header| header.name == "Cache-Control");
        let control: Vec<_> = control.map(|header| header.value.as_str()).collect();
        assert_eq!(control, ["no-store"], "the cookie is in this response");
        app.request(|_| ());
        let mut session = app.open();
        session.note_look();
        let expected = pairs(&[VARY, ("Cache-Control", value)]);
        assert_eq!(commit(&app, &mut session), expected);
    }
}

#[test]
fn a_dry_run_shows_its_changes_and_writes_nothing() {
    let mut app = App::with(|c| c.touch_after = 0);
    let fake = app.fake.clone();
    let form = app.request(|s| {
        s.flash("hello".into()).expect("a message");
        s.set_user(Some("alice".into()), &*fake).expect("logs in");
        s.create_form_token(&*fake).expect("a token")
    });
    let before = app.fake.sessions.borrow().clone();
    app.fake.wait(15 * 60);
    let mut session = app.open_as(Mode::DryRun).expect("a session");
    assert_eq!(session.take_flashes(), Ok(vec!["hello".into()]));
    session.add("n", 1).expect("adds");
    session.csrf_token(&*fake).expect("a token");
    assert_eq!(session.add("n", 1), Ok(2));
    assert!(session.has_form_token(&form));
    assert_eq!(
        commit(&app, &mut session),
        [],
        "no cookie, although a renewal is due"
    );
    for refused in [
        session.remove_form_token(&form, &*fake).map(|_| ()),
        session.expire_own(&"0".repeat(32), &*fake).map(|_| ()),
        session.expire_others(&*fake).map(|_| ()),
    ] {
        assert_eq!(refused, Err(SessionError::ReadOnly));
    }
    session.expire().expect("ends");
    assert_eq!(session.set("a", text("1")), Err(SessionError::Ended));
    assert_eq!(commit(&app, &mut session), []);
    assert!(before == *app.fake.sessions.borrow());
    app.cookie.clear();
    let mut session = app.open_as(Mode::DryRun).expect("a session");
    session.set("a", text("1")).expect("sets");
    assert_eq!(commit(&app, &mut session), []);
    assert_eq!((app.stored(), session.id()), (1, None));
}

#[test]
fn a_commit_that_writes_says_when_it_begins_and_ends() {
    let mut app = App::new();
    let counts =
        |app: &App| [&app.fake.commits_began, &app.fake.commits_ended].map(std::cell::Cell::take);
    app.set("a", "1");
    assert_eq!(counts(&app), [1, 1], "a create");
    app.request(|_| ());
    counts(&app);
    app.request(|_| ());
    app.fake.wait(61);
    app.request(|_| ());
    assert_eq!(counts(&app), [0, 0], "a request that reads, and a touch");
    app.set("a", "2");
    assert_eq!(counts(&app), [1, 1], "a save");
    let mut strict = app.open_as(Mode::Strict).expect("a session");
    app.set("a", "3");
    counts(&app);
    strict.set("a", text("4")).expect("sets");
    assert_eq!(strict.commit(&*app.fake), Err(SessionError::Conflict));
    assert_eq!(counts(&app), [1, 1], "a conflict");
    app.request(|s| s.expire().expect("ends"));
    assert_eq!(counts(&app), [1, 1], "the end of a session");
}
