//! All sessions of one user in the store: loading them, ending them, and keeping their number
//! below a limit.

use crate::bindings::exports::session3::sessions::manager::SessionError;
use crate::bindings::session3::sessions::{
    events::EndReason,
    store::{StoreError, StoredSession},
};
use crate::ending::end_session;
use crate::errors::session_error;
use crate::imports::Imports;

/// Ends all sessions of a user except the session `kept`, and returns their number.
///
/// # Errors
///
/// The first error, if a session could not be ended. All sessions that can be ended are
/// ended nevertheless.
pub fn end_sessions_of_user(
    user: &str,
    kept: Option<&str>,
    reason: EndReason,
    imports: &dyn Imports,
) -> Result<u32, SessionError> {
    let mut result = Ok(0);
    let ids = imports.sessions_of_user(user).map_err(session_error)?;
    for id in ids.iter().filter(|id| kept != Some(id)) {
        let ended = match belongs_to(id, user, imports) {
            Ok(true) => end_session(id, reason, imports),
            other => other,
        };
        result = result.and_then(|count| Ok(count + u32::from(ended?)));
    }
    result
}

/// Ends the least recently used sessions of a user while there are more than `max`, but
/// never the session `kept`.
///
/// Sessions that cannot be ended now are left to a later log-in.
///
/// # Errors
///
/// The error of the store, if it cannot list the user's sessions.
pub fn end_surplus_sessions(
    user: &str,
    kept: Option<&str>,
    max: u32,
    imports: &dyn Imports,
) -> Result<(), StoreError> {
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let ids = imports.sessions_of_user(user)?;
    if ids.len() <= max {
        return Ok(());
    }
    let now = imports.now();
    let (mut sessions, _) = load_sessions_of_user(user, &ids, imports);
    while sessions.len() > max {
        // Sessions that have timed out and were not deleted yet come first. Two log-ins at
        // once see the same order and end the sessions at its beginning, so they never end
        // each other's session.
        let key = |s: &StoredSession| (s.state.expires > now, s.modified);
        let order = |a: &&StoredSession, b: &&StoredSession| {
            key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id))
        };
        let Some(next) = sessions.iter().min_by(order) else {
            break;
        };
        let id = next.id.clone();
        if kept != Some(&id) {
            let _ = end_session(&id, EndReason::TooMany, imports);
        }
        sessions.retain(|session| session.id != id);
    }
    Ok(())
}

/// Loads those of the listed sessions that still belong to the user, without damaged ones.
/// The second result is the last error, if a session could not be loaded.
pub fn load_sessions_of_user(
    user: &str,
    ids: &[String],
    imports: &dyn Imports,
) -> (Vec<StoredSession>, Result<(), StoreError>) {
    let mut sessions = Vec::new();
    let mut loaded = Ok(());
    for id in ids {
        match imports.load_session(id) {
            Ok(Some(stored)) if stored.state.user.as_deref() == Some(user) => sessions.push(stored),
            Ok(_) | Err(StoreError::Corrupt(_)) => {}
            Err(error) => loaded = Err(error),
        }
    }
    (sessions, loaded)
}

/// Returns whether a listed session still belongs to the user. A damaged one does.
fn belongs_to(id: &str, user: &str, imports: &dyn Imports) -> Result<bool, SessionError> {
    match imports.load_session(id) {
        Ok(stored) => Ok(stored.is_some_and(|stored| stored.state.user.as_deref() == Some(user))),
        Err(StoreError::Corrupt(_)) => Ok(true),
        Err(error) => Err(session_error(error)),
    }
}
