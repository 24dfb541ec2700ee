//! The pages in HTML. Every value in them is escaped.

use axum::extract::State;
use axum::response::Html;
use jiff::Timestamp;
use session3::layer::RequestSession;
use session3::manager::SessionSummary;
use session3::{Session, SessionError};

use crate::failed::Failed;
use crate::forms::notes;
use crate::quote::Server;

/// What every page shows of the session.
struct Frame {
    user: Option<String>,
    /// Shows that a form is from this site.
    token: String,
    /// The messages of the last request.
    flashes: Vec<String>,
}

impl Frame {
    async fn of(session: &mut Session) -> Result<Self, SessionError> {
        Ok(Self {
            user: session.user().await?,
            token: session.csrf_token().await?,
            flashes: session.take_flashes().await?,
        })
    }

    /// Returns a whole page.
    fn page(&self, body: &str) -> Html<String> {
        let flashes = self.flashes.iter().map(|message| {
            let message = escape(message);
            format!(r#"<p class="flash" role="status">{message}</p>"#)
        });
        let flashes: String = flashes.collect();
        let header = self.user.as_deref().map(|user| self.header(user));
        let header = header.unwrap_or_default();
        Html(format!(
            r#"<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Notes</title>
<link rel="stylesheet" href="/static/style.css">
{flashes}{header}{body}
</html>"#
        ))
    }

    fn header(&self, user: &str) -> String {
        let log_out = self.form("/logout", "<button>Log out</button>");
        format!(
            r#"<header><h1>Hello {}</h1>
<nav><a href="/">Notes</a><a href="/devices">Devices</a><a href="/quote">Quote</a></nav>
{log_out}</header>"#,
            escape(user)
        )
    }

    fn form(&self, action: &str, inside: &str) -> String {
        let token = &self.token;
        format!(
            r#"<form method="post" action="{action}">
<input type="hidden" name="token" value="{token}">{inside}</form>"#
        )
    }
}

/// Escapes a text for HTML.
fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// Shows the notes, or the log-in.
pub async fn start(session: RequestSession) -> Result<Html<String>, Failed> {
    let mut session = session.lock().await;
    let frame = Frame::of(&mut session).await?;
    let body = match frame.user {
        Some(_) => notes_of(&frame, &notes(&mut session).await?),
        None => log_in(&frame),
    };
    Ok(frame.page(&body))
}

fn log_in(frame: &Frame) -> String {
    let fields = r#"
<label class="field">Name <input name="user" autocomplete="username" required></label>
<label class="field">Password
<input name="password" type="password" autocomplete="current-password" required></label>
<label class="check"><input type="checkbox" name="remember"> Stay logged in</label>
<button class="main">Log in</button>"#;
    let form = frame.form("/login", fields);
    let form = form.replacen("<form", r#"<form class="log-in""#, 1);
    format!("<h1>Log in</h1>{form}")
}

fn notes_of(frame: &Frame, notes: &[(i64, String)]) -> String {
    let items = notes.iter().map(|(number, text)| {
        let button =
            format!(r#"<input type="hidden" name="note" value="{number}"><button>Delete</button>"#);
        let delete = frame.form("/notes/delete", &button);
        format!("<li><div>{}</div>{delete}</li>", escape(text))
    });
    let items: String = items.collect();
    let field = r#"<input name="text" aria-label="New note" required>
<button class="main">Add</button>"#;
    format!("<ul>{items}</ul>{}", frame.form("/notes", field))
}

/// Shows where the user is logged in.
pub async fn devices(session: RequestSession) -> Result<Html<String>, Failed> {
    let mut session = session.lock().await;
    let frame = Frame::of(&mut session).await?;
    let own = session.own_sessions().await?;
    let items: String = own.iter().map(|one| device(&frame, one)).collect();
    let button = r#"<button class="main">End the others</button>"#;
    let others = frame.form("/devices/end-others", button);
    Ok(frame.page(&format!("<ul>{items}</ul>{others}")))
}

fn device(frame: &Frame, one: &SessionSummary) -> String {
    let browser = one.user_agent.as_deref().unwrap_or("An unknown browser");
    let address = one.remote_address.as_deref().unwrap_or_default();
    let about = format!(
        "{}<br><small>{} {}</small>",
        escape(browser),
        escape(address),
        time(one.accessed)
    );
    if one.is_current {
        return format!("<li><div>{about}</div><small>this one</small></li>");
    }
    let id = escape(&one.id);
    let button = format!(r#"<input type="hidden" name="id" value="{id}"><button>End</button>"#);
    let end = frame.form("/devices/end", &button);
    format!("<li><div>{about}</div>{end}</li>")
}

/// Writes a time, which is in milliseconds since 1970.
fn time(milliseconds: u64) -> String {
    let time = i64::try_from(milliseconds).map(Timestamp::from_millisecond);
    let Ok(Ok(time)) = time else {
        return String::new();
    };
    time.strftime("%d %B %Y, %H:%M UTC").to_string()
}

/// Shows what another server says.
pub async fn quote(
    State(server): State<Server>,
    session: RequestSession,
) -> Result<Html<String>, Failed> {
    let text = server.quote().await;
    let frame = Frame::of(&mut *session.lock().await).await?;
    Ok(frame.page(&format!("<blockquote>{}</blockquote>", escape(&text))))
}
