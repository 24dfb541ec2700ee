//! Maps each request to its page, and contains the pages that the demos in all languages have.

use session3_store::status;
use session3_web::bindings::wasi::http::types::Method;
use session3_web::{Request, Response, SESSION, fill};

use crate::bindings::session3::sessions::manager::{
    self, Config, Header, Mode, Session, SessionError, SessionManager,
};
use crate::bindings::session3::sessions::session_types::Value;
use crate::response::{html, message, to};
use crate::{account, admin, forms};

/// The link to the account page, which the demos in other languages do not have.
const MORE: &str =
    r#"<a href="account">Your account</a> <span>log in, leave a message, see your sessions</span>"#;

/// Returns the response to a request.
pub fn answer(request: &Request) -> Response {
    let answered = match request.method {
        Method::Get | Method::Head => page(request),
        Method::Post => form(request),
        _ => Ok(not_allowed()),
    };
    let mut response = answered.unwrap_or_else(|error| failed(&error));
    if matches!(request.method, Method::Head) {
        response.body.clear();
    }
    response
}

fn page(request: &Request) -> Result<Response, SessionError> {
    match request.path.as_str() {
        "/" => show(&open(request)?),
        "/keep" => keep(&open(request)?),
        "/increment" => increment(&open(request)?),
        "/incrementfail" => increment_and_fail(&open(request)?),
        "/logout" => log_out(&open(request)?),
        "/logoutfail" => log_out_and_fail(&open(request)?),
        "/account" => account::show(&open(request)?),
        "/admin" => admin::show(&open(request)?, request),
        _ => Ok(message(404, "Not found", "There is no such page.")),
    }
}

fn form(request: &Request) -> Result<Response, SessionError> {
    match request.path.as_str() {
        "/login" => forms::post(&open(request)?, request, &account::LOG_IN),
        "/leave" => forms::post(&open(request)?, request, &account::LOG_OUT),
        "/note" => forms::post(&open(request)?, request, &account::LEAVE_NOTE),
        "/others" => forms::post(&open(request)?, request, &account::END_OTHERS),
        "/end" => admin::end(&open(request)?, request),
        _ => Ok(not_allowed()),
    }
}

fn open(request: &Request) -> Result<Session, SessionError> {
    let request_info = manager::Request {
        cookies: request.cookies.clone(),
        remote_address: request.remote_address.clone(),
        user_agent: request.user_agent.clone(),
    };
    // The response to HEAD is that of GET, and nothing else happens.
    let mode = match request.method {
        Method::Head => Mode::DryRun,
        _ => Mode::Merge,
    };
    SessionManager::open(&config(request.is_secure))?.get_session(&request_info, mode)
}

/// Returns the default configuration. Without TLS, the cookie is not `Secure` and its name has
/// no prefix, since browsers accept the default cookie only over TLS.
fn config(is_secure: bool) -> Config {
    let mut config = manager::default_config();
    if !is_secure {
        config.cookie.name = "session3".into();
        config.cookie.secure = false;
    }
    config
}

fn show(session: &Session) -> Result<Response, SessionError> {
    let counter = match session.get("counter") {
        Some(Value::Integer(counter)) => counter,
        _ => 0,
    };
    let (id, counter) = (session.id(), counter.to_string());
    let values = [
        ("id", id.as_deref().unwrap_or("None")),
        ("counter", counter.as_str()),
        ("more", MORE),
    ];
    let body = fill(SESSION, &values);
    Ok(html(200, "Session3", &body, session.commit()?))
}

fn keep(session: &Session) -> Result<Response, SessionError> {
    session.set("keep", &Value::Boolean(true))?;
    Ok(to_start(session.commit()?))
}

/// Adds 1 to the counter of a stored session. A new session is not stored just for the counter.
fn increment(session: &Session) -> Result<Response, SessionError> {
    if session.id().is_some() {
        session.add("counter", 1)?;
    }
    Ok(to_start(session.commit()?))
}

fn increment_and_fail(session: &Session) -> Result<Response, SessionError> {
    session.add("counter", 1)?;
    Ok(on_purpose())
}

fn log_out(session: &Session) -> Result<Response, SessionError> {
    session.expire()?;
    Ok(to_start(session.commit()?))
}

fn log_out_and_fail(session: &Session) -> Result<Response, SessionError> {
    session.expire()?;
    Ok(on_purpose())
}

/// Returns the response of a page that fails on purpose. The page does not commit, so the
/// session stays as it was.
fn on_purpose() -> Response {
    message(
        500,
        "Failed on purpose",
        "This request changed the session and then failed, so nothing was saved.",
    )
}

fn failed(error: &SessionError) -> Response {
    let (status, text) = match error {
        SessionError::Ended => (
            status::ENDED,
            "Your session ended while this request was under way. Nothing was saved.",
        ),
        SessionError::Conflict => (
            status::CONFLICT,
            "Another request changed your session at the same time. Nothing was saved; try again.",
        ),
        SessionError::Busy => (
            status::BUSY,
            "There are too many requests for your session at once. Nothing was saved; try again.",
        ),
        SessionError::Invalid(_) => (
            status::INVALID,
            "Your session does not accept this request. Nothing was saved.",
        ),
        SessionError::ClientChanged => (
            status::CLIENT_CHANGED,
            "Your session began in another browser or network. Log in again.",
        ),
        SessionError::ReadOnly => (
            status::READ_ONLY,
            "This page may not change the session. Nothing was saved.",
        ),
        SessionError::Store(_) => (
            status::STORE,
            "Your session is not available at the moment. Try again later.",
        ),
    };
    message(status, "That did not work", text)
}

fn not_allowed() -> Response {
    let mut response = message(405, "Not allowed", "This page answers GET and HEAD.");
    response.headers.push(("Allow".into(), "GET, HEAD".into()));
    response
}

fn to_start(headers: Vec<Header>) -> Response {
    to("/", headers)
}
