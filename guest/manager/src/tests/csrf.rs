//! CSRF tokens, which are valid for any number of forms.

use super::merge::race;
use super::{App, text};
use crate::bindings::exports::session3::sessions::manager::{Mode, SessionError};
use crate::fake::Fake;
use crate::session::Session;

fn token(app: &mut App) -> String {
    let fake = app.fake.clone();
    app.request(|s| s.csrf_token(&*fake).expect("a token"))
}

#[test]
fn one_token_is_valid_for_any_number_of_forms_and_requests() {
    let mut app = App::new();
    let first = token(&mut app);
    for _ in 0..100 {
        let next = token(&mut app);
        assert_ne!(next, first, "each page has another mask");
        assert!(app.open().is_csrf_token(&first) && app.open().is_csrf_token(&next));
    }
    app.fake.wait(15 * 60);
    app.set("a", "1");
    app.request(|_| ());
    assert!(app.open().is_csrf_token(&first), "a renewal keeps it");
}

#[test]
fn a_token_is_bound_to_its_session() {
    let mut app = App::new();
    let mut other = app.copy();
    let own = token(&mut app);
    assert!(!other.open().is_csrf_token(&own));
    token(&mut other);
    assert!(!other.open().is_csrf_token(&own));
    for text in ["", "x", &"A".repeat(43)] {
        assert!(!app.open().is_csrf_token(text), "{text}");
    }
}

#[test]
fn a_token_is_valid_after_its_commit_only() {
    let mut app = App::new();
    app.set("a", "1");
    let mut session = app.open();
    let lost = session.csrf_token(&*app.fake).expect("a token");
    drop(session);
    assert!(!app.open().is_csrf_token(&lost));
    let mut session = app.open();
    session.csrf_token(&*app.fake).expect("a token");
    session.forget_changes();
    app.commit(&mut session).expect("nothing to save");
    assert!(app.open().view().csrf.is_none());
}

#[test]
fn the_token_changes_with_the_user() {
    let mut app = App::new();
    let fake = app.fake.clone();
    let mut tokens = vec![token(&mut app)];
    for user in [Some("alice"), Some("bob"), None] {
        let user = user.map(str::to_owned);
        app.request(|s| s.set_user(user, &*fake).expect("changes"));
        assert!(tokens.iter().all(|token| !app.open().is_csrf_token(token)));
        tokens.push(token(&mut app));
    }
    let alice = app.request(|s| {
        s.csrf_token(&*fake).expect("a token");
        s.set_user(Some("alice".into()), &*fake).expect("logs in");
        s.csrf_token(&*fake).expect("a token")
    });
    assert!(app.open().is_csrf_token(&alice));
}

/// Two pages that a browser loads at once both have valid forms.
#[test]
fn concurrent_requests_create_the_same_token() {
    let create = |s: &mut Session, fake: &Fake| {
        s.set("a", text("1")).expect("sets");
        let token = s.csrf_token(fake).expect("a token");
        s.flash(token).expect("a message");
    };
    for mode in [Mode::Merge, Mode::Strict] {
        let (mut app, result) = race(mode, create, create);
        let expected = match mode {
            Mode::Merge => Ok(()),
            _ => Err(SessionError::Conflict),
        };
        assert_eq!(result, expected);
        let tokens = app.request(|s| s.take_flashes().expect("the tokens"));
        assert!(tokens.iter().all(|token| app.open().is_csrf_token(token)));
        assert_eq!(tokens.len(), if mode == Mode::Merge { 2 } else { 1 });
    }
}

#[test]
fn a_session_that_is_only_read_gives_the_token_that_it_has() {
    let mut app = App::new();
    app.set("a", "1");
    let read_only = |app: &App| {
        let mut session = app.open_as(Mode::ReadOnly).expect("a session");
        session.csrf_token(&*app.fake)
    };
    assert_eq!(read_only(&app), Err(SessionError::ReadOnly));
    token(&mut app);
    let again = read_only(&app).expect("a token");
    assert!(app.open().is_csrf_token(&again));
}

/// Any robot that loads a form gets such a session, so it ends after the first-use timeout.
#[test]
fn a_session_with_nothing_but_a_token_lasts_as_long_as_one_with_form_tokens() {
    let mut app = App::with(|c| c.first_use_timeout = c.idle_timeout + 600);
    token(&mut app);
    let seconds = u64::from(app.open().config.first_use_timeout);
    app.fake.wait(seconds - 1);
    assert!(!app.open().is_new(), "a visitor may take their time");
    app.fake.wait(1);
    assert!(app.open().is_new());
}
