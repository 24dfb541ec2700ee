//! Logs and metrics about sessions, through the crates `tracing` and `metrics`. The program
//! decides where they go.
//!
//! No token and no secret reaches this module. A session's ID never becomes a label, since
//! every label value takes memory.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use metrics::{counter, histogram};

use crate::bindings::session3::sessions::events::Event;
use crate::log_limit::{Decision, LogLimit};
use crate::store::{
    SessionId, SessionLock, SessionPage, SessionState, SessionStore, StoreError, StoredSession,
    SweepReport, Timestamp, Version,
};

session3_store::name_event_reasons!(crate::bindings::session3::sessions::events);

/// The counter of the events that the session manager reports, by `event` and `reason`.
pub const EVENTS: &str = "session3_events_total";
/// The histogram of the duration of each operation of the store, in seconds, by
/// `operation` and `result`.
pub const STORE_SECONDS: &str = "session3_store_seconds";
/// The histogram of the duration of the commits that create, save or end a session, in
/// seconds.
pub const COMMIT_SECONDS: &str = "session3_commit_seconds";

/// Limits the lines about rejected tokens and changed clients, which come with each request of
/// such a browser.
static LIMIT: LazyLock<LogLimit> = LazyLock::new(LogLimit::default);

/// Logs an event and counts it. A session gets one line about rejected tokens and one about a
/// changed client in a minute, and all sessions together get a hundred such lines. The
/// counters count all events. This is a sink for
/// [`on_event`](crate::SessionsCtxBuilder::on_event).
pub fn observe(event: Event) {
    let (name, reason) = labels(&event);
    if is_logged(&event, name, reason) {
        log(&event);
    }
    counter!(EVENTS, "event" => name, "reason" => reason).increment(1);
}

/// Records the duration of a commit. This is a sink for
/// [`on_commit`](crate::SessionsCtxBuilder::on_commit).
pub fn observe_commit(time: Duration) {
    histogram!(COMMIT_SECONDS).record(time);
}

fn is_logged(event: &Event, name: &str, reason: &str) -> bool {
    let session = match event {
        Event::Rejected((session, _)) => session.as_deref().unwrap_or_default(),
        Event::ClientChanged(session) => session,
        _ => return true,
    };
    match LIMIT.decide(format!("{name} {reason} {session}"), Instant::now()) {
        Decision::LeaveOut => false,
        Decision::Log(left_out) => {
            if left_out > 0 {
                tracing::warn!(left_out, "more tokens were rejected, or clients changed");
            }
            true
        }
    }
}

/// Logs an event. The events of nearly every request have the level `debug`.
fn log(event: &Event) {
    match event {
        Event::Created(id) => tracing::debug!(session = %id, "created"),
        Event::Renewed(id) => tracing::debug!(session = %id, "renewed"),
        Event::UserChanged(id) => tracing::info!(session = %id, "user changed"),
        Event::Merged(id) => tracing::debug!(session = %id, "merged"),
        Event::Ended((id, reason)) => {
            let reason = end_reason(*reason);
            tracing::info!(session = %id, reason, "ended");
        }
        Event::Rejected((id, reason)) => {
            let (session, reason) = (id.as_deref().unwrap_or("none"), reject_reason(*reason));
            tracing::info!(session, reason, "token rejected");
        }
        Event::Damaged((id, why)) => tracing::error!(session = %id, why, "record damaged"),
        Event::ClientChanged(id) => tracing::warn!(session = %id, "client changed"),
        Event::CommitBegan | Event::CommitEnded => {}
    }
}

fn labels(event: &Event) -> (&'static str, &'static str) {
    match event {
        Event::Created(_) => ("created", ""),
        Event::Renewed(_) => ("renewed", ""),
        Event::UserChanged(_) => ("user-changed", ""),
        Event::Merged(_) => ("merged", ""),
        Event::Ended((_, reason)) => ("ended", end_reason(*reason)),
        Event::Rejected((_, reason)) => ("rejected", reject_reason(*reason)),
        Event::Damaged(_) => ("damaged", ""),
        Event::ClientChanged(_) => ("client-changed", ""),
        Event::CommitBegan => ("commit-began", ""),
        Event::CommitEnded => ("commit-ended", ""),
    }
}

/// A store that records the duration of each operation of another store.
pub struct MeteredStore {
    store: Arc<dyn SessionStore>,
}

impl MeteredStore {
    /// Wraps a store.
    pub fn new(store: Arc<dyn SessionStore>) -> Self {
        Self { store }
    }
}

async fn measured<T>(
    operation: &'static str,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let start = Instant::now();
    let result = call.await;
    let label = result.as_ref().map_or_else(error_name, |_| "ok");
    histogram!(STORE_SECONDS, "operation" => operation, "result" => label).record(start.elapsed());
    result
}

