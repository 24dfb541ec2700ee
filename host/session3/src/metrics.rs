//! Logs and metrics about sessions, through the crates `tracing` and `metrics`. The program
//! decides where they go.
//!
//! No token and no secret reaches this module. A session's ID never becomes a label, since
//! every label value takes memory.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use session3_outbound::{OUTBOUND_REQUESTS, OUTBOUND_SECONDS};

use crate::bindings::session3::sessions::events::Event;
use crate::log_limit::{Decision, LogLimit};
use crate::store::health::{RECONNECTS, STORE_UP};
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
/// The counter of requests by `status`: `2xx` and so on, and `none` if the client left before
/// there was an answer.
pub const REQUESTS: &str = "session3_requests_total";
/// The histogram of the time from the arrival of a request to the end of its response, in
/// seconds.
pub const REQUEST_SECONDS: &str = "session3_request_seconds";
/// The gauge of the requests that have no whole response yet.
pub const REQUESTS_RUNNING: &str = "session3_requests_running";
/// The counter of the requests that the server answered in place of the application, and of
/// responses that it cut off, by `reason`.
pub const FAILED_REQUESTS: &str = "session3_failed_requests_total";
/// The histogram of the time that requests waited for an instance, in seconds.
pub const INSTANCE_WAIT_SECONDS: &str = "session3_instance_wait_seconds";
/// The counter of the instances that served a request, by `kind`: `new` or `reused`.
pub const INSTANCES: &str = "session3_instances_total";
/// The counter of accepted connections.
pub const CONNECTIONS: &str = "session3_connections_total";
/// The gauge of open connections.
pub const CONNECTIONS_OPEN: &str = "session3_connections_open";

/// The gauge of the time at which the certificate for TLS expires, in seconds since 1970.
pub const TLS_EXPIRES: &str = "session3_tls_certificate_expires_seconds";

/// Notes when the certificate for TLS expires.
pub fn note_tls_expiry(expires: SystemTime) {
    let since = expires.duration_since(SystemTime::UNIX_EPOCH);
    gauge!(TLS_EXPIRES).set(since.unwrap_or_default().as_secs_f64());
}

/// Describes all metrics to the recorder that is installed.
pub fn describe() {
    describe_counter!(EVENTS, "Events of sessions, by event and reason");
    let seconds: [(&str, &str); 5] = [
        (
            OUTBOUND_SECONDS,
            "Time from a request of the application to another server to its response",
        ),
        (STORE_SECONDS, "Duration of each operation of the store"),
        (COMMIT_SECONDS, "Duration of each commit with its merges"),
        (
            REQUEST_SECONDS,
            "Time from the arrival of a request to the end of its response",
        ),
        (
            INSTANCE_WAIT_SECONDS,
            "Time that requests waited for an instance",
        ),
    ];
    for (name, text) in seconds {
        describe_histogram!(name, Unit::Seconds, text);
    }
    let counters: [(&str, &str); 6] = [
        (
            OUTBOUND_REQUESTS,
            "Requests of the application to other servers, by result",
        ),
        (REQUESTS, "Requests, by the class of their status"),
        (
            FAILED_REQUESTS,
            "Requests that the server answered in place of the application, or cut off",
        ),
        (INSTANCES, "Instances that served a request, new or reused"),
        (CONNECTIONS, "Accepted connections"),
        (
            RECONNECTS,
            "Connections to a server of the store that were made again after one had ended",
        ),
    ];
    for (name, text) in counters {
        describe_counter!(name, text);
    }
    let gauges: [(&str, &str); 4] = [
        (
            TLS_EXPIRES,
            "When the certificate for TLS expires, in seconds since 1970",
        ),
        (REQUESTS_RUNNING, "Requests that have no whole response yet"),
        (CONNECTIONS_OPEN, "Open connections"),
        (
            STORE_UP,
            "Whether a server of the store can be reached: 1 or 0",
        ),
    ];
    for (name, text) in gauges {
        describe_gauge!(name, text);
    }
}

