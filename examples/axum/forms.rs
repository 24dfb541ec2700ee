//! What the forms do: the log-in and the notes. The layer commits the session after each.

use axum::extract::{Form, FromRequest, FromRequestParts, Request};
use axum::http::{Method, request::Parts};
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;
use session3::layer::RequestSession;
use session3::manager::Mode;
use session3::{Session, SessionError};
use subtle::ConstantTimeEq;

use crate::failed::Failed;

/// Replace this: look the user up in your database, which has a hash of each password.
const USERS: [(&str, &str); 2] = [("ann", "lovelace"), ("bob", "babbage")];

/// The largest length of a note, in characters.
const MAX_NOTE: usize = 500;

/// The fields of all forms. Each form has some of them.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    token: String,
    user: String,
    password: String,
    remember: Option<String>,
    text: String,
    note: i64,
    id: String,
}

/// A form of this site: it carries the CSRF token of the session.
pub struct Submission {
    session: RequestSession,
    fields: Fields,
}

impl<S: Send + Sync> FromRequest<S> for Submission {
    type Rejection = Failed;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failed> {
        let (mut parts, body) = request.into_parts();
        let session = RequestSession::from_request_parts(&mut parts, state)
            .await
            .map_err(|rejection| Failed::NoSession(rejection.into_response()))?;
        let request = Request::from_parts(parts, body);
        let Form(fields) = Form::<Fields>::from_request(request, state)
            .await
            .map_err(Failed::Form)?;
        let is_own = session.lock().await.is_csrf_token(&fields.token).await?;
        is_own
            .then_some(Self { session, fields })
            .ok_or(Failed::Forged)
    }
}

/// Logs a user in. The commit gives the session a new token, and the previous one is not valid
/// any more.
pub async fn log_in(Submission { session, fields }: Submission) -> Result<Redirect, Failed> {
    let mut session = session.lock().await;
    if is_password(&fields.user, &fields.password) {
        session.set_user(Some(&fields.user)).await?;
        session.remember(fields.remember.is_some()).await?;
    } else {
        session.flash("This is not the password.").await?;
    }
    Ok(Redirect::to("/"))
}

/// Compares the passwords, which takes as long wherever they differ, and for a name that does not
/// exist.
fn is_password(user: &str, password: &str) -> bool {
    let found = USERS.iter().find(|(name, _)| *name == user);
    let expected = found.map_or("", |(_, expected)| expected);
    let is_equal = expected.as_bytes().ct_eq(password.as_bytes());
    bool::from(is_equal) && found.is_some()
}

/// Ends the session. Concurrent requests cannot save it any more.
pub async fn log_out(Submission { session, .. }: Submission) -> Result<Redirect, Failed> {
    session.lock().await.expire().await?;
    Ok(Redirect::to("/"))
}

/// Lets requests that add a note take turns, so that two at once get two numbers.
pub fn mode(request: &Parts) -> Mode {
    match (&request.method, request.uri.path()) {
        (&Method::HEAD, _) => Mode::DryRun,
        (_, "/notes") => Mode::Exclusive,
        _ => Mode::Merge,
    }
}

/// Adds a note. Each note is an attribute of its own, whose name has a number.
pub async fn add_note(Submission { session, fields }: Submission) -> Result<Redirect, Failed> {
    let mut session = session.lock().await;
    if fields.text.trim().is_empty() {
        session.flash("A note needs a text.").await?;
    } else {
        let number = session.add("last-note", 1).await?;
        let text: String = fields.text.chars().take(MAX_NOTE).collect();
        session.set(&note_name(number), &text).await?;
        session.flash("The note is saved.").await?;
    }
    Ok(Redirect::to("/"))
}

pub async fn delete_note(Submission { session, fields }: Submission) -> Result<Redirect, Failed> {
    session.lock().await.remove(&note_name(fields.note)).await?;
    Ok(Redirect::to("/"))
}

/// Returns the numbers and the texts of the notes.
pub async fn notes(session: &mut Session) -> Result<Vec<(i64, String)>, SessionError> {
    let names = session.names().await?;
    let numbers = names
        .iter()
        .filter_map(|name| name.strip_prefix("note-")?.parse().ok());
    let mut numbers: Vec<i64> = numbers.collect();
    numbers.sort_unstable();
    let mut notes = Vec::new();
    for number in numbers {
        let text = session.get(&note_name(number)).await?;
        notes.push((number, text.unwrap_or_default()));
    }
    Ok(notes)
}

fn note_name(number: i64) -> String {
    format!("note-{number}")
}

/// Ends another session of the user.
pub async fn end_device(Submission { session, fields }: Submission) -> Result<Redirect, Failed> {
    session.lock().await.expire_own(&fields.id).await?;
    Ok(Redirect::to("/devices"))
}

/// Ends all other sessions of the user.
pub async fn end_other_devices(Submission { session, .. }: Submission) -> Result<Redirect, Failed> {
    let mut session = session.lock().await;
    let ended = session.expire_others().await?;
    session.flash(&format!("Sessions ended: {ended}.")).await?;
    Ok(Redirect::to("/devices"))
}
