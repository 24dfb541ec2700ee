//! The page for the user `admin`, who sees and ends all sessions. It uses the manager's
//! interface `admin`, which an application gets only if the operator grants it.

use session3_store::SessionId;
use session3_web::{Request, Response, fill};

use crate::bindings::session3::sessions::admin::{self, SessionInfo};
use crate::bindings::session3::sessions::manager::{Session, SessionError};
use crate::bindings::session3::sessions::session_types::Value;
use crate::forms::with_form_token;
use crate::response::{escape, html, message, to};

const ADMIN: &str = include_str!("admin.html");
/// The largest number of sessions on one page.
const LIMIT: u32 = 25;

/// Shows one page of the list of all sessions, with a link to the next page.
pub fn show(session: &Session, request: &Request) -> Result<Response, SessionError> {
    if !is_administrator(session) {
        return Ok(forbidden());
    }
    let after = Some(request.field("after")).filter(|after| !after.is_empty());
    let Ok(page) = admin::list_sessions(after, LIMIT) else {
        return Ok(message(
            404,
            "Not found",
            "There is no such page of sessions.",
        ));
    };
    let rows: String = page.sessions.iter().map(row).collect();
    let damaged: String = page.damaged.iter().map(damaged_row).collect();
    let next = page.next.map_or_else(String::new, |cursor| {
        format!("<a href=\"admin?after={}\">More</a>", escape(&cursor))
    });
    let body = fill(ADMIN, &[("rows", &(rows + &damaged)), ("next", &next)]);
    let body = with_form_token(session, &body)?;
    Ok(html(200, "All sessions", &body, session.commit()?))
}

/// Ends the session whose button was pressed.
pub fn end(session: &Session, request: &Request) -> Result<Response, SessionError> {
    if !is_administrator(session) || !session.remove_form_token(request.field("form"))? {
        return Ok(forbidden());
    }
    let id = request.field("id");
    if id.parse::<SessionId>().is_err() {
        return Ok(message(
            400,
            "That did not work",
            "There is no session with this ID.",
        ));
    }
    admin::delete_session(id).map_err(SessionError::Store)?;
    Ok(to("/admin", session.commit()?))
}

fn is_administrator(session: &Session) -> bool {
    session.user().as_deref() == Some("admin")
}

fn forbidden() -> Response {
    message(
        403,
        "Forbidden",
        "Only the user admin may use this page, and may send each of its forms only once.",
    )
}

fn row(info: &SessionInfo) -> String {
    let attribute = |(name, value): &(String, Value)| format!("{name}: {}", text(value));
    let attributes: Vec<String> = info.attributes.iter().map(attribute).collect();
    let user = info.user.as_deref().unwrap_or("no user");
    cells(&info.id, user, &attributes.join(", "))
}

fn damaged_row((id, why): &(String, String)) -> String {
    cells(id, "unknown", why)
}

fn cells(id: &str, user: &str, content: &str) -> String {
    format!(
        "<tr><td>{id}</td><td>{user}</td><td>{content}</td>\
         <td><form method=\"post\" action=\"end\">{{form}}\
         <input type=\"hidden\" name=\"id\" value=\"{id}\"><button>End</button></form></td></tr>\n",
        user = escape(user),
        content = escape(content),
    )
}

fn text(value: &Value) -> String {
    match value {
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::Text(value) | Value::Json(value) => value.clone(),
        Value::Bytes(value) => format!("{} bytes", value.len()),
    }
}