/// Limits the lines about rejected tokens and changed clients, which come with each request of
/// such a browser.
static CLIENT_LINES: LazyLock<LogLimit> = LazyLock::new(|| LogLimit::new(100));

/// Limits the lines about all other events. A busy server stays below that; an application that
/// was granted the interface `events` can report any number of them.
static EVENT_LINES: LazyLock<LogLimit> = LazyLock::new(|| LogLimit::new(10_000));

/// The largest length of what a guest reports in place of a session's ID, in characters.
const MAX_ID: usize = 64;
/// The largest length of another text that a guest reports, in characters.
const MAX_TEXT: usize = 200;

/// Logs an event and counts it. A session gets one line about rejected tokens and one about a
/// changed client in a minute, and all sessions together get a hundred such lines. The other
/// events get 10,000 lines in a minute. The counters count all events. This is a sink for
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
    let key = |id: &str| Some(format!("{name} {reason} {}", shown(id)));
    let (limit, key) = match event {
        Event::Rejected((id, _)) => (&CLIENT_LINES, key(id.as_deref().unwrap_or_default())),
        Event::ClientChanged(id) => (&CLIENT_LINES, key(id)),
        // These count only if they become lines.
        Event::Created(_) | Event::Renewed(_) | Event::Merged(_)
            if !tracing::enabled!(tracing::Level::DEBUG) =>
        {
            return false;
        }
        _ => (&EVENT_LINES, None),
    };
    match limit.decide(key, Instant::now()) {
        Decision::LeaveOut => false,
        Decision::Log(left_out) => {
            if left_out > 0 {
                tracing::warn!(left_out, "more events were reported than are logged");
            }
            true
        }
    }
}

/// Logs an event. The events of nearly every request have the level `debug`.
fn log(event: &Event) {
    match event {
        Event::Created(id) => tracing::debug!(session = %shown(id), "created"),
        Event::Renewed(id) => tracing::debug!(session = %shown(id), "renewed"),
        Event::UserChanged(id) => tracing::info!(session = %shown(id), "user changed"),
        Event::Merged(id) => tracing::debug!(session = %shown(id), "merged"),
        Event::Ended((id, reason)) => {
            let reason = end_reason(*reason);
            tracing::info!(session = %shown(id), reason, "ended");
        }
        Event::Rejected((id, reason)) => {
            let session = id.as_deref().map_or_else(|| "none".into(), shown);
            let reason = reject_reason(*reason);
            tracing::info!(%session, reason, "token rejected");
        }
        Event::Damaged((id, why)) => {
            let why = quoted(why, MAX_TEXT);
            tracing::error!(session = %shown(id), %why, "record damaged");
        }
        Event::ClientChanged(id) => tracing::warn!(session = %shown(id), "client changed"),
        Event::CommitBegan | Event::CommitEnded => {}
    }
}

/// Returns the ID of a session for the log. A guest can report any text as an ID; a text that
/// is none is quoted.
fn shown(id: &str) -> String {
    match id.parse::<SessionId>() {
        Ok(id) => id.to_string(),
        Err(_) => quoted(id, MAX_ID),
    }
}

/// Returns the beginning of a text from a guest, of at most `max` characters, in quotes and
/// with control characters escaped.
fn quoted(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
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

    #[test]
    fn a_text_that_is_no_id_is_quoted_escaped_and_shortened() {
        let id = "0123456789abcdef".repeat(2);
        assert_eq!(shown(&id), id);
        assert_eq!(shown(""), "\"\"");
        assert_eq!(shown("a\" b\n\u{9b}"), "\"a\\\" b\\n\\u{9b}\"");
        let long = "ü".repeat(65);
        assert_eq!(shown(&long[..128]), format!("\"{}\"", &long[..128]));
        assert_eq!(shown(&long), format!("\"{}\"…", &long[..128]));
    }

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
