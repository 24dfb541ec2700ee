//! The errors of an application, made from the errors of the store and of decoding.

use crate::bindings::exports::session3::sessions::manager::SessionError;
use crate::bindings::session3::sessions::store::StoreError;
use crate::encoding::DecodeError;

/// Returns what a failure of the store means to the application.
pub fn session_error(error: StoreError) -> SessionError {
    match error {
        StoreError::Absent => SessionError::Ended,
        StoreError::Conflict(_) => SessionError::Conflict,
        StoreError::Busy => SessionError::Busy,
        StoreError::TooLarge(limit) => SessionError::Invalid(format!(
            "the session is larger than the store's limit of {limit} bytes: keep less in it"
        )),
        StoreError::Corrupt(why) => SessionError::Store(["the record is damaged: ", &why].concat()),
        StoreError::Unavailable(why) => SessionError::Store(why),
        StoreError::InvalidId => SessionError::Store(
            "the session ID or the cursor is malformed: pass one that came from this store".into(),
        ),
        StoreError::Exists => {
            SessionError::Store("another session has this ID: try again with another one".into())
        }
        StoreError::Unsupported => SessionError::Store(
            "the store does not support this operation: choose a store that does".into(),
        ),
    }
}

/// Returns what a state that cannot be decoded means to the application.
pub fn undecodable(error: DecodeError) -> SessionError {
    SessionError::Store(error.text().into())
}
