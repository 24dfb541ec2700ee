//! Where sessions are kept: the contract, and the stores that hold to it.

mod clock;
pub mod directory;
mod error;
mod id;
mod lock;
mod memory;
mod paging;
mod types;

use std::time::Duration;

use async_trait::async_trait;

pub use clock::{Clock, SystemClock};
pub use directory::DirectoryStore;
pub use error::StoreError;
pub use id::SessionId;
pub use lock::SessionLock;
pub use memory::MemoryStore;
use paging::Paging;
use types::is_old;
pub use types::{SessionPage, SessionState, StoredSession, SweepReport, Timestamp, Version};

/// A place where sessions are kept.
///
/// Every implementation keeps these promises, also when several processes and
/// threads use the store at once, and is held to them by the same tests:
///
/// - A session comes into being only through
///   [`create_session`](Self::create_session) and is gone for good after
///   [`delete_session`](Self::delete_session):
///   [`save_session`](Self::save_session) never brings one back.
/// - A save is a compare-and-swap on the version, so that no update is ever
///   lost in silence.
/// - A load returns the state of the latest acknowledged save, or a later one,
///   whole; never a mixture, never a part, never an older one.
/// - Absence is an answer, not an error: an error means that the store could
///   not do what was asked. Deleting what is not there is fine.
/// - Expired sessions are returned until something deletes them: the caller
///   judges.
/// - A call that is dropped before it answers has either taken effect or not,
///   and leaves nothing locked.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Prepares the store. Doing it again changes nothing.
    async fn setup(&self) -> Result<(), StoreError>;

    /// Keeps a new session and returns its version, which is 1. Never replaces
    /// one: a taken ID is [`StoreError::Exists`].
    async fn create_session(
        &self,
        id: &SessionId,
        state: &SessionState,
    ) -> Result<Version, StoreError>;

    /// The session; `None` when there is no such session, because it never
    /// was, was deleted, or was never completely created.
    async fn load_session(&self, id: &SessionId) -> Result<Option<StoredSession>, StoreError>;

    /// Replaces the state if its version is still `expected`, and returns the
    /// new version, which is one more. Otherwise nothing changes, and the error
    /// is [`StoreError::Conflict`] or [`StoreError::Absent`].
    async fn save_session(
        &self,
        id: &SessionId,
        state: &SessionState,
        expected: Version,
    ) -> Result<Version, StoreError>;

    /// Moves `expires` and `modified` if the version is still `expected`,
    /// without rewriting the data or counting the version up.
    async fn touch_session(
        &self,
        id: &SessionId,
        expires: Timestamp,
        expected: Version,
    ) -> Result<(), StoreError>;

    /// Ends the session for good, whatever its version, and a damaged record
    /// too. Whether there was one.
    async fn delete_session(&self, id: &SessionId) -> Result<bool, StoreError>;

    /// Whether a load would find the session.
    async fn has_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        Ok(self.load_session(id).await?.is_some())
    }

    /// Deletes the sessions that were not modified for more than this many
    /// minutes, and those that have expired, by the store's clock. A session
    /// that is used meanwhile stays. After `limit` it stops, and the next call
    /// goes on there; each one gets further.
    ///
    /// One at a time: a second one gets [`StoreError::Busy`].
    async fn delete_old_sessions(
        &self,
        minutes: u32,
        limit: Option<Duration>,
    ) -> Result<SweepReport, StoreError>;

    /// Walks through all sessions, in no particular order, in pages of at most
    /// `limit` sessions (at least 1) and 1 MiB, unless a single session is
    /// larger. One that is there during the whole walk is seen exactly once, among
    /// the damaged if it cannot be read. One that is locked for too long is no
    /// damage: [`StoreError::Busy`], and the same cursor goes on there. A cursor
    /// that no page named is [`StoreError::InvalidId`].
    async fn iter_sessions(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<SessionPage, StoreError>;

    /// The sessions of one user: all of them, and nobody else's.
    async fn sessions_of_user(&self, user: &str) -> Result<Vec<SessionId>, StoreError>;

    /// Orders the exclusive requests for one session, and nothing else: saves,
    /// touches and deletes never wait for it, and there need be no such session.
    /// It ends when it is dropped, after `time` at the latest.
    ///
    /// It waits for another one's end, but not for ever: [`StoreError::Busy`].
    async fn lock_session(&self, id: &SessionId, time: Duration)
    -> Result<SessionLock, StoreError>;

    /// Whether several processes may use the store at the same time.
    fn is_multiprocess_safe(&self) -> bool;

    /// Whether several threads may.
    fn is_thread_safe(&self) -> bool;
}
