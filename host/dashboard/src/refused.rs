//! Why a request is refused, and the page that says so.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::html;
use session3::SessionError;
use session3::store::StoreError;

use crate::layout;

/// Why a request is refused.
pub enum Refused {
    /// The request has no log-in.
    NotLoggedIn,
    /// The link was used before, or was never valid.
    UsedLink,
    /// The form is not one of this log-in.
    Forged,
    /// The dashboard was started with `--read-only`.
    ReadOnly,
    /// The address or the form names something that cannot be.
    Malformed(&'static str),
    /// There is no such page or session.
    Missing(&'static str),
    /// The store, or the log-in itself, failed.
    Failed(StatusCode, String),
}

impl From<SessionError> for Refused {
    fn from(error: SessionError) -> Self {
        Self::Failed(error.status(), error.to_string())
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Failed(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl Refused {
    fn describe(self) -> (StatusCode, String) {
        let (status, text) = match self {
            Self::NotLoggedIn => (
                StatusCode::FORBIDDEN,
                "You are not logged in. Open the link that the program has printed, or restart \
                 the program for a new one.",
            ),
            Self::UsedLink => (
                StatusCode::FORBIDDEN,
                "This link is not valid any more: it logs in once. The program prints a new one \
                 when it starts, and in a terminal when you press Enter.",
            ),
            Self::Forged => (
                StatusCode::FORBIDDEN,
                "This form is not valid any more: go back, reload the page, and try again.",
            ),
            Self::ReadOnly => (
                StatusCode::FORBIDDEN,
                "This dashboard is read-only: start it without --read-only to change the store.",
            ),
            Self::Malformed(text) => (StatusCode::BAD_REQUEST, text),
            Self::Missing(text) => (StatusCode::NOT_FOUND, text),
            Self::Failed(status, text) => return (status, text),
        };
        (status, text.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, text) = self.describe();
        let title = status.canonical_reason().unwrap_or("Refused");
        (status, layout::bare(title, html! { p { (text) } })).into_response()
    }
}
