//! An axum application with a log-in: each user keeps notes, and sees where they are logged in.
//!
//! ```sh
//! axum STORE [--port PORT]
//! ```
//!
//! It is the application that `session3 new` writes, as a Rust program that is no component.

mod failed;
mod forms;
mod pages;
mod quote;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, serve};
use clap::Parser;
use session3::SessionManager;
use session3::layer::{RequestSession, SessionLayer};
use session3::manager::Config;
use session3::store::{DirectoryStore, directory::Options};
use tokio::net::TcpListener;

use failed::Failed;

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
    let sessions = SessionLayer::new(manager)
        .mode(forms::mode)
        .remote_address(client_address);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    let application = Router::new()
        .route("/", get(pages::start))
        .route("/login", post(forms::log_in))
        .route("/logout", post(forms::log_out))
        .route("/notes", post(forms::add_note))
        .route("/notes/delete", post(forms::delete_note))
        .route("/devices", get(pages::devices))
        .route("/devices/end", post(forms::end_device))
        .route("/devices/end-others", post(forms::end_other_devices))
        .route("/quote", get(pages::quote))
        .fallback(|| async { Failed::NotFound })
        .layer(from_fn(show_visitors_the_log_in))
        .layer(sessions)
        // These pages have no session.
        .route("/static/style.css", get(style))
        .route("/static/quote.txt", get(|| async { quote::QUOTE }))
        .with_state(quote::Server(address));
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

/// Sends a browser without a user to the log-in.
async fn show_visitors_the_log_in(
    session: RequestSession,
    request: Request,
    next: Next,
) -> Result<Response, Failed> {
    let is_open = ["/", "/login"].contains(&request.uri().path());
    if !is_open && session.lock().await.user().await?.is_none() {
        return Ok(Redirect::to("/").into_response());
    }
    Ok(next.run(request).await)
}

/// The style of the applications that `session3 new` writes.
async fn style() -> impl IntoResponse {
    let style = include_str!("../../host/cli/templates/common/static/style.css.template");
    ([(CONTENT_TYPE, "text/css")], style)
}
