//! Administration for a Rust program: everybody's sessions, to see and to end.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::bindings::exports::session3::sessions::admin as wit;
use crate::manager::{SessionError, SessionManager, failed, json_of};
use crate::store::{SessionId, Timestamp};

/// Sees and ends everybody's sessions, through the component's interface
/// `session3:sessions/admin`. An application that is for ordinary users has no
/// use for it.
///
/// ```
/// use session3::{Administration, SessionManager, SessionsCtx, store::MemoryStore};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sessions = SessionsCtx::new(std::sync::Arc::new(MemoryStore::default()));
/// let manager = SessionManager::new(None, sessions, |_config| ()).await?;
///
/// let request = http::Request::get("/").body(())?;
/// let mut session = manager.get_session(&request).await?;
/// session.set_user(Some("alice")).await?;
/// session.commit().await?;
///
/// let administration = Administration::new(manager);
/// let sessions = administration.sessions_of_user("alice").await?;
/// assert_eq!(sessions.len(), 1);
/// assert_eq!(administration.delete_sessions_of_user("alice").await?, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Administration {
    manager: SessionManager,
}

/// A session, with all that is in it but what opens it.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// Names it, and opens nothing.
    pub id: String,
    /// Who is logged in.
    pub user: Option<String>,
    /// When it began.
    pub created: Timestamp,
    /// When it was last used, to the accuracy of `touch-after`.
    pub accessed: Timestamp,
    /// From when on it opens no more.
    pub expires: Timestamp,
    /// Of the request that started it.
    pub remote_address: Option<String>,
    /// Likewise.
    pub user_agent: Option<String>,
    /// What the application keeps; bytes are arrays of numbers.
    pub attributes: BTreeMap<String, Value>,
}

/// Calls a function of the component's administration.
macro_rules! call {
    ($administration:ident.$function:ident($($argument:expr),*)) => {{
        let (_permit, mut instance) = $administration.manager.instance().await?;
        let guest = instance.component.session3_sessions_admin();
        let result = guest
            .$function(&mut instance.store $(, $argument)*)
            .await
            .map_err(failed)?;
        $administration.manager.give_back(instance);
        result.map_err(SessionError::Store)?
    }};
}

impl Administration {
    /// Of the sessions of this manager.
    pub fn new(manager: SessionManager) -> Self {
        Self { manager }
    }

    /// One session, also one that has timed out; `None` when there is none.
    pub async fn session(&self, id: &SessionId) -> Result<Option<SessionInfo>, SessionError> {
        let shown = call!(self.call_show_session(&id.to_string()));
        Ok(shown.map(SessionInfo::from))
    }

    /// The sessions of one user. One that cannot be read is left out.
    pub async fn sessions_of_user(&self, user: &str) -> Result<Vec<SessionInfo>, SessionError> {
        let sessions = call!(self.call_list_sessions_of_user(user));
        Ok(sessions.into_iter().map(SessionInfo::from).collect())
    }

    /// Ends one session, for good and at once; whether there was one.
    pub async fn delete_session(&self, id: &SessionId) -> Result<bool, SessionError> {
        Ok(call!(self.call_delete_session(&id.to_string())))
    }

    /// Ends all sessions of one user; how many.
    pub async fn delete_sessions_of_user(&self, user: &str) -> Result<u32, SessionError> {
        Ok(call!(self.call_delete_sessions_of_user(user)))
    }
}

impl From<wit::SessionInfo> for SessionInfo {
    fn from(info: wit::SessionInfo) -> Self {
        let attributes = info.attributes.into_iter();
        let attributes = attributes.map(|(name, value)| (name, readable(value)));
        Self {
            id: info.id,
            user: info.user,
            created: info.created,
            accessed: info.accessed,
            expires: info.expires,
            remote_address: info.remote_address,
            user_agent: info.user_agent,
            attributes: attributes.collect(),
        }
    }
}

/// The manager does not look into what an application calls JSON: if it is none,
/// it is a text.
fn readable(value: wit::Value) -> Value {
    match value {
        wit::Value::Json(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        value => json_of(value).unwrap_or_default(),
    }
}
