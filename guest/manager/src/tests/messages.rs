//! Messages for the next page.

use super::App;
use super::merge::race;
use crate::bindings::exports::session3::sessions::manager::{Mode, SessionError};
use crate::fake::Fake;
use crate::session::Session;

fn flash(text: &'static str) -> impl FnOnce(&mut Session, &Fake) {
    move |s, _| s.flash(text.into()).expect("leaves a message")
}

fn take(app: &mut App) -> Vec<String> {
    app.request(|s| s.take_flashes().expect("takes"))
}

#[test]
fn messages_are_for_the_next_page_and_taken_once() {
    let mut app = App::new();
    app.request(|s| {
        s.flash("Saved.".into()).expect("leaves a message");
        s.flash("Sent.".into()).expect("leaves a message");
        assert!(s.view().has_info());
    });
    assert_eq!(take(&mut app), ["Saved.", "Sent."]);
    assert_eq!(take(&mut app), Vec::<String>::new());
}

#[test]
fn messages_taken_without_a_commit_stay() {
    let mut app = App::new();
    app.request(|s| s.flash("Saved.".into()).expect("leaves a message"));
    assert_eq!(app.open().take_flashes(), Ok(vec!["Saved.".into()]));
    app.request(|s| {
        s.take_flashes().expect("takes");
        s.forget_changes();
    });
    assert_eq!(take(&mut app), ["Saved."]);
}

#[test]
fn a_message_left_and_taken_by_the_same_request_is_not_kept() {
    let mut app = App::new();
    app.request(|s| s.flash("before".into()).expect("leaves a message"));
    app.request(|s| {
        s.flash("own".into()).expect("leaves a message");
        assert_eq!(s.take_flashes(), Ok(vec!["before".into(), "own".into()]));
        s.flash("after".into()).expect("leaves a message");
    });
    assert_eq!(take(&mut app), ["after"]);
}

#[test]
fn taking_messages_leaves_those_that_came_meanwhile() {
    let mut app = App::new();
    app.request(|s| s.flash("before".into()).expect("leaves a message"));
    let mut session = app.open();
    assert_eq!(session.take_flashes(), Ok(vec!["before".into()]));
    let leave = |s: &mut Session| s.flash("meanwhile".into()).expect("leaves a message");
    app.copy().request(leave);
    app.commit(&mut session).expect("a commit");
    assert_eq!(take(&mut app), ["meanwhile"]);
}

#[test]
fn messages_of_several_requests_are_all_kept() {
    let (mut app, result) = race(Mode::Merge, flash("mine"), flash("other"));
    assert_eq!(result, Ok(()));
    assert_eq!(take(&mut app), ["other", "mine"]);
}

#[test]
fn what_another_request_took_does_not_come_back() {
    let mut app = App::new();
    app.request(|s| s.flash("old".into()).expect("leaves a message"));
    let mut session = app.open();
    session.flash("new".into()).expect("leaves a message");
    assert_eq!(take(&mut app.copy()), ["old"]);
    app.commit(&mut session).expect("a commit");
    assert_eq!(take(&mut app), ["new"]);
}

#[test]
fn messages_have_a_bound() {
    let mut app = App::new();
    app.request(|s| {
        for index in 0..100 {
            s.flash(index.to_string()).expect("one of a hundred");
        }
        let refused = s.flash("one more".into());
        assert!(matches!(refused, Err(SessionError::Invalid(why)) if why.contains("100")));
    });
    assert_eq!(take(&mut app).len(), 100);
}

#[test]
fn messages_go_with_their_user() {
    for next in [Some("bob".to_owned()), None] {
        let mut app = App::new();
        app.request(|s| s.flash("Welcome.".into()).expect("leaves a message"));
        app.log_in("alice");
        let fake = app.fake.clone();
        app.request(|s| {
            assert!(!s.view().messages.is_empty());
            s.flash("Alice's balance".into()).expect("leaves a message");
            s.set_user(next.clone(), &*fake).expect("changes");
            s.flash("Good bye.".into()).expect("leaves a message");
        });
        assert_eq!(take(&mut app), ["Good bye."]);
    }
}
