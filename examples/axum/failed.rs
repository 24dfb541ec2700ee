//! Why a request failed, and its response.

use axum::extract::rejection::FormRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use session3::SessionError;

pub enum Failed {
    /// There is no such page.
    NotFound,
    /// The form comes from another site, or from before the user changed.
    Forged,
    /// The request contains no form, or not the expected one.
    Form(FormRejection),
    /// The request did not pass the layer.
    NoSession(Response),
    /// The session failed. If the status of the error is a server error, the layer does not
    /// commit the session.
    Session(SessionError),
}

impl From<SessionError> for Failed {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "There is no such page.\n").into_response(),
            Self::Forged => {
                let text = "This page is too old. Load it again.\n";
                (StatusCode::FORBIDDEN, text).into_response()
            }
            Self::Form(rejection) => rejection.into_response(),
            Self::NoSession(response) => response,
            Self::Session(error) => (error.status(), error.to_string()).into_response(),
        }
    }
}
