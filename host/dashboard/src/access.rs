//! Who may use the dashboard: the link that logs in once, and the check of each request.

use std::sync::Arc;

use axum::extract::{Form, FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;
use parking_lot::Mutex;
use serde::Deserialize;
use session3::layer::RequestSession;
use subtle::ConstantTimeEq;

use crate::dashboard::App;
use crate::layout;
use crate::refused::Refused;

/// The path that logs in.
pub const ENTER: &str = "/enter";
/// The path of the style sheet.
pub const STYLE: &str = "/style.css";
/// The user of the log-in sessions. Another value does not open the pages.
const OPERATOR: &str = "operator";

/// The link that logs in once.
#[derive(Default)]
pub struct Link(Mutex<Option<String>>);

impl Link {
    /// Makes a new link, and returns its path and query. The previous one opens nothing any more.
    /// Print it where only the operator sees it.
    pub fn renew(&self) -> String {
        format!("{ENTER}?secret={}", self.renew_secret())
    }

    /// Makes a new secret of 256 bits, in hexadecimal digits.
    fn renew_secret(&self) -> String {
        let bytes: [u8; 32] = rand::random();
        let secret: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        *self.0.lock() = Some(secret.clone());
        secret
    }

    /// Returns whether this is the secret, which then opens nothing any more.
    fn use_up(&self, secret: &str) -> bool {
        let mut expected = self.0.lock();
        let is_right = expected
            .as_ref()
            .is_some_and(|expected| expected.as_bytes().ct_eq(secret.as_bytes()).into());
        if is_right {
            *expected = None;
        }
        is_right
    }
}

/// The operator who is logged in, for the handler of a request.
#[derive(Clone)]
pub struct Operator {
    /// The ID of the log-in, for the log. It opens nothing.
    pub log_in: String,
    /// A token against cross-site request forgery, for the forms of the page.
    pub csrf: String,
    /// What to say on the next page.
    pub messages: Vec<String>,
}

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let operator = parts.extensions.get::<Self>().cloned();
        operator.ok_or(Refused::NotLoggedIn)
    }
}

/// Refuses every request without a log-in, except one with the link.
pub async fn guard(
    session: RequestSession,
    mut request: Request,
    next: Next,
) -> Result<Response, Refused> {
    let path = request.uri().path();
    if path != ENTER {
        let is_page = request.method() == Method::GET && path != STYLE;
        let operator = operator(&session, is_page).await?;
        request.extensions_mut().insert(operator);
    }
    Ok(next.run(request).await)
}

async fn operator(session: &RequestSession, is_page: bool) -> Result<Operator, Refused> {
    let mut session = session.lock().await;
    // A session without a user stays unsaved: a stranger leaves nothing behind.
    if session.user().await?.as_deref() != Some(OPERATOR) {
        return Err(Refused::NotLoggedIn);
    }
    let messages = match is_page {
        true => session.take_flashes().await?,
        false => Vec::new(),
    };
    Ok(Operator {
        log_in: session.id().await?.unwrap_or_default(),
        csrf: session.csrf_token().await?,
        messages,
    })
}

#[derive(Deserialize)]
pub struct Secret {
    #[serde(default)]
    secret: String,
}

/// Logs in with the secret of the link.
pub async fn enter(
    State(app): State<Arc<App>>,
    method: Method,
    session: RequestSession,
    Query(secret): Query<Secret>,
) -> Result<Response, Refused> {
    // A program that asks for the headers alone does not use the link up.
    if method == Method::HEAD || !app.link.use_up(&secret.secret) {
        tracing::warn!("a log-in was refused: the link was used before, or never valid");
        return Err(Refused::UsedLink);
    }
    let mut session = session.lock().await;
    session.set_user(Some(OPERATOR)).await?;
    tracing::info!("an operator logged in with the link");
    let content = html! {
        p { "You are logged in. " a href="/" { "Open the dashboard" } }
    };
    // A redirect would continue the navigation from a page of another site that has the link,
    // and the browser would leave out the cookie. This page starts a navigation of its own.
    let page = layout::bare("Logged in", content);
    Ok(([(header::REFRESH, "0; url=/")], page).into_response())
}

/// A form with nothing but a button.
#[derive(Deserialize)]
pub struct Press {
    csrf: String,
}

impl Press {
    /// Returns the token of the form.
    pub fn token(&self) -> &str {
        &self.csrf
    }
}

/// Logs out.
pub async fn leave(
    session: RequestSession,
    operator: Operator,
    Form(form): Form<Press>,
) -> Result<Response, Refused> {
    check_form(&session, form.token()).await?;
    session.lock().await.expire().await?;
    tracing::info!(operator = %operator.log_in, "the operator logged out");
    let content = html! {
        p { "You are logged out. The program that serves this dashboard prints a new link." }
    };
    Ok(layout::bare("Logged out", content).into_response())
}

/// Refuses a form that does not come from a page of this log-in.
pub async fn check_form(session: &RequestSession, token: &str) -> Result<(), Refused> {
    match session.lock().await.is_csrf_token(token).await? {
        true => Ok(()),
        false => Err(Refused::Forged),
    }
}

/// Leads to another page, with a message on it.
pub async fn redirect(
    session: &RequestSession,
    page: &str,
    message: &str,
) -> Result<Response, Refused> {
    session.lock().await.flash(message).await?;
    Ok(Redirect::to(page).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_once_and_a_new_one_replaces_it() {
        let link = Link::default();
        assert!(!link.use_up(""), "there is no link yet");
        let secret = link.renew_secret();
        assert_eq!(secret.len(), 64);
        assert!(!link.use_up(&secret[1..]));
        assert!(link.use_up(&secret));
        assert!(!link.use_up(&secret));
        let first = link.renew_secret();
        let second = link.renew_secret();
        assert!(!link.use_up(&first));
        assert!(link.use_up(&second));
    }
}
