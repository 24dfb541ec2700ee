//! Forms with a token of their own, against cross-site request forgery.

use session3_web::{Request, Response, fill};

use crate::bindings::session3::sessions::manager::{Session, SessionError};
use crate::response::{message, to};

/// Of the forms of a page, one can be sent, and once: then there is a new page.
pub fn with_form_token(session: &Session, body: &str) -> Result<String, SessionError> {
    if !body.contains("{form}") {
        return Ok(body.to_owned());
    }
    let token = session.create_form_token()?;
    let field = format!("<input type=\"hidden\" name=\"form\" value=\"{token}\">");
    Ok(fill(body, &[("form", &field)]))
}

/// A form that was sent: `act` does what it asks for. Refused unless it is one
/// of this session's, and for the first time.
pub fn post(
    session: &Session,
    request: &Request,
    act: impl FnOnce(&Session, &Request) -> Result<(), SessionError>,
) -> Result<Response, SessionError> {
    if !session.remove_form_token(request.field("form"))? {
        return Ok(message(
            403,
            "This form is no longer good",
            "It was sent before, or it is not from this session. Go back, reload the page and try again.",
        ));
    }
    act(session, request)?;
    Ok(to("/account", session.commit()?))
}
