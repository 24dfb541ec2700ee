//! Everything the manager has of the world: the five imports of its component,
//! behind one trait so that tests own the clock, the randomness and the store.

use crate::bindings::session3::sessions::{
    events::{self, Event},
    store::{self, SessionPage, SessionState, StoreError, StoredSession, SweepReport},
};
use crate::bindings::wasi::{clocks::wall_clock, random::random};

/// The imports of the component. The functions are those of the WIT.
pub trait Imports {
    /// The time, in milliseconds since 1970.
    fn now(&self) -> u64;

    /// 128 bits from a cryptographic source.
    fn random(&self) -> u128;

    /// Reports an event.
    fn report(&self, event: &Event);

    /// Keeps a new session; its version.
    fn create_session(&self, id: &str, state: &SessionState) -> Result<u64, StoreError>;

    /// The session, if there is one.
    fn load_session(&self, id: &str) -> Result<Option<StoredSession>, StoreError>;

    /// Replaces the state if the version is still `expected`; the new version.
    fn save_session(
        &self,
        id: &str,
        state: &SessionState,
        expected: u64,
    ) -> Result<u64, StoreError>;

    /// Moves `expires` if the version is still `expected`.
    fn touch_session(&self, id: &str, expires: u64, expected: u64) -> Result<(), StoreError>;

    /// Ends the session; whether there was one.
    fn delete_session(&self, id: &str) -> Result<bool, StoreError>;

    /// Ends the sessions that were not used for this many minutes.
    fn delete_old_sessions(&self, minutes: u32) -> Result<SweepReport, StoreError>;

    /// One page of all sessions.
    fn iter_sessions(&self, cursor: Option<&str>, limit: u32) -> Result<SessionPage, StoreError>;

    /// The IDs of one user's sessions.
    fn sessions_of_user(&self, user: &str) -> Result<Vec<String>, StoreError>;

    /// Waits until no other exclusive request has the session.
    fn lock_session(&self, id: &str) -> Result<Box<dyn SessionLock>, StoreError>;
}

/// What an exclusive request has of its session until it is dropped.
pub trait SessionLock {
    /// Whether its deadline has not passed.
    fn is_held(&self) -> bool;
}

impl SessionLock for store::SessionLock {
    fn is_held(&self) -> bool {
        self.is_held()
    }
}

/// The imports of the real component.
pub struct ComponentImports;

impl Imports for ComponentImports {
    fn now(&self) -> u64 {
        let now = wall_clock::now();
        now.seconds
            .saturating_mul(1000)
            .saturating_add(u64::from(now.nanoseconds / 1_000_000))
    }

    fn random(&self) -> u128 {
        u128::from(random::get_random_u64()) << 64 | u128::from(random::get_random_u64())
    }

    fn report(&self, event: &Event) {
        events::report(event);
    }

    fn create_session(&self, id: &str, state: &SessionState) -> Result<u64, StoreError> {
        store::create_session(id, state)
    }

    fn load_session(&self, id: &str) -> Result<Option<StoredSession>, StoreError> {
        store::load_session(id)
    }

    fn save_session(
        &self,
        id: &str,
        state: &SessionState,
        expected: u64,
    ) -> Result<u64, StoreError> {
        store::save_session(id, state, expected)
    }

    fn touch_session(&self, id: &str, expires: u64, expected: u64) -> Result<(), StoreError> {
        store::touch_session(id, expires, expected)
    }

    fn delete_session(&self, id: &str) -> Result<bool, StoreError> {
        store::delete_session(id)
    }

    fn delete_old_sessions(&self, minutes: u32) -> Result<SweepReport, StoreError> {
        store::delete_old_sessions(minutes)
    }

    fn iter_sessions(&self, cursor: Option<&str>, limit: u32) -> Result<SessionPage, StoreError> {
        store::iter_sessions(cursor, limit)
    }

    fn sessions_of_user(&self, user: &str) -> Result<Vec<String>, StoreError> {
        store::sessions_of_user(user)
    }

    fn lock_session(&self, id: &str) -> Result<Box<dyn SessionLock>, StoreError> {
        Ok(Box::new(store::lock_session(id)?))
    }
}
