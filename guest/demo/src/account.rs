//! The account page, and the forms on it. A user logs in with a name and no password: session3
//! leaves the authentication of users to the application.

use http::Response;
use session3_guest::manager::SessionSummary;
use session3_guest::{Error, Session};
use session3_web::fill;

use crate::forms::{Fields, Form, with_form_token};
use crate::response::{escape, html};
use crate::words::{Described, now};

const ACCOUNT: &str = include_str!("account.html");
const STRANGER: &str = include_str!("stranger.html");

/// Logs a user in. Of two clicks, the second request has no session: its token is the one from
/// before the log-in.
pub const LOG_IN: Form = Form {
    is_done: |session, fields| {
        Ok(session.is_new()? || session.user()?.as_ref() == Some(&fields.user))
    },
    act: log_in,
};

/// Logs the user out.
pub const LOG_OUT: Form = Form {
    is_done: |session, _| Ok(session.user()?.is_none()),
    act: |session, _| session.set_user(None),
};

/// Adds a message for the next page.
pub const LEAVE_NOTE: Form = Form {
    is_done: |_, _| Ok(false),
    act: |session, fields| session.flash(&fields.text),
};

/// Ends the user's other sessions.
pub const END_OTHERS: Form = Form {
    is_done: |session, _| Ok(session.own_sessions()?.len() == 1),
    act: end_others,
};

/// Shows the messages, and either the form to log in, or the user's name and sessions.
pub fn show(session: &Session) -> Result<Response<String>, Error> {
    let messages: String = session
        .take_flashes()?
        .iter()
        .map(|message| format!("<p class=\"message\">{}</p>\n", escape(message)))
        .collect();
    let messages = ("messages", messages.as_str());
    let body = match session.user()? {
        None => fill(STRANGER, &[messages]),
        Some(user) => {
            let sessions = sessions(&session.own_sessions()?);
            let values = [messages, ("sessions", &sessions), ("user", &escape(&user))];
            fill(ACCOUNT, &values)
        }
    };
    let body = with_form_token(session, &body)?;
    Ok(html("Your account", &body))
}

fn sessions(sessions: &[SessionSummary]) -> String {
    let now = now();
    let item = |own: &SessionSummary| {
        let mark = match (own.is_current, own.is_remembered) {
            (true, true) => " (this one, remembered)",
            (true, false) => " (this one)",
            (false, true) => " (remembered)",
            (false, false) => "",
        };
        let described = Described {
            id: &own.id,
            created: own.created,
            accessed: own.accessed,
            remote_address: own.remote_address.as_deref(),
            user_agent: own.user_agent.as_deref(),
        };
        let (browser, details) = (described.browser(), described.details(now));
        format!("<li><b>{browser}</b>{mark}<br>\n{details}</li>\n")
    };
    sessions.iter().map(item).collect()
}

fn log_in(session: &Session, fields: &Fields) -> Result<(), Error> {
    if fields.user.is_empty() {
        return session.flash("Enter a name to log in.");
    }
    session.set_user(Some(&fields.user))?;
    session.remember(!fields.remember.is_empty())?;
    session.flash("Welcome. Your cookie has a new secret now; the old one is not valid any more.")
}

fn end_others(session: &Session, _: &Fields) -> Result<(), Error> {
    let ended = session.expire_others()?;
    session.flash(&format!("Other sessions that were ended: {ended}."))
}
