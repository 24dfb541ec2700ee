//! Ending a session in the store, with its event.

use crate::bindings::exports::session3::sessions::manager::SessionError;
use crate::bindings::session3::sessions::events::{EndReason, Event};
use crate::errors::session_error;
use crate::imports::Imports;

/// Ends a session, reports the event, and returns whether there was a session.
pub fn end_session(
    id: &str,
    reason: EndReason,
    imports: &dyn Imports,
) -> Result<bool, SessionError> {
    let ended = imports.delete_session(id).map_err(session_error)?;
    if ended {
        imports.report(&Event::Ended((id.to_owned(), reason)));
    }
    Ok(ended)
}
