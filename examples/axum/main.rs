//! A counter for everybody, in axum's manner:
//!
//! ```sh
//! axum STORE [--port PORT]
//! ```
//!
//! Whatever changes something is a POST: a form on another site's page comes
//! without the cookie, which is `SameSite=Lax`. An application whose users log in
//! with more than a name gives its forms tokens too:
//! `Session::create_form_token`.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Extension, Form};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, serve};
use clap::Parser;
use serde::Deserialize;
use session3::layer::{RequestSession, SessionLayer};
use session3::manager::Config;
use session3::store::{DirectoryStore, directory::Options};
use session3::{SessionError, SessionManager};
use tokio::net::TcpListener;

/// Serves a counter, with sessions
#[derive(Parser)]
struct Arguments {
    /// Where the sessions are kept; made where it is missing
    store: PathBuf,
    /// The port to listen on; 0 takes a free one
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
        .layer(SessionLayer::new(manager));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    println!("Open http://{address}/ and press Ctrl-C to quit.");
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    serve(listener, application)
        .with_graceful_shutdown(stop)
        .await?;
    Ok(())
}

/// Browsers take the safe default, `__Host-session` with `Secure`, over TLS
/// only. Behind a proxy that has TLS, leave this out.
fn over_plain_http(config: &mut Config) {
    config.cookie.name = "session3".into();
    config.cookie.secure = false;
}

async fn show(session: Extension<RequestSession>) -> Result<Html<String>, Failed> {
    let mut session = session.lock().await;
    let id = session.id().await?.unwrap_or("None".into());
    let user = session.user().await?.unwrap_or("nobody".into());
    let counter: i64 = session.get("counter").await?.unwrap_or_default();
    let page = include_str!("page.html")
        .replace("{id}", &id)
        .replace("{counter}", &counter.to_string())
        // The last one: what somebody typed.
        .replace("{user}", &user.replace('&', "&amp;").replace('<', "&lt;"));
    Ok(Html(page))
}

/// The layer saves it. All additions of requests at the same time count.
async fn increment(session: Extension<RequestSession>) -> Result<Redirect, Failed> {
    session.lock().await.add("counter", 1).await?;
    Ok(Redirect::to("/"))
}

#[derive(Deserialize)]
struct Login {
    user: String,
}

/// The browser gets another token; the old one opens nothing any more.
async fn log_in(
    session: Extension<RequestSession>,
    Form(login): Form<Login>,
) -> Result<Redirect, Failed> {
    // The form asks for a name; not every client keeps to it.
    if !login.user.is_empty() {
        session.lock().await.set_user(Some(&login.user)).await?;
    }
    Ok(Redirect::to("/"))
}

/// Ends the session for good, whatever else is under way.
async fn log_out(session: Extension<RequestSession>) -> Result<Redirect, Failed> {
    session.lock().await.expire().await?;
    Ok(Redirect::to("/"))
}

/// After a server's error, the layer saves nothing.
struct Failed(SessionError);

impl From<SessionError> for Failed {
    fn from(error: SessionError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (self.0.status(), self.0.to_string()).into_response()
    }
}
