//! Maps each request to its page, and contains the pages that the demos in all languages have.

use http::header::ALLOW;
use http::{HeaderValue, Method, Response, StatusCode, Uri};
use session3_guest::http::{Request, form};
use session3_guest::manager::Config;
use session3_guest::{Error, Session, Sessions, parse_form};
use session3_web::{SESSION, fill};

use crate::response::{html, message, to};
use crate::{account, admin, forms};

/// The link to the account page, which the demos in other languages do not have.
const MORE: &str =
    r#"<a href="account">Your account</a> <span>log in, leave a message, see your sessions</span>"#;

/// The settings of the sessions.
pub const SESSIONS: Sessions = Sessions::new()
    .configure(configure)
    .error_page(|error| message(error.status(), "That did not work", error.advice()));

/// Changes the configuration for browsers that do not use TLS. The cookie is not `Secure` and
/// its name has no prefix, since browsers accept the default cookie only over TLS.
fn configure(config: &mut Config, uri: &Uri) {
    if uri.scheme_str() == Some("http") {
        config.cookie.name = "session3".into();
        config.cookie.secure = false;
    }
}

/// Returns the response to a request.
pub fn answer(mut request: Request, session: &Session) -> Result<Response<String>, Error> {
    match *request.method() {
        Method::GET | Method::HEAD => page(request.uri(), session),
        Method::POST => post(&mut request, session),
        _ => Ok(not_allowed()),
    }
}

fn page(uri: &Uri, session: &Session) -> Result<Response<String>, Error> {
    match uri.path() {
        "/" => show(session),
        "/keep" => keep(session),
        "/increment" => increment(session),
        "/incrementfail" => increment_and_fail(session),
        "/logout" => log_out(session),
        "/logoutfail" => log_out_and_fail(session),
        "/account" => account::show(session),
        "/admin" => admin::show(session, &parse_form(uri.query().unwrap_or("").as_bytes())?),
        _ => Ok(message(
            StatusCode::NOT_FOUND,
            "Not found",
            "There is no such page.",
        )),
    }
}

fn post(request: &mut Request, session: &Session) -> Result<Response<String>, Error> {
    let submitted = match request.uri().path() {
        "/login" => account::LOG_IN,
        "/leave" => account::LOG_OUT,
        "/note" => account::LEAVE_NOTE,
        "/others" => account::END_OTHERS,
        "/end" => return admin::end(session, &form(request)?),
        _ => return Ok(not_allowed()),
    };
    forms::post(session, &form(request)?, &submitted)
}

fn show(session: &Session) -> Result<Response<String>, Error> {
    let counter = session.get::<i64>("counter")?.unwrap_or(0);
    let (id, counter) = (session.id()?, counter.to_string());
    let values = [
        ("id", id.as_deref().unwrap_or("None")),
        ("counter", counter.as_str()),
        ("more", MORE),
    ];
    Ok(html("Session3", &fill(SESSION, &values)))
}

fn keep(session: &Session) -> Result<Response<String>, Error> {
    session.set("keep", &true)?;
    Ok(to("/"))
}

/// Adds 1 to the counter of a stored session. A new session is not stored just for the counter.
fn increment(session: &Session) -> Result<Response<String>, Error> {
    if session.id()?.is_some() {
        session.add("counter", 1)?;
    }
    Ok(to("/"))
}

fn increment_and_fail(session: &Session) -> Result<Response<String>, Error> {
    session.add("counter", 1)?;
    Ok(on_purpose())
}

fn log_out(session: &Session) -> Result<Response<String>, Error> {
    session.expire()?;
    Ok(to("/"))
}

fn log_out_and_fail(session: &Session) -> Result<Response<String>, Error> {
    session.expire()?;
    Ok(on_purpose())
}

/// Returns the response of a page that fails on purpose. Its status prevents the commit, so the
/// session stays as it was.
fn on_purpose() -> Response<String> {
    message(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Failed on purpose",
        "This request changed the session and then failed, so nothing was saved.",
    )
}

fn not_allowed() -> Response<String> {
    let mut response = message(
        StatusCode::METHOD_NOT_ALLOWED,
        "Not allowed",
        "This page answers GET and HEAD.",
    );
    let allowed = HeaderValue::from_static("GET, HEAD");
    response.headers_mut().insert(ALLOW, allowed);
    response
}
