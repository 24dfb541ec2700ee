//! Why a request failed, and the status of the response.

use http::StatusCode;
use session3_store::status;

use crate::bindings::session3::sessions::manager::SessionError;

/// Why a session or a form did not do what it was asked to do.
///
/// [`status`](Self::status) is the status of the response, and [`advice`](Self::advice) a
/// sentence for the user. The texts of `Display` are for the application's author and for the
/// log: they may say more than a user should see.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration, a name, a value or a sum is not allowed. The text says why, and what to
    /// do.
    #[error("not allowed: {0}")]
    Invalid(String),
    /// The client's address or user agent has changed, and the configuration forbids that.
    #[error("the session began at another remote address or user agent")]
    ClientChanged,
    /// The session was ended, or its user changed, while this request was under way.
    #[error("the session ended, or its user changed, while this request used it")]
    Ended,
    /// Another request saved the session first, and this one may not merge.
    #[error("another request changed the session while this one used it")]
    Conflict,
    /// Another request kept the session locked for too long.
    #[error("another request has the session locked: try again")]
    Busy,
    /// The request changed a session in a mode that forbids the change.
    #[error("the mode of this request forbids this change of the session")]
    ReadOnly,
    /// The store failed with this message.
    #[error("the store failed: {0}")]
    Store(String),
    /// The attribute of this name does not convert to or from the Rust type.
    #[error("the attribute {name:?} is of another type: {source}")]
    Type {
        /// The name of the attribute.
        name: String,
        /// Why it does not convert.
        source: serde_json::Error,
    },
    /// The form of the request cannot be read.
    #[error(transparent)]
    Form(#[from] FormError),
}

/// Why the form of a request cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// The Content-Type of the request is not `application/x-www-form-urlencoded`.
    #[error(
        "the request contains no form: its Content-Type is not application/x-www-form-urlencoded"
    )]
    ContentType,
    /// The form is larger than this number of bytes.
    #[error("the form is larger than {0} bytes")]
    TooLarge(usize),
    /// The connection ended before the form. To act on its beginning would be dangerous: the
    /// first half of one name may be another name.
    #[error("only a part of the form arrived")]
    Incomplete,
    /// The fields are not those of the Rust type.
    #[error("the fields of the form are not the expected ones: {0}")]
    Fields(#[source] serde_urlencoded::de::Error),
}

impl Error {
    /// Returns the status of the response to a request that failed in this way. The native
    /// library, the middleware and applications in other languages use the same statuses.
    ///
    /// | error | status |
    /// | --- | --- |
    /// | `Invalid`, `Type` | 400 Bad Request |
    /// | `ClientChanged` | 403 Forbidden |
    /// | `Ended`, `Conflict` | 409 Conflict |
    /// | `ReadOnly` | 500 Internal Server Error |
    /// | `Busy`, `Store` | 503 Service Unavailable |
    /// | `Form` | 400, or 413 Content Too Large, or 415 Unsupported Media Type |
    pub fn status(&self) -> StatusCode {
        let status = match self {
            Self::Invalid(_) | Self::Type { .. } => status::INVALID,
            Self::ClientChanged => status::CLIENT_CHANGED,
            Self::Ended => status::ENDED,
            Self::Conflict => status::CONFLICT,
            Self::Busy => status::BUSY,
            Self::ReadOnly => status::READ_ONLY,
            Self::Store(_) => status::STORE,
            Self::Form(FormError::ContentType) => return StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Form(FormError::TooLarge(_)) => return StatusCode::PAYLOAD_TOO_LARGE,
            Self::Form(_) => return StatusCode::BAD_REQUEST,
        };
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Returns a sentence that says to the user what to do. It contains nothing of the session.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Ended => {
                "Your session ended while this request was under way. Nothing was saved."
            }
            Self::Conflict => {
                "Another request changed your session at the same time. Nothing was saved; try again."
            }
            Self::Busy => {
                "There are too many requests for your session at once. Nothing was saved; try again."
            }
            Self::Invalid(_) | Self::Type { .. } => {
                "Your session does not accept this request. Nothing was saved."
            }
            Self::ClientChanged => {
                "Your session began in another browser or network. Log in again."
            }
            Self::ReadOnly => "This page may not change the session. Nothing was saved.",
            Self::Store(_) => "Your session is not available at the moment. Try again later.",
            Self::Form(FormError::TooLarge(_)) => {
                "The form is too large, so nothing was changed. Send less."
            }
            Self::Form(FormError::Incomplete) => {
                "Only a part of the form arrived, so nothing was changed. Send it again."
            }
            Self::Form(_) => "The form is not the one of this page, so nothing was changed.",
        }
    }
}

impl From<SessionError> for Error {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Invalid(why) => Self::Invalid(why),
            SessionError::ClientChanged => Self::ClientChanged,
            SessionError::Ended => Self::Ended,
            SessionError::Conflict => Self::Conflict,
            SessionError::Busy => Self::Busy,
            SessionError::ReadOnly => Self::ReadOnly,
            SessionError::Store(what) => Self::Store(what),
        }
    }
}
