//! Records that cannot be read.

use super::App;
use crate::bindings::exports::session3::sessions::manager::{Mode, Policy, SessionError};
use crate::bindings::session3::sessions::{events::Event, store::StoreError};

#[test]
fn a_damaged_session_is_kept_and_follows_the_policy() {
    for policy in [Policy::Ignore, Policy::Report, Policy::Fail] {
        let mut app = App::with(|c| c.on_damage = policy);
        app.set("a", "1");
        let id = app.id().expect("it is stored");
        app.fake.take_events();
        app.fake
            .fault
            .replace(Some(StoreError::Corrupt("torn".into())));
        let session = app.open_as(Mode::Merge);
        assert_eq!(session.is_err(), policy == Policy::Fail);
        let event = Event::Damaged((id, "torn".into()));
        let reported = policy != Policy::Ignore;
        assert_eq!(app.fake.take_events(), vec![event; reported.into()]);

        let break_state = |app: &App| {
            for session in app.fake.sessions.borrow_mut().values_mut() {
                session.state.data.pop();
            }
        };
        break_state(&app);
        assert_eq!(app.open_as(Mode::Merge).is_err(), policy == Policy::Fail);
        assert_eq!(app.stored(), 1);
    }
}

#[test]
fn a_newer_managers_session_is_an_error_and_stays() {
    let mut app = App::new();
    app.set("a", "1");
    for session in app.fake.sessions.borrow_mut().values_mut() {
        session.state.data[0] = 5;
    }
    let error = app.open_as(Mode::Merge).err();
    assert!(matches!(error, Some(SessionError::Store(_))));
    assert_eq!(app.stored(), 1);
}
