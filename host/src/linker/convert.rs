//! From the contract's types to the store's, and back. Stores that are components
//! share this file.

use super::wit;
use crate::store::{SessionId, SessionPage, SessionState, StoreError, StoredSession, SweepReport};

impl From<wit::SessionState> for SessionState {
    fn from(state: wit::SessionState) -> Self {
        Self {
            user: state.user,
            expires: state.expires,
            data: state.data,
        }
    }
}

impl From<StoredSession> for wit::StoredSession {
    fn from(session: StoredSession) -> Self {
        Self {
            id: session.id.to_string(),
            version: session.version,
            modified: session.modified,
            state: wit::SessionState {
                user: session.state.user,
                expires: session.state.expires,
                data: session.state.data,
            },
        }
    }
}

impl From<SessionPage> for wit::SessionPage {
    fn from(page: SessionPage) -> Self {
        let text = |(id, why): (SessionId, String)| (id.to_string(), why);
        Self {
            sessions: page.sessions.into_iter().map(Into::into).collect(),
            damaged: page.damaged.into_iter().map(text).collect(),
            next: page.next,
        }
    }
}

impl From<SweepReport> for wit::SweepReport {
    fn from(report: SweepReport) -> Self {
        Self {
            deleted: report.deleted,
            remaining: report.remaining,
            complete: report.complete,
        }
    }
}

impl From<StoreError> for wit::StoreError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::InvalidId => Self::InvalidId,
            StoreError::Exists => Self::Exists,
            StoreError::Absent => Self::Absent,
            StoreError::Conflict(version) => Self::Conflict(version),
            StoreError::TooLarge(limit) => Self::TooLarge(limit),
            StoreError::Corrupt(how) => Self::Corrupt(how),
            StoreError::Busy => Self::Busy,
            StoreError::Unsupported => Self::Unsupported,
            StoreError::Unavailable(what) => Self::Unavailable(what),
        }
    }
}
