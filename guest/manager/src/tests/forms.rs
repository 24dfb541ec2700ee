//! Form tokens: each is valid for one submission.

use super::merge::race;
use super::{App, text};
use crate::bindings::exports::session3::sessions::manager::{Mode, SessionError};
use crate::bindings::session3::sessions::session_types::Value;
use crate::fake::Fake;
use crate::session::Session;

fn form(app: &mut App) -> String {
    let fake = app.fake.clone();
    app.request(|s| s.create_form_token(&*fake).expect("a token"))
}

#[test]
fn a_form_token_is_good_once() {
    let mut app = App::new();
    let token = form(&mut app);
    assert_eq!(token.len(), 22, "128 bits");
    let fake = app.fake.clone();
    app.request(|s| {
        assert!(s.has_form_token(&token) && s.view().has_info());
        assert_eq!(s.remove_form_token(&token, &*fake), Ok(true));
        assert_eq!(s.remove_form_token(&token, &*fake), Ok(false));
        assert!(!s.has_form_token(&token));
    });
    assert!(!app.open().has_form_token(&token));
}

#[test]
fn a_form_token_is_used_up_in_the_store_before_the_commit() {
    let mut app = App::new();
    let token = form(&mut app);
    let mut session = app.open();
    session.set("a", text("1")).expect("sets");
    assert_eq!(session.remove_form_token(&token, &*app.fake), Ok(true));
    assert_eq!(app.get("a"), None, "the other changes wait for the commit");
    drop(session);
    let again = app.open().remove_form_token(&token, &*app.fake);
    assert_eq!(again, Ok(false), "although that request failed");
}

#[test]
fn of_fifty_submissions_at_once_exactly_one_counts() {
    for mode in [Mode::Merge, Mode::Strict] {
        let mut app = App::new();
        let token = form(&mut app);
        let mut sessions: Vec<_> = (0..50)
            .map(|_| app.open_as(mode).expect("a session"))
            .collect();
        let good = sessions
            .iter_mut()
            .map(|s| s.remove_form_token(&token, &*app.fake))
            .filter(|good| *good == Ok(true));
        assert_eq!(good.count(), 1);
    }
}

/// Each submission runs between the load and the save of the previous one.
#[test]
fn of_fifty_nested_submissions_exactly_one_counts() {
    fn submit(app: &App, token: &str, depth: u32, good: &std::rc::Rc<std::cell::Cell<u32>>) {
        let mut session = app.open();
        session.add("n", 1).expect("adds");
        if depth > 0 {
            let (next, token, good) = (app.copy(), token.to_owned(), good.clone());
            app.fake
                .before_save
                .borrow_mut()
                .push(Box::new(move |_| submit(&next, &token, depth - 1, &good)));
        }
        let was_good = session.remove_form_token(token, &*app.fake);
        good.set(good.get() + u32::from(was_good.expect("an answer")));
        session.commit(&*app.fake).expect("a commit");
    }
    let mut app = App::new();
    let token = form(&mut app);
    let good = std::rc::Rc::default();
    submit(&app, &token, 49, &good);
    assert_eq!(good.get(), 1);
    assert_eq!(app.get("n"), Some(Value::Integer(50)));
}

#[test]
fn a_submission_keeps_what_others_saved_meanwhile() {
    let mut app = App::new();
    let token = form(&mut app);
    let mut session = app.open();
    session.set("mine", text("1")).expect("sets");
    let mut others = app.copy();
    app.fake
        .before_save
        .borrow_mut()
        .push(Box::new(move |_| others.set("other", "2")));
    assert_eq!(session.remove_form_token(&token, &*app.fake), Ok(true));
    app.copy().set("third", "3");
    app.commit(&mut session).expect("a commit");
    assert_eq!(app.open().names(), ["mine", "other", "third"]);
    assert!(!app.open().has_form_token(&token));
}

#[test]
fn a_strict_submission_conflicts_and_uses_nothing_up() {
    let mut app = App::new();
    let token = form(&mut app);
    let mut session = app.open_as(Mode::Strict).expect("a session");
    app.copy().set("other", "2");
    let refused = session.remove_form_token(&token, &*app.fake);
    assert_eq!(refused, Err(SessionError::Conflict));
    assert!(app.open().has_form_token(&token));
}

