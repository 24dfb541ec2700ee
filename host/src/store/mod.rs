//! Where sessions are kept: the contract, and the stores that hold to it.

mod clock;
pub mod directory;
mod id;
mod lock;
mod memory;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

pub use clock::{Clock, SystemClock};
pub use directory::DirectoryStore;
pub use id::SessionId;
pub use lock::SessionLock;
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

impl SessionState {
    /// Bytes of user and data together, as limits count them.
    pub fn size(&self) -> usize {
        self.user.as_deref().map_or(0, str::len) + self.data.len()
    }
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

impl StoredSession {
    /// Whether [`delete_old_sessions`](SessionStore::delete_old_sessions) with
    /// this many minutes would take it at the time `now`.
    pub fn is_old(&self, minutes: u32, now: Timestamp) -> bool {
        is_old(self.modified, self.state.expires, minutes, now)
    }
}

/// One page of [`iter_sessions`](SessionStore::iter_sessions).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionPage {
    /// May be empty although more follow.
    pub sessions: Vec<StoredSession>,
    /// Records that are there but cannot be read, and why.
    pub damaged: Vec<(SessionId, String)>,
    /// Pass it on to get the next page; `None` at the end.
    pub next: Option<String>,
}

/// Fills a page.
struct Paging {
    page: SessionPage,
    limit: u32,
    /// Bytes of the sessions' users and data.
    size: usize,
}

impl Paging {
    /// The most that a page holds, unless a single session is larger.
    const MAX_BYTES: usize = 1 << 20;

    /// At most this many sessions. 0 counts as 1, or a walk would never end.
    fn new(limit: u32) -> Self {
        Self {
            page: SessionPage::default(),
            limit: limit.max(1),
            size: 0,
        }
    }

    /// Takes what a load answered; false when it has to go to the next page.
    fn take(&mut self, id: &SessionId, loaded: Result<Option<StoredSession>, StoreError>) -> bool {
        let size = match &loaded {
            Ok(None) => return true,
            Ok(Some(session)) => session.state.size(),
            Err(_) => 0,
        };
        let count = self.page.sessions.len() + self.page.damaged.len();
        let is_too_large = count > 0 && self.size + size > Self::MAX_BYTES;
        if count as u64 >= u64::from(self.limit) || is_too_large {
            self.page.next = Some(id.to_string());
            return false;
        }
        self.size += size;
        match loaded {
            Ok(session) => self.page.sessions.extend(session),
            Err(error) => self.page.damaged.push((*id, error.to_string())),
        }
        true
    }
}

/// What one call of [`delete_old_sessions`](SessionStore::delete_old_sessions)
/// did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// The sessions that it deleted.
    pub deleted: u64,
    /// Those that it looked at and left.
    pub remaining: u64,
    /// False when it stopped at its time limit: the next call goes on there.
    pub complete: bool,
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
    /// goes on there; each one looks at one session at least.
    ///
    /// One at a time: a second one gets [`StoreError::Busy`].
    async fn delete_old_sessions(
        &self,
        minutes: u32,
        limit: Option<Duration>,
    ) -> Result<SweepReport, StoreError>;

    /// Walks through all sessions, in no particular order, in pages of at most
    /// `limit` sessions (at least 1) and 1 MiB, unless a single session is
    /// larger. One that is there during the whole walk is seen exactly once. A
    /// cursor that no page named is [`StoreError::InvalidId`].
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
    /// A lock was not to be had in time, or another sweep is under way.
    Busy,
    /// This store cannot do that.
    Unsupported,
    /// The file system or the server failed; what it said. Whether the change
    /// was made is not known.
    Unavailable(String),
}

impl std::error::Error for StoreError {}

/// Whether a sweep of sessions that were not modified for `minutes` takes this
/// one.
fn is_old(modified: Timestamp, expires: Timestamp, minutes: u32, now: Timestamp) -> bool {
    let idle = now.saturating_sub(modified);
    expires <= now || idle > u64::from(minutes) * 60_000
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidId => f.write_str("a session ID has 32 lower-case hexadecimal digits"),
            Self::Exists => f.write_str("the session ID is taken"),
            Self::Absent => f.write_str("there is no such session"),
            Self::Conflict(version) => write!(f, "somebody else saved: it is version {version}"),
            Self::TooLarge(limit) => write!(f, "the state is larger than {limit} bytes"),
            Self::Corrupt(how) => write!(f, "the record is damaged: {how}"),
            Self::Busy => f.write_str("somebody else holds the lock: try again later"),
            Self::Unsupported => f.write_str("this store cannot do that"),
            Self::Unavailable(what) => write!(f, "the store failed: {what}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_old_when_it_expired_or_was_idle_for_longer() {
        let is_old = |modified, expires, minutes, now| {
            let state = SessionState {
                expires,
                ..SessionState::default()
            };
            let (id, version) = (SessionId::from(1), 1);
            let session = StoredSession {
                id,
                version,
                modified,
                state,
            };
            session.is_old(minutes, now)
        };
        assert!(!is_old(0, u64::MAX, 2, 120_000));
        assert!(is_old(0, u64::MAX, 2, 120_001));
        assert!(!is_old(1, u64::MAX, 2, 120_001));
        assert!(!is_old(0, 1001, 2, 1000));
        assert!(is_old(0, 1000, 2, 1000));
        assert!(!is_old(9, 1000, 0, 5), "the clock went back");
        assert!(!is_old(0, u64::MAX, u32::MAX, 120_001));
    }
}
