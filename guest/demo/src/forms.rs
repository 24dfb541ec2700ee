//! Forms with a form token, which protects them from cross-site request forgery.

use http::{Response, StatusCode};
use serde::Deserialize;
use session3_guest::{Error, Session};
use session3_web::fill;

use crate::response::{message, to};

/// The fields of all forms and queries. A field that a form does not have is empty.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    /// The form token.
    form: String,
    /// The name of the user who logs in.
    pub user: String,
    /// Not empty if the user wants to be remembered.
    pub remember: String,
    /// A message for the next page.
    pub text: String,
    /// The ID of the session that the administrator ends.
    pub id: String,
    /// The cursor of the page of sessions that the administrator sees.
    pub after: String,
}

/// Puts a new form token into all forms of a page, at the placeholder `form`. The forms share
/// the token, so only one of them can be submitted, and only once; its response leads to a page
/// with a new token.
pub fn with_form_token(session: &Session, body: &str) -> Result<String, Error> {
    if !body.contains("{form}") {
        return Ok(body.to_owned());
    }
    let token = session.create_form_token()?;
    let field = format!("<input type=\"hidden\" name=\"form\" value=\"{token}\">");
    Ok(fill(body, &[("form", &field)]))
}

/// Uses up the token of a form. Returns whether it was valid.
pub fn is_valid(session: &Session, fields: &Fields) -> Result<bool, Error> {
    session.remove_form_token(&fields.form)
}

/// What a form does.
pub struct Form {
    /// Returns whether the session is as the form wants it. A browser sends a form twice if its
    /// button is clicked twice, and shows the response to the second request.
    pub is_done: fn(&Session, &Fields) -> Result<bool, Error>,
    /// Does what the form is for.
    pub act: fn(&Session, &Fields) -> Result<(), Error>,
}

/// Handles a submitted form. If the form token is not valid, or was used before, nothing is
/// changed, and the response has the status 403.
pub fn post(session: &Session, fields: &Fields, form: &Form) -> Result<Response<String>, Error> {
    if is_valid(session, fields)? {
        (form.act)(session, fields)?;
    } else if !(form.is_done)(session, fields)? {
        return Ok(message(
            StatusCode::FORBIDDEN,
            "This form is not valid any more",
            "It was sent before, or it belongs to another session. Go back, reload the page and try again.",
        ));
    }
    Ok(to("/account"))
}
