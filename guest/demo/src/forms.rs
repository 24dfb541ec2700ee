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

/// What a form does.
pub struct Form {
    /// Returns whether the session is as the form wants it. A browser sends a form twice if its
    /// button is clicked twice, and shows the response to the second request.
    pub is_done: fn(&Session, &Request) -> bool,
    /// Does what the form is for.
    pub act: fn(&Session, &Request) -> Result<(), SessionError>,
}

/// Handles a submitted form: acts and commits the session. If the form token is not valid, or
/// was used before, nothing is changed, and the response has the status 403.
pub fn post(session: &Session, request: &Request, form: &Form) -> Result<Response, SessionError> {
    if !session.remove_form_token(request.field("form"))? {
        if (form.is_done)(session, request) {
            return Ok(to("/account", session.commit()?));
        }
        return Ok(message(
            403,
            "This form is not valid any more",
            "It was sent before, or it belongs to another session. Go back, reload the page and try again.",
        ));
    }
    (form.act)(session, request)?;
    Ok(to("/account", session.commit()?))
}
