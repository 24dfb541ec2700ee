//! What a history is recorded from.

use async_trait::async_trait;
use session3_store::{SessionId, SessionState, SessionStore, StoreError, StoredSession};

use crate::operation::{Action, Content, Outcome};

/// Something that does what a store does.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Does what a client asks for, and returns the answer.
    async fn answer(&self, session: &SessionId, action: Action) -> Outcome;
}

#[async_trait]
impl<S: SessionStore + ?Sized> Subject for S {
    async fn answer(&self, session: &SessionId, action: Action) -> Outcome {
        let answer = match action {
            Action::Create { state, expires } => {
                let created = self.create_session(session, &written(state, expires)).await;
                created.map(Outcome::Made)
            }
            Action::Load => {
                let loaded = self.load_session(session).await;
                loaded.map(|loaded| read(session, loaded))
            }
            Action::Save {
                state,
                expires,
                expected,
            } => {
                let state = written(state, expires);
                let saved = self.save_session(session, &state, expected).await;
                saved.map(Outcome::Made)
            }
            Action::Touch { expires, expected } => {
                let touched = self.touch_session(session, time(expires), expected).await;
                touched.map(|()| Outcome::Touched)
            }
            Action::Delete => self.delete_session(session).await.map(Outcome::Deleted),
        };
        answer.unwrap_or_else(failed)
    }
}

fn failed(error: StoreError) -> Outcome {
    match error {
        StoreError::Exists => Outcome::Exists,
        StoreError::Absent => Outcome::Absent,
        StoreError::Conflict(version) => Outcome::Conflict(version),
        StoreError::Unavailable(_) | StoreError::Busy => Outcome::Unknown,
        other => Outcome::Forbidden(other.to_string()),
    }
}

/// Returns the state with a number. States differ in their length.
fn written(number: u64, expires: u64) -> SessionState {
    SessionState {
        user: Some(format!("user {}", number % 3)),
        expires: time(expires),
        data: format!("{number} ").repeat(1 + number as usize % 50).into(),
    }
}

/// Returns the time with a number. No session expires during a test.
fn time(number: u64) -> u64 {
    u64::MAX - number
}

/// Returns what a load saw, which must be a whole state.
fn read(session: &SessionId, loaded: Option<StoredSession>) -> Outcome {
    let Some(loaded) = loaded else {
        return Outcome::Loaded(None);
    };
    match content(&loaded) {
        Some(content) if loaded.id == *session => Outcome::Loaded(Some(content)),
        _ => Outcome::Forbidden(format!("a load returned {loaded:?}")),
    }
}

fn content(loaded: &StoredSession) -> Option<Content> {
    let text = str::from_utf8(&loaded.state.data).ok()?;
    let (number, _) = text.split_once(' ')?;
    let content = Content {
        version: loaded.version,
        state: number.parse().ok()?,
        expires: u64::MAX - loaded.state.expires,
    };
    let is_whole = loaded.state == written(content.state, content.expires);
    is_whole.then_some(content)
}
