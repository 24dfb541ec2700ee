//! Why sessions fail, and what a web application answers then.

use std::error::Error as StdError;

use http::StatusCode;
use session3_store::status;
use thiserror::Error;

use crate::bindings::exports::session3::sessions::manager as wit;

/// Why a session did not do what it was asked to do.
///
/// [`status`](Self::status) says what a web application answers to its client.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// A configuration, a name or a value is not allowed. The text says why, and what to
    /// do.
    #[error("not allowed: {0}")]
    Invalid(String),
    /// The session was ended, or its user changed, since this request opened it.
    #[error("the session ended, or its user changed, while this request used it")]
    Ended,
    /// The client's address or user agent has changed, and the configuration forbids that.
    #[error("the session began at another remote address or user agent: log in again")]
    ClientChanged,
    /// Another request changed the session, and this one may not merge.
    #[error("another request changed the session while this one used it")]
    Conflict,
    /// Another request kept the session locked for too long, or too many sessions are open.
    #[error("another request has the session locked, or too many sessions are open: try again")]
    Busy,
    /// The session was opened for reading only.
    #[error("the session was opened for reading only")]
    ReadOnly,
    /// The store failed with this message.
    #[error("the store failed: {0}")]
    Store(String),
    /// An attribute cannot be converted to or from the Rust type.
    #[error("not allowed: the attribute is of another type: {0}")]
    Type(#[from] serde_json::Error),
    /// The session manager component failed.
    #[error("the session manager failed: {0}")]
    Failed(#[source] Box<dyn StdError + Send + Sync>),
}

impl SessionError {
    /// Returns the status with which a web application answers a request that failed in
    /// this way. The middleware and the demo applications use the same statuses.
    ///
    /// | error | status |
    /// | --- | --- |
    /// | `Invalid`, `Type` | 400 Bad Request |
    /// | `ClientChanged` | 403 Forbidden |
    /// | `Ended`, `Conflict` | 409 Conflict |
    /// | `ReadOnly`, `Failed` | 500 Internal Server Error |
    /// | `Busy`, `Store` | 503 Service Unavailable |
    pub fn status(&self) -> StatusCode {
        let status = match self {
            Self::Invalid(_) | Self::Type(_) => status::INVALID,
            Self::ClientChanged => status::CLIENT_CHANGED,
            Self::Ended => status::ENDED,
            Self::Conflict => status::CONFLICT,
            Self::Busy => status::BUSY,
            Self::ReadOnly => status::READ_ONLY,
            Self::Store(_) => status::STORE,
            Self::Failed(_) => return StatusCode::INTERNAL_SERVER_ERROR,
        };
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Wraps an error of the component's host. The text is one line without a backtrace.
    pub(crate) fn failed(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }
}

impl From<wit::SessionError> for SessionError {
    fn from(error: wit::SessionError) -> Self {
        match error {
            wit::SessionError::Invalid(why) => Self::Invalid(why),
            wit::SessionError::ClientChanged => Self::ClientChanged,
            wit::SessionError::Ended => Self::Ended,
            wit::SessionError::Conflict => Self::Conflict,
            wit::SessionError::Busy => Self::Busy,
            wit::SessionError::ReadOnly => Self::ReadOnly,
            wit::SessionError::Store(what) => Self::Store(what),
        }
    }
}
