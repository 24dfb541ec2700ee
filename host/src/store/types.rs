//! What stores keep and hand back.

use super::SessionId;

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
    /// Whether [`delete_old_sessions`](super::SessionStore::delete_old_sessions) with
    /// this many minutes would take it at the time `now`.
    pub fn is_old(&self, minutes: u32, now: Timestamp) -> bool {
        is_old(self.modified, self.state.expires, minutes, now)
    }
}

/// One page of [`iter_sessions`](super::SessionStore::iter_sessions).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionPage {
    /// May be empty although more follow.
    pub sessions: Vec<StoredSession>,
    /// Records that are there but cannot be read, and why.
    pub damaged: Vec<(SessionId, String)>,
    /// Pass it on to get the next page; `None` at the end.
    pub next: Option<String>,
}

/// What one call of [`delete_old_sessions`](super::SessionStore::delete_old_sessions)
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

/// Whether a sweep of sessions that were not modified for `minutes` takes this
/// one.
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
