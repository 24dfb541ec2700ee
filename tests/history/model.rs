//! What the contract says about one session.

use crate::operation::{Action, Content, Outcome};

/// Returns what a store must answer to an action on a session, and the session after it.
pub fn apply(action: Action, session: Option<Content>) -> (Outcome, Option<Content>) {
    let expected = match action {
        Action::Save { expected, .. } | Action::Touch { expected, .. } => expected,
        Action::Create { state, expires } => return create(session, state, expires),
        Action::Load => return (Outcome::Loaded(session), session),
        Action::Delete => return (Outcome::Deleted(session.is_some()), None),
    };
    match session {
        None => (Outcome::Absent, None),
        Some(found) if found.version != expected => (Outcome::Conflict(found.version), session),
        Some(found) => change(action, found),
    }
}

fn create(session: Option<Content>, state: u64, expires: u64) -> (Outcome, Option<Content>) {
    let new = Content {
        version: 1,
        state,
        expires,
    };
    match session {
        None => (Outcome::Made(1), Some(new)),
        Some(_) => (Outcome::Exists, session),
    }
}

/// Saves or touches a session whose version is the expected one.
fn change(action: Action, mut session: Content) -> (Outcome, Option<Content>) {
    match action {
        Action::Save { state, expires, .. } => {
            let version = session.version + 1;
            let saved = Content {
                version,
                state,
                expires,
            };
            (Outcome::Made(version), Some(saved))
        }
        Action::Touch { expires, .. } => {
            session.expires = expires;
            (Outcome::Touched, Some(session))
        }
        other => unreachable!("{other} has no version"),
    }
}
