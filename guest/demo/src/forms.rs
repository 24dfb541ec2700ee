//! Forms with a form token, which protects them from cross-site request forgery.

use session3_web::{Request, Response, fill};

use crate::bindings::session3::sessions::manager::{Session, SessionError};
use crate::response::{message, to};

/// Puts a new form token into all forms of a page, at the placeholder `form`. The forms share
/// the token, so only one of them can be submitted, and only once; its response leads to a page
/// with a new token.
pub fn with_form_token(session: &Session, body: &str) -> Result<String, SessionError> {
    if !body.contains("{form}") {
        return Ok(body.to_owned());
    }
    let token = session.create_form_token()?;
    let field = format!("<input type=\"hidden\" name=\"form\" value=\"{token}\">");
    Ok(fill(body, &[("form", &field)]))
}

/// Handles a submitted form: calls `act` and commits the session. If the form token is not
/// valid, or was used before, `act` is not called, and the response has the status 403.
pub fn post(
    session: &Session,
    request: &Request,
    act: impl FnOnce(&Session, &Request) -> Result<(), SessionError>,
) -> Result<Response, SessionError> {
    if !session.remove_form_token(request.field("form"))? {
        return Ok(message(
            403,
            "This form is not valid any more",
            "It was sent before, or it belongs to another session. Go back, reload the page and try again.",
        ));
    }
    act(session, request)?;
    Ok(to("/account", session.commit()?))
}