#[test]
fn a_form_token_is_bound_to_its_session() {
    let mut app = App::new();
    let token = form(&mut app);
    let mut other = App {
        cookie: String::new(),
        ..app.copy()
    };
    form(&mut other);
    let mut session = other.open();
    assert!(!session.has_form_token(&token));
    assert_eq!(session.remove_form_token(&token, &*app.fake), Ok(false));
    assert!(app.open().has_form_token(&token));
}

#[test]
fn what_is_not_a_form_token_is_no_good() {
    let mut app = App::new();
    let token = form(&mut app);
    let mut session = app.open();
    let bad = [
        String::new(),
        token[1..].into(),
        format!("{token}A"),
        "A".repeat(22),
        "é".repeat(11),
        "=".repeat(1 << 20),
    ];
    for text in bad {
        assert!(!session.has_form_token(&text));
        assert_eq!(session.remove_form_token(&text, &*app.fake), Ok(false));
    }
}

#[test]
fn a_form_token_of_this_request_is_used_up_without_the_store() {
    let app = App::new();
    let mut session = app.open();
    let token = session.create_form_token(&*app.fake).expect("a token");
    assert_eq!(session.remove_form_token(&token, &*app.fake), Ok(true));
    assert!(!session.view().has_info());
    assert_eq!(app.fake.writes.get(), 0);
}

#[test]
fn the_oldest_of_thirty_three_form_tokens_goes() {
    let mut app = App::new();
    let first = form(&mut app);
    let second = form(&mut app);
    for _ in 0..31 {
        form(&mut app);
    }
    let session = app.open();
    assert!(!session.has_form_token(&first));
    assert!(session.has_form_token(&second));
}

#[test]
fn form_tokens_of_several_requests_are_all_good() {
    let mut app = App::new();
    let early = form(&mut app);
    let (mut one, mut other) = (app.open(), app.open());
    let mine = one.create_form_token(&*app.fake).expect("a token");
    let others = other.create_form_token(&*app.fake).expect("a token");
    app.commit(&mut one).expect("a commit");
    app.commit(&mut other).expect("a commit");
    let session = app.open();
    for token in [early, mine, others] {
        assert!(session.has_form_token(&token));
    }
}

#[test]
fn form_tokens_go_with_their_user() {
    for next in [Some("bob".to_owned()), None] {
        let mut app = App::new();
        let before = form(&mut app);
        app.log_in("alice");
        assert!(app.open().has_form_token(&before), "of the log-in page");
        let fake = app.fake.clone();
        app.request(|s| {
            let token = s.create_form_token(&*fake).expect("a token");
            s.set_user(next.clone(), &*fake).expect("changes");
            assert!(!s.has_form_token(&token));
        });
        assert!(!app.open().has_form_token(&before));
    }
}

#[test]
fn a_submission_under_another_user_is_ended() {
    let mut app = App::new();
    app.log_in("alice");
    let token = form(&mut app);
    let mut session = app.open();
    app.log_in("bob");
    let refused = session.remove_form_token(&token, &*app.fake);
    assert_eq!(refused, Err(SessionError::Ended));
}

#[test]
fn a_session_with_nothing_but_form_tokens_ends_soon() {
    let mut app = App::with(|c| c.first_use_timeout = 600);
    form(&mut app);
    app.fake.wait(9 * 60);
    app.request(|s| assert!(!s.is_new()));
    app.fake.wait(10 * 60 - 1);
    assert!(!app.open().is_new());
    app.fake.wait(1);
    assert!(app.open().is_new());
}

#[test]
fn a_form_token_that_another_request_drops_is_no_good_any_more() {
    let mine = |s: &mut Session, fake: &Fake| {
        for _ in 0..32 {
            s.create_form_token(fake).expect("a token");
        }
    };
    let other = |s: &mut Session, fake: &Fake| {
        s.create_form_token(fake).expect("a token");
    };
    let (app, result) = race(Mode::Merge, mine, other);
    assert_eq!(result, Ok(()));
    assert!(app.open().view().forms.len() == 32);
}
