//! An instance that serves several requests, one after another.

use super::{App, text};
use crate::bindings::exports::session3::sessions::manager::{Mode, SessionError};
use crate::handle::{SessionHandle, end_request};

#[test]
fn a_session_that_was_not_dropped_is_of_no_use_in_the_next_request() {
    let mut app = App::new();
    app.set("cart", "3");
    app.log_in("alice");
    for mode in [
        Mode::Merge,
        Mode::Strict,
        Mode::Exclusive,
        Mode::ReadOnly,
        Mode::DryRun,
    ] {
        let before = app.fake.sessions.borrow().clone();
        let forgotten = SessionHandle::new(app.open_as(mode).expect("a session"));
        assert_eq!(forgotten.look().get("cart"), Some(text("3")));
        // The mode may refuse it.
        let _ = forgotten.change().set("cart", text("4"));
        end_request();
        assert!(forgotten.look().id().is_none());
        assert!(forgotten.look().view().user.is_none());
        assert!(!forgotten.look().view().has_info());
        assert_eq!(forgotten.look().get("cart"), None);
        assert!(forgotten.change().set("cart", text("5")).is_err());
        let commit = || forgotten.borrow_mut().commit(&*app.fake);
        assert_eq!(commit(), Err(SessionError::Ended), "{mode:?}");
        forgotten.borrow_mut().forget_changes();
        assert!(forgotten.change().set("cart", text("5")).is_err());
        assert_eq!(forgotten.change().expire(), Ok(()));
        assert_eq!(commit(), Err(SessionError::Ended), "{mode:?}");
        assert!(
            forgotten
                .look()
                .own_sessions(&*app.fake)
                .is_ok_and(|own| own.is_empty())
        );
        assert!(forgotten.look().expire_others(&*app.fake).is_err());
        assert!(before == *app.fake.sessions.borrow(), "{mode:?}");
    }
    assert!(app.is_logged_in());
    assert_eq!(app.get("cart"), Some(text("3")));
}

#[test]
fn a_session_that_was_dropped_may_be_opened_by_the_next_request() {
    let mut app = App::new();
    app.set("cart", "3");
    end_request();
    let session = SessionHandle::new(app.open());
    session.change().set("cart", text("4")).expect("sets");
    assert!(session.borrow_mut().commit(&*app.fake).is_ok());
    assert_eq!(app.get("cart"), Some(text("4")));
}
