//! The trait of a store.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    SessionId, SessionLock, SessionPage, SessionState, StoreError, StoredSession, SweepReport,
    Timestamp, Version,
};

/// A place that keeps sessions.
///
/// Every implementation keeps these promises, also while several processes and threads
/// use the store. The conformance suite of `session3-store-tests` checks them.
///
/// - A session is created only by [`create_session`](Self::create_session). After
///   [`delete_session`](Self::delete_session) it is gone for good:
///   [`save_session`](Self::save_session) never revives it.
/// - A save is a compare-and-swap on the version, so that no update is lost silently.
/// - A load returns the state of the latest acknowledged save, or of a later one, as a
///   whole: never a mixture of two states, never a part, never an older state.
/// - Absence is an answer, not an error: an error means that the store could not do what
///   it was asked to do. Deleting an absent session succeeds.
/// - A state has at most 1 MiB, as [`SessionState::size`] counts it, unless the store is set
///   to another limit; a larger one is [`StoreError::TooLarge`], and nothing changes.
/// - Expired sessions are returned until a sweep or a caller deletes them. The caller
///   decides what expiry means.
/// - A call whose future is dropped has either taken effect or not, and leaves no lock
///   behind.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Prepares the store: creates the directory or the tables. Calling it again changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the store cannot be reached or prepared.
    async fn setup(&self) -> Result<(), StoreError>;

    /// Creates a session and returns its version, which is 1. It never replaces a session.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] if there is a session with this ID;
    /// [`StoreError::TooLarge`] if the state is too large.
    async fn create_session(
        &self,
        id: &SessionId,
        state: &SessionState,
    ) -> Result<Version, StoreError>;

    /// Returns the session, or `None` if it never existed, was deleted, or was never
    /// completely created.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] if its record is damaged.
    async fn load_session(&self, id: &SessionId) -> Result<Option<StoredSession>, StoreError>;

    /// Replaces the state if the version is still `expected`, and returns the new
    /// version, which is `expected` plus 1.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if the version is another one, [`StoreError::Absent`] if
    /// there is no such session, [`StoreError::TooLarge`] if the state is too large. In
    /// each case nothing changes.
    async fn save_session(
        &self,
        id: &SessionId,
        state: &SessionState,
        expected: Version,
    ) -> Result<Version, StoreError>;

    /// Sets `expires` and updates `modified` if the version is still `expected`. The data
    /// and the version stay as they are.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if the version is another one, [`StoreError::Absent`] if
    /// there is no such session. In each case nothing changes.
    async fn touch_session(
        &self,
        id: &SessionId,
        expires: Timestamp,
        expected: Version,
    ) -> Result<(), StoreError>;

    /// Deletes the session for good, whatever its version, and also if its record is
    /// damaged. Returns whether there was one.
    async fn delete_session(&self, id: &SessionId) -> Result<bool, StoreError>;

    /// Returns whether [`load_session`](Self::load_session) would find the session.
    async fn has_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        Ok(self.load_session(id).await?.is_some())
    }

    /// Writes a session as another store had it, with its version and its modification
    /// time. This is for copies between stores: applications have no such operation.
    ///
    /// With `expected` of `None`, the session must be absent and is created. Otherwise its
    /// version must be `expected`, and its state, version and modification time are
    /// replaced. Repeating a call that succeeded is possible with the version that it
    /// wrote.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`], [`StoreError::Absent`] or [`StoreError::Conflict`] if the
    /// store has something else than expected, [`StoreError::TooLarge`] if the state is
    /// too large, [`StoreError::Unsupported`] if this store has no such operation. In each
    /// case nothing changes.
    async fn import_session(
        &self,
        session: &StoredSession,
        expected: Option<Version>,
    ) -> Result<(), StoreError>;

    /// Deletes the sessions that were not modified for more than `minutes`, and those that
    /// have expired, by the store's clock. A session that is used meanwhile stays.
    ///
    /// After `limit`, the call stops. The next call continues there, and every call makes
    /// progress.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] if another sweep of this store is running.
    async fn delete_old_sessions(
        &self,
        minutes: u32,
        limit: Option<Duration>,
    ) -> Result<SweepReport, StoreError>;

    /// Returns one page of a walk through all sessions, which come in no particular order.
    ///
    /// `cursor` is `None` for the first page, then the `next` of the page before. A page
    /// has at most `limit` sessions (at least 1) and 1 MiB, unless a single session is
    /// larger. A session that exists during the whole walk is returned exactly once, among
    /// the damaged ones if its record cannot be read.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] if a record stayed locked for too long: the same cursor
    /// continues there. [`StoreError::InvalidId`] for a cursor that no page returned.
    async fn iter_sessions(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<SessionPage, StoreError>;

    /// Returns the IDs of all sessions of one user, and of no other user.
    async fn sessions_of_user(&self, user: &str) -> Result<Vec<SessionId>, StoreError>;

    /// Takes a lease on the session for an exclusive request, and waits for the end of
    /// another lease, but not forever.
    ///
    /// The lease orders exclusive requests and has no other effect: saves, touches and
    /// deletes never wait for it, and the session need not exist. The lease ends when it
    /// is dropped, or after `time`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] if another request kept its lease for too long.
    async fn lock_session(&self, id: &SessionId, time: Duration)
    -> Result<SessionLock, StoreError>;

    /// Returns whether several processes may use the store at the same time.
    fn is_multiprocess_safe(&self) -> bool;

    /// Returns whether several threads may use the store at the same time.
    fn is_thread_safe(&self) -> bool;
}
