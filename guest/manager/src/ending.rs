//! Ending sessions in the store.

use crate::bindings::exports::session3::sessions::manager::SessionError;
use crate::bindings::session3::sessions::{
    events::{EndReason, Event},
    store::StoreError,
};
use crate::errors::session_error;
use crate::imports::Imports;

/// Ends a session in the store. Returns whether there was one.
pub fn end(id: &str, reason: EndReason, imports: &dyn Imports) -> Result<bool, SessionError> {
    let ended = imports.delete_session(id).map_err(session_error)?;
    if ended {
        imports.report(&Event::Ended((id.to_owned(), reason)));
    }
    Ok(ended)
}

/// Ends all sessions of a user except `kept`, and returns how many. A session that cannot be
/// ended does not stop the rest: its error is returned when all of them were tried.
pub fn end_of_user(
    user: &str,
    kept: Option<&str>,
    reason: EndReason,
    imports: &dyn Imports,
) -> Result<u32, SessionError> {
    let mut result = Ok(0);
    let ids = imports.sessions_of_user(user).map_err(session_error)?;
    for id in ids.iter().filter(|id| kept != Some(id)) {
        let ended = match is_of_user(id, user, imports) {
            Ok(true) => end(id, reason, imports),
            other => other,
        };
        result = result.and_then(|count| Ok(count + u32::from(ended?)));
    }
    result
}

/// Whether a session has not gone to another user since it was listed.
fn is_of_user(id: &str, user: &str, imports: &dyn Imports) -> Result<bool, SessionError> {
    match imports.load_session(id) {
        Ok(stored) => Ok(stored.is_some_and(|stored| stored.state.user.as_deref() == Some(user))),
        Err(StoreError::Corrupt(_)) => Ok(true),
        Err(error) => Err(session_error(error)),
    }
}
