//! The page for the user `admin`, who sees and ends all sessions. It uses the manager's
//! interface `admin`, which an application gets only if the operator grants it.

use http::{Response, StatusCode};
use session3_guest::admin::{self, SessionInfo};
use session3_guest::{Error, Session, Value};
use session3_store::SessionId;
use session3_web::fill;

use crate::forms::{Fields, is_valid, with_form_token};
use crate::response::{escape, html, message, to};
use crate::words::{Described, now};

const ADMIN: &str = include_str!("admin.html");
/// The largest number of sessions on one page.
const LIMIT: u32 = 25;

/// Shows one page of the list of all sessions, with a link to the next page.
pub fn show(session: &Session, fields: &Fields) -> Result<Response<String>, Error> {
    if !is_administrator(session)? {
        return Ok(forbidden());
    }
    let after = Some(fields.after.as_str()).filter(|after| !after.is_empty());
    let Ok(page) = admin::list_sessions(after, LIMIT) else {
        return Ok(message(
            StatusCode::NOT_FOUND,
            "Not found",
            "There is no such page of sessions.",
        ));
    };
    let now = now();
    let sessions: String = page.sessions.iter().map(|info| item(info, now)).collect();
    let damaged: String = page.damaged.iter().map(damaged_item).collect();
    let next = page.next.map_or_else(String::new, |cursor| {
        format!("<a href=\"admin?after={}\">More</a>", escape(&cursor))
    });
    let body = fill(
        ADMIN,
        &[("sessions", &(sessions + &damaged)), ("next", &next)],
    );
    let body = with_form_token(session, &body)?;
    Ok(html("All sessions", &body))
}

/// Ends the session whose button was pressed.
pub fn end(session: &Session, fields: &Fields) -> Result<Response<String>, Error> {
    if !is_administrator(session)? || !is_valid(session, fields)? {
        return Ok(forbidden());
    }
    if fields.id.parse::<SessionId>().is_err() {
        return Ok(message(
            StatusCode::BAD_REQUEST,
            "That did not work",
            "There is no session with this ID.",
        ));
    }
    admin::delete_session(&fields.id).map_err(Error::Store)?;
    Ok(to("/admin"))
}

fn is_administrator(session: &Session) -> Result<bool, Error> {
    Ok(session.user()?.as_deref() == Some("admin"))
}

fn forbidden() -> Response<String> {
    message(
        StatusCode::FORBIDDEN,
        "Forbidden",
        "Only the user admin may use this page, and may send each of its forms only once.",
    )
}

fn item(info: &SessionInfo, now: u64) -> String {
    let described = Described {
        id: &info.id,
        created: info.created,
        accessed: info.accessed,
        remote_address: info.remote_address.as_deref(),
        user_agent: info.user_agent.as_deref(),
    };
    let user = info.user.as_deref().map_or_else(
        || "<b>No user</b>".into(),
        |user| format!("<b>{}</b>", escape(user)),
    );
    let browser = described.browser();
    let attribute = |(name, value): &(String, Value)| format!("{name}: {}", text(value));
    let attributes: Vec<String> = info.attributes.iter().map(attribute).collect();
    let attributes = match attributes.is_empty() {
        true => String::new(),
        false => format!("<br>\n{}", escape(&attributes.join(", "))),
    };
    let details = described.details(now);
    let about = format!("{user}, {browser}{attributes}<br>\n{details}");
    let whose = info.user.as_deref().unwrap_or("no user");
    with_button(&info.id, &about, &format!("of {whose}, {browser}"))
}

fn damaged_item((id, why): &(String, String)) -> String {
    let about = format!("<b>Damaged</b>: {}<br>\n<small>{id}</small>", escape(why));
    with_button(id, &about, "that is damaged")
}

/// Returns an item of the list, with a button that ends the session. `which` says in its label
/// which session that is.
fn with_button(id: &str, about: &str, which: &str) -> String {
    format!(
        "<li>{about}\n<form method=\"post\" action=\"end\">{{form}}\
         <input type=\"hidden\" name=\"id\" value=\"{id}\">\
         <button aria-label=\"End the session {which}, {id}\">End</button></form></li>\n",
        which = escape(which),
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