fn error_name(error: &StoreError) -> &'static str {
    match error {
        StoreError::InvalidId => "invalid-id",
        StoreError::Exists => "exists",
        StoreError::Absent => "absent",
        StoreError::Conflict(_) => "conflict",
        StoreError::TooLarge(_) => "too-large",
        StoreError::Corrupt(_) => "corrupt",
        StoreError::Busy => "busy",
        StoreError::Unsupported => "unsupported",
        StoreError::Unavailable(_) => "unavailable",
        _ => "other",
    }
}

#[async_trait]
impl SessionStore for MeteredStore {
    async fn setup(&self) -> Result<(), StoreError> {
        measured("setup", self.store.setup()).await
    }

    async fn create_session(
        &self,
        id: &SessionId,
        state: &SessionState,
    ) -> Result<Version, StoreError> {
        measured("create", self.store.create_session(id, state)).await
    }

    async fn load_session(&self, id: &SessionId) -> Result<Option<StoredSession>, StoreError> {
        measured("load", self.store.load_session(id)).await
    }

    async fn save_session(
        &self,
        id: &SessionId,
        state: &SessionState,
        expected: Version,
    ) -> Result<Version, StoreError> {
        measured("save", self.store.save_session(id, state, expected)).await
    }

    async fn touch_session(
        &self,
        id: &SessionId,
        expires: Timestamp,
        expected: Version,
    ) -> Result<(), StoreError> {
        measured("touch", self.store.touch_session(id, expires, expected)).await
    }

    async fn delete_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        measured("delete", self.store.delete_session(id)).await
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        measured("has", self.store.has_session(id)).await
    }

    async fn import_session(
        &self,
        session: &StoredSession,
        expected: Option<Version>,
    ) -> Result<(), StoreError> {
        measured("import", self.store.import_session(session, expected)).await
    }

    async fn delete_old_sessions(
        &self,
        minutes: u32,
        limit: Option<Duration>,
    ) -> Result<SweepReport, StoreError> {
        measured("sweep", self.store.delete_old_sessions(minutes, limit)).await
    }

    async fn iter_sessions(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<SessionPage, StoreError> {
        measured("iter", self.store.iter_sessions(cursor, limit)).await
    }

    async fn sessions_of_user(&self, user: &str) -> Result<Vec<SessionId>, StoreError> {
        measured("of-user", self.store.sessions_of_user(user)).await
    }

    async fn lock_session(
        &self,
        id: &SessionId,
        time: Duration,
    ) -> Result<SessionLock, StoreError> {
        measured("lock", self.store.lock_session(id, time)).await
    }

    fn is_multiprocess_safe(&self) -> bool {
        self.store.is_multiprocess_safe()
    }

    fn is_thread_safe(&self) -> bool {
        self.store.is_thread_safe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EndReason, RejectReason};

    /// The labels are the names in `wit/events.wit`.
    #[test]
    fn every_event_has_its_labels() {
        let id = || "0".repeat(32);
        let ended = |reason| Event::Ended((id(), reason));
        let rejected = |reason| Event::Rejected((None, reason));
        let cases = [
            (Event::Created(id()), "created", ""),
            (Event::Renewed(id()), "renewed", ""),
            (Event::UserChanged(id()), "user-changed", ""),
            (Event::Merged(id()), "merged", ""),
            (Event::Damaged((id(), "torn".into())), "damaged", ""),
            (Event::ClientChanged(id()), "client-changed", ""),
            (
                ended(EndReason::ExpiredByApplication),
                "ended",
                "expired-by-application",
            ),
            (ended(EndReason::Idle), "ended", "idle"),
            (ended(EndReason::TooOld), "ended", "too-old"),
            (
                ended(EndReason::ReplacedTokenReused),
                "ended",
                "replaced-token-reused",
            ),
            (ended(EndReason::TooMany), "ended", "too-many"),
            (
                ended(EndReason::ByAdministrator),
                "ended",
                "by-administrator",
            ),
            (ended(EndReason::ClientChanged), "ended", "client-changed"),
            (rejected(RejectReason::Malformed), "rejected", "malformed"),
            (rejected(RejectReason::Unknown), "rejected", "unknown"),
            (
                rejected(RejectReason::WrongSecret),
                "rejected",
                "wrong-secret",
            ),
            (
                rejected(RejectReason::ReplacedToken),
                "rejected",
                "replaced-token",
            ),
            (rejected(RejectReason::Ended), "rejected", "ended"),
        ];
        let wit = include_str!("../wit/events.wit");
        for (event, name, reason) in cases {
            assert_eq!(labels(&event), (name, reason), "{event:?}");
            assert!(wit.contains(name) && wit.contains(reason), "{event:?}");
        }
    }
}
