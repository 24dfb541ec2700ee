//! The imports of the component behind one trait, so that tests control the clock, the
//! random numbers and the store.

use crate::bindings::session3::sessions::{
    events::{self, Event},
    store::{self, SessionPage, SessionState, StoreError, StoredSession, SweepReport},
};
use crate::bindings::wasi::{clocks::wall_clock, random::random};

/// The functions that the component imports. The WIT has their contract.
pub trait Imports {
    /// Returns the time, in milliseconds since 1970.
    fn now(&self) -> u64;

    /// Returns 128 bits from a cryptographic random source.
    fn random(&self) -> u128;

    /// Reports an event.
    fn report(&self, event: &Event);

    /// Stores a new session and returns its version.
    fn create_session(&self, id: &str, state: &SessionState) -> Result<u64, StoreError>;

    /// Returns the session, or `None` if no session has this ID.
    fn load_session(&self, id: &str) -> Result<Option<StoredSession>, StoreError>;

    /// Replaces the state if the version is still `expected`, and returns the new version.
    fn save_session(
        &self,
        id: &str,
        state: &SessionState,
        expected: u64,
    ) -> Result<u64, StoreError>;

    /// Sets `expires` without a save, if the version is still `expected`.
    fn touch_session(&self, id: &str, expires: u64, expected: u64) -> Result<(), StoreError>;

    /// Deletes the session and returns whether there was one.
    fn delete_session(&self, id: &str) -> Result<bool, StoreError>;

    /// Deletes the sessions that were not used for this many minutes.
    fn delete_old_sessions(&self, minutes: u32) -> Result<SweepReport, StoreError>;

    /// Returns one page of all sessions.
    fn iter_sessions(&self, cursor: Option<&str>, limit: u32) -> Result<SessionPage, StoreError>;

    /// Returns the IDs of one user's sessions.
    fn sessions_of_user(&self, user: &str) -> Result<Vec<String>, StoreError>;

    /// Waits until no other exclusive request holds the session's lock, and takes it.
    fn lock_session(&self, id: &str) -> Result<Box<dyn SessionLock>, StoreError>;
}

/// The lock of an exclusive request on its session. Dropping it releases the lock.
pub trait SessionLock {
    /// Returns whether the lease still runs.
    fn is_held(&self) -> bool;
}

impl SessionLock for store::SessionLock {
    fn is_held(&self) -> bool {
        self.is_held()
    }
}

/// The imports of the component as the host provides them.
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
