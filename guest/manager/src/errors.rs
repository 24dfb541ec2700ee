//! The errors of the store, as applications see them.

use crate::bindings::exports::session3::sessions::manager::SessionError;
use crate::bindings::session3::sessions::store::StoreError;

/// Returns what a failure of the store means to an application.
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
        StoreError::InvalidId => SessionError::Store("the store takes no such ID".into()),
        StoreError::Exists => SessionError::Store("the ID is taken".into()),
        StoreError::Unsupported => SessionError::Store("the store cannot do that".into()),
    }
}
