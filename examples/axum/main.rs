//! An axum application in which each session has a counter and a user:
//!
//! ```sh
//! axum STORE [--port PORT]
//! ```
//!
//! All requests that change a session are POST requests, and each form carries the session's
//! CSRF token, so no page of another site can submit one for the user.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Form};
use axum::http::{StatusCode, request::Parts};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, serve};
use clap::Parser;
use serde::Deserialize;
use session3::layer::{RequestSession, SessionLayer};
use session3::manager::Config;
use session3::store::{DirectoryStore, directory::Options};
use session3::{Session, SessionError, SessionManager};
use tokio::net::TcpListener;

/// Serve an application with sessions, over plain HTTP
#[derive(Parser)]
struct Arguments {
    /// Keep the sessions in this directory; create it if it is missing
    store: PathBuf,
    /// Listen on this port of 127.0.0.1; 0 chooses a free port
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { store, port } = Arguments::parse();
    let store = DirectoryStore::open(store, Options::default().create(true))?;
    let manager = SessionManager::builder(Arc::new(store))
        .configure(over_plain_http)
        .build()
        .await?;
    let application = Router::new()
        .route("/", get(show))
        .route("/increment", post(increment))
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .layer(SessionLayer::new(manager).remote_address(client_address));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    println!("Open http://{address}/ and press Ctrl-C to quit.");
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    let application = application.into_make_service_with_connect_info::<SocketAddr>();
    serve(listener, application)
        .with_graceful_shutdown(stop)
        .await?;
    Ok(())
}

/// Configures a cookie for plain HTTP. Browsers accept the default cookie, `__Host-session` with
/// `Secure`, only over TLS. Remove this function if a proxy provides TLS.
fn over_plain_http(config: &mut Config) {
    config.cookie.name = "session3".into();
    config.cookie.secure = false;
}

/// Returns the address of the client, which axum adds to the request.
fn client_address(request: &Parts) -> Option<IpAddr> {
    let client = request.extensions.get::<ConnectInfo<SocketAddr>>();
    client.map(|client| client.ip())
}

async fn show(session: RequestSession) -> Result<Html<String>, Failed> {
    let mut session = session.lock().await;
    let id = session.id().await?.unwrap_or("None".into());
    let user = session.user().await?.unwrap_or("nobody".into());
    let counter: i64 = session.get("counter").await?.unwrap_or_default();
    let csrf = session.csrf_token().await?;
    let page = include_str!("page.html")
        .replace("{id}", &id)
        .replace("{csrf}", &csrf)
        .replace("{counter}", &counter.to_string())
        // The user's name comes last: it may contain the other placeholders.
        .replace("{user}", &user.replace('&', "&amp;").replace('<', "&lt;"));
    Ok(Html(page))
}

/// A form with nothing but a button.
#[derive(Deserialize)]
struct Press {
    csrf: String,
}

/// Adds 1 to the counter; the layer commits the session. No addition of a concurrent request is
/// lost.
async fn increment(session: RequestSession, Form(form): Form<Press>) -> Result<Redirect, Failed> {
    let mut session = session.lock().await;
    check(&mut session, &form.csrf).await?;
    session.add("counter", 1).await?;
    Ok(Redirect::to("/"))
}

#[derive(Deserialize)]
struct Login {
    csrf: String,
    user: String,
}

/// Logs a user in. The commit gives the session a new token, and the previous one is not valid
/// any more.
async fn log_in(session: RequestSession, Form(form): Form<Login>) -> Result<Redirect, Failed> {
    let mut session = session.lock().await;
    // A button that is pressed twice submits the form twice.
    if session.user().await?.as_deref() == Some(&form.user) {
        return Ok(Redirect::to("/"));
    }
    check(&mut session, &form.csrf).await?;
    // Browsers require a name in this form, but other clients may send an empty one.
    if !form.user.is_empty() {
        session.set_user(Some(&form.user)).await?;
    }
    Ok(Redirect::to("/"))
}

/// Ends the session. Concurrent requests cannot save it any more.
async fn log_out(session: RequestSession, Form(form): Form<Press>) -> Result<Redirect, Failed> {
    let mut session = session.lock().await;
    // The same button pressed twice: the session has ended.
    if !session.is_new().await? {
        check(&mut session, &form.csrf).await?;
        session.expire().await?;
    }
    Ok(Redirect::to("/"))
}

/// Refuses a form whose CSRF token is not one of this session.
async fn check(session: &mut Session, token: &str) -> Result<(), Failed> {
    match session.is_csrf_token(token).await? {
        true => Ok(()),
        false => Err(Failed::Forged),
    }
}

/// Why a request failed.
enum Failed {
    /// The form comes from another site, or from before the user changed.
    Forged,
    /// The session failed. If the status of the error is a server error, the layer does not
    /// commit the session.
    Session(SessionError),
}

impl From<SessionError> for Failed {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        match self {
            Self::Forged => {
                let text =
                    "This form is not valid any more: go back, reload the page, and try again.";
                (StatusCode::FORBIDDEN, text).into_response()
            }
            Self::Session(error) => (error.status(), error.to_string()).into_response(),
        }
    }
}
