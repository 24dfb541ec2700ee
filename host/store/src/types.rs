//! The types of the contract: what stores keep and return.

use crate::SessionId;

/// A count of the saves of one session. Creating the session makes version 1.
pub type Version = u64;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Timestamp = u64;

/// The state that a caller asks a store to keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionState {
    /// The user that the session belongs to, if a user is logged in.
    pub user: Option<String>,
    /// The time from which the store may delete the session.
    pub expires: Timestamp,
    /// Bytes in the session manager's encoding, which are opaque to the store.
    pub data: Vec<u8>,
}

impl SessionState {
    /// Returns the number of bytes of user and data together, which limits apply to.
    pub fn size(&self) -> usize {
        self.user.as_deref().map_or(0, str::len) + self.data.len()
    }
}

/// A session as a store returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    /// The ID of the session.
    pub id: SessionId,
    /// The version that the save of this state made.
    pub version: Version,
    /// The time of the last create, save or touch, by the store's clock.
    pub modified: Timestamp,
    /// The state that was saved.
    pub state: SessionState,
}

impl StoredSession {
    /// Returns whether a sweep at the time `now` deletes this session, if the sweep
    /// deletes sessions that were not modified for more than `minutes`.
    pub fn is_old(&self, minutes: u32, now: Timestamp) -> bool {
        is_old(self.modified, self.state.expires, minutes, now)
    }
}

/// One page of a walk through all sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionPage {
    /// The sessions of this page. It may be empty although more pages follow.
    pub sessions: Vec<StoredSession>,
    /// Records that exist but cannot be read, each with the reason.
    pub damaged: Vec<(SessionId, String)>,
    /// The cursor of the next page; `None` on the last page.
    pub next: Option<String>,
}

/// What one call of a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// The number of sessions that it deleted.
    pub deleted: u64,
    /// The number of sessions that it looked at and kept.
    pub remaining: u64,
    /// Whether it reached the end. Otherwise it stopped at its time limit, and the next
    /// call continues there.
    pub complete: bool,
}

/// Returns whether a sweep at the time `now` deletes a session with these times: it has
/// expired, or was not modified for more than `minutes`.
pub fn is_old(modified: Timestamp, expires: Timestamp, minutes: u32, now: Timestamp) -> bool {
    let idle = now.saturating_sub(modified);
    expires <= now || idle > u64::from(minutes) * 60_000
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
