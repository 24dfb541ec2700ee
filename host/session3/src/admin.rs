//! Administration for Rust programs: showing and ending the sessions of all users.

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

use crate::bindings::exports::session3::sessions::admin as wit;
use crate::error::SessionError;
use crate::instances::Borrowed;
use crate::manager::SessionManager;
use crate::store::{SessionId, SweepReport, Timestamp};
use crate::value::to_json;

/// Shows and ends the sessions of all users, through the component's interface
/// `session3:sessions/admin`. Applications for ordinary users do not need it.
///
/// ```
/// use std::sync::Arc;
///
/// use session3::{Administration, SessionManager, store::MemoryStore};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryStore::default());
/// let manager = SessionManager::builder(store).build().await?;
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

/// A session with its content, but without its secrets.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// The ID, which opens nothing.
    pub id: String,
    /// The user who is logged in.
    pub user: Option<String>,
    /// The time at which the session began.
    pub created: Timestamp,
    /// The time of its last use, with the accuracy of `touch-after`.
    pub accessed: Timestamp,
    /// The time from which it no longer opens.
    pub expires: Timestamp,
    /// The time at which the user was last set; `None` without a user.
    pub authenticated: Option<Timestamp>,
    /// Whether the session outlives the browser, because its user asked for that.
    pub is_remembered: bool,
    /// The client's address, from the request that started the session.
    pub remote_address: Option<String>,
    /// The `User-Agent` header of the request that started the session.
    pub user_agent: Option<String>,
    /// The application's attributes as JSON texts, which keep every digit of a number. Bytes
    /// are arrays of numbers.
    pub attributes: BTreeMap<String, Box<RawValue>>,
}

/// One page of a walk through all sessions with their contents.
#[derive(Clone, Debug)]
pub struct SessionInfoPage {
    /// The sessions of this page. It can be empty although more pages follow.
    pub sessions: Vec<SessionInfo>,
    /// The IDs of the sessions that cannot be read, each with the reason.
    pub damaged: Vec<(String, String)>,
    /// The cursor of the next page; `None` on the last page.
    pub next: Option<String>,
}

/// Calls a function of the component's administration.
macro_rules! call {
    ($administration:ident.$function:ident($($argument:expr),*)) => {{
        let Borrowed { mut instance, permit: _permit } =
            $administration.manager.instances.borrow().await?;
        let guest = instance.component.session3_sessions_admin();
        let result = guest
            .$function(&mut instance.store $(, $argument)*)
            .await
            .map_err(SessionError::failed)?;
        $administration.manager.instances.put_back(instance);
        result.map_err(SessionError::Store)?
    }};
}

impl Administration {
    /// Creates the administration of this manager's sessions.
    pub fn new(manager: SessionManager) -> Self {
        Self { manager }
    }

    /// Returns one session, also if it has timed out; `None` if there is no such session.
    pub async fn session(&self, id: &SessionId) -> Result<Option<SessionInfo>, SessionError> {
        let shown = call!(self.call_show_session(&id.to_string()));
        Ok(shown.map(SessionInfo::from))
    }

    /// Returns one page of a walk through all sessions, which come in no particular order.
    ///
    /// `cursor` is `None` for the first page, and then the `next` of the page before. It is also
    /// one of the store's [`iter_sessions`](crate::store::SessionStore::iter_sessions), whose
    /// bounds a page has. A page has at most `limit` sessions.
    pub async fn sessions(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<SessionInfoPage, SessionError> {
        let page = call!(self.call_list_sessions(cursor, limit));
        Ok(SessionInfoPage {
            sessions: page.sessions.into_iter().map(SessionInfo::from).collect(),
            damaged: page.damaged,
            next: page.next,
        })
    }

    /// Returns the sessions of one user, except those that cannot be read.
    pub async fn sessions_of_user(&self, user: &str) -> Result<Vec<SessionInfo>, SessionError> {
        let sessions = call!(self.call_list_sessions_of_user(user));
        Ok(sessions.into_iter().map(SessionInfo::from).collect())
    }

    /// Ends one session at once. Returns whether there was one.
    pub async fn delete_session(&self, id: &SessionId) -> Result<bool, SessionError> {
        Ok(call!(self.call_delete_session(&id.to_string())))
    }

    /// Ends all sessions of one user at once. Returns how many.
    pub async fn delete_sessions_of_user(&self, user: &str) -> Result<u32, SessionError> {
        Ok(call!(self.call_delete_sessions_of_user(user)))
    }

    /// Ends the sessions of all users, also damaged ones. The call stops after about 5 seconds;
    /// the report says whether it reached the last session.
    pub async fn delete_all_sessions(&self) -> Result<SweepReport, SessionError> {
        let report = call!(self.call_delete_all_sessions());
        Ok(SweepReport {
            deleted: report.deleted,
            remaining: report.remaining,
            complete: report.complete,
        })
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
            authenticated: info.authenticated,
            is_remembered: info.is_remembered,
            remote_address: info.remote_address,
            user_agent: info.user_agent,
            attributes: attributes.collect(),
        }
    }
}

/// Converts to JSON. The manager does not check the JSON of an application: an attribute
/// that is not JSON becomes a text, and so does a number that JSON cannot express, which an
/// earlier release accepted.
fn readable(value: wit::Value) -> Box<RawValue> {
    let json = match value {
        wit::Value::Json(text) => match serde_json::from_str(&text) {
            Ok(json) => return json,
            Err(_) => text.into(),
        },
        wit::Value::Number(number) if !number.is_finite() => number.to_string().into(),
        value => to_json(value).unwrap_or_default(),
    };
    to_raw_value(&json).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_shown_as_it_is() {
        let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
        let digits = "[1.00000000000000000001, 123456789012345678901234567890]";
        for (value, expected) in [
            (wit::Value::Integer(i64::MAX), "9223372036854775807"),
            (wit::Value::Bytes(vec![0, 255]), "[0,255]"),
            (wit::Value::Number(0.1), "0.1"),
            (wit::Value::Number(f64::NAN), "\"NaN\""),
            (wit::Value::Json(digits.into()), digits),
            (wit::Value::Json(deep.clone()), &deep),
            (wit::Value::Json("no JSON".into()), "\"no JSON\""),
        ] {
            assert_eq!(readable(value).get(), expected);
        }
    }
}
