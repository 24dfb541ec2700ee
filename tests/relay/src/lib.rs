//! A store that passes every call on to the store that it imports: what holds
//! for the one holds for the other, all the way through the WIT and back.

mod bindings;

use bindings::exports::session3::sessions::store as provided;
use bindings::session3::sessions::store as given;

struct Component;

#[expect(unsafe_code, reason = "generated: the functions that the host calls")]
mod exports {
    use super::{Component, bindings};

    bindings::export!(Component with_types_in bindings);
}

impl provided::GuestSessionLock for given::SessionLock {
    fn is_held(&self) -> bool {
        given::SessionLock::is_held(self)
    }
}

impl provided::Guest for Component {
    type SessionLock = given::SessionLock;

    fn setup() -> Result<(), provided::StoreError> {
        Ok(given::setup()?)
    }

    fn create_session(
        id: String,
        state: provided::SessionState,
    ) -> Result<u64, provided::StoreError> {
        Ok(given::create_session(&id, &state.into())?)
    }

    fn load_session(id: String) -> Result<Option<provided::StoredSession>, provided::StoreError> {
        Ok(given::load_session(&id)?.map(Into::into))
    }

    fn save_session(
        id: String,
        state: provided::SessionState,
        expected: u64,
    ) -> Result<u64, provided::StoreError> {
        Ok(given::save_session(&id, &state.into(), expected)?)
    }

    fn touch_session(id: String, expires: u64, expected: u64) -> Result<(), provided::StoreError> {
        Ok(given::touch_session(&id, expires, expected)?)
    }

    fn delete_session(id: String) -> Result<bool, provided::StoreError> {
        Ok(given::delete_session(&id)?)
    }

    fn has_session(id: String) -> Result<bool, provided::StoreError> {
        Ok(given::has_session(&id)?)
    }

    fn delete_old_sessions(minutes: u32) -> Result<provided::SweepReport, provided::StoreError> {
        let given::SweepReport {
            deleted,
            remaining,
            complete,
        } = given::delete_old_sessions(minutes)?;
        Ok(provided::SweepReport {
            deleted,
            remaining,
            complete,
        })
    }

    fn iter_sessions(
        cursor: Option<String>,
        limit: u32,
    ) -> Result<provided::SessionPage, provided::StoreError> {
        let page = given::iter_sessions(cursor.as_deref(), limit)?;
        Ok(provided::SessionPage {
            sessions: page.sessions.into_iter().map(Into::into).collect(),
            damaged: page.damaged,
            next: page.next,
        })
    }

    fn sessions_of_user(user: String) -> Result<Vec<String>, provided::StoreError> {
        Ok(given::sessions_of_user(&user)?)
    }

    fn lock_session(id: String) -> Result<provided::SessionLock, provided::StoreError> {
        Ok(provided::SessionLock::new(given::lock_session(&id)?))
    }

    fn is_multiprocess_safe() -> bool {
        given::is_multiprocess_safe()
    }

    fn is_thread_safe() -> bool {
        given::is_thread_safe()
    }
}

impl From<provided::SessionState> for given::SessionState {
    fn from(state: provided::SessionState) -> Self {
        Self {
            user: state.user,
            expires: state.expires,
            data: state.data,
        }
    }
}

impl From<given::StoredSession> for provided::StoredSession {
    fn from(session: given::StoredSession) -> Self {
        let given::SessionState {
            user,
            expires,
            data,
        } = session.state;
        Self {
            id: session.id,
            version: session.version,
            modified: session.modified,
            state: provided::SessionState {
                user,
                expires,
                data,
            },
        }
    }
}

impl From<given::StoreError> for provided::StoreError {
    fn from(error: given::StoreError) -> Self {
        match error {
            given::StoreError::InvalidId => Self::InvalidId,
            given::StoreError::Exists => Self::Exists,
            given::StoreError::Absent => Self::Absent,
            given::StoreError::Conflict(version) => Self::Conflict(version),
            given::StoreError::TooLarge(limit) => Self::TooLarge(limit),
            given::StoreError::Corrupt(how) => Self::Corrupt(how),
            given::StoreError::Busy => Self::Busy,
            given::StoreError::Unsupported => Self::Unsupported,
            given::StoreError::Unavailable(what) => Self::Unavailable(what),
        }
    }
}
