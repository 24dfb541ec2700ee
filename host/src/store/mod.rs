//! Where sessions are kept: the contract, and the stores that hold to it.

mod clock;
pub mod directory;
mod id;
mod memory;

use std::fmt;

use async_trait::async_trait;

pub use clock::{Clock, SystemClock};
pub use directory::DirectoryStore;
pub use id::SessionId;
pub use memory::MemoryStore;

/// Counts the saves of one session; creating it makes version 1.
pub type Version = u64;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Timestamp = u64;

/// What a caller asks a store to keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionState {
    /// The user that the session belongs to.
    pub user: Option<String>,
    /// From when on the store may delete the session.
    pub expires: Timestamp,
    /// The manager's own encoding; opaque to the store.
    pub data: Vec<u8>,
}

/// What a store hands back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    /// The session's name.
    pub id: SessionId,
    /// Of the save that made this state.
    pub version: Version,
    /// When it was last created, saved or touched, by the store's clock.
    pub modified: Timestamp,
    /// What was saved.
    pub state: SessionState,
}

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

    /// Ends the session for good, whatever its version. Whether there was one.
    async fn delete_session(&self, id: &SessionId) -> Result<bool, StoreError>;

    /// Whether a load would find the session.
    async fn has_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        Ok(self.load_session(id).await?.is_some())
    }

    /// Whether several processes may use the store at the same time.
    fn is_multiprocess_safe(&self) -> bool;

    /// Whether several threads may.
    fn is_thread_safe(&self) -> bool;
}

/// Why a store did not do what it was asked. None of the texts holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// Not 32 lower-case hexadecimal digits. Nothing was looked up.
    InvalidId,
    /// Create: the ID is taken.
    Exists,
    /// Save, touch: there is no such session (any more).
    Absent,
    /// Save, touch: somebody else saved since; this is the version now.
    Conflict(Version),
    /// The state is larger than the store's limit, which is this many bytes.
    TooLarge(u64),
    /// The record is there, but damaged; how. It is kept for inspection.
    Corrupt(String),
    /// A lock was not to be had in time.
    Busy,
    /// This store cannot do that.
    Unsupported,
    /// The file system or the server failed; what it said. Whether the change
    /// was made is not known.
    Unavailable(String),
}

impl std::error::Error for StoreError {}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidId => f.write_str("a session ID has 32 lower-case hexadecimal digits"),
            Self::Exists => f.write_str("the session ID is taken"),
            Self::Absent => f.write_str("there is no such session"),
            Self::Conflict(version) => write!(f, "somebody else saved: it is version {version}"),
            Self::TooLarge(limit) => write!(f, "the state is larger than {limit} bytes"),
            Self::Corrupt(how) => write!(f, "the record is damaged: {how}"),
            Self::Busy => f.write_str("the lock was not to be had in time"),
            Self::Unsupported => f.write_str("this store cannot do that"),
            Self::Unavailable(what) => write!(f, "the store failed: {what}"),
        }
    }
}
