//! The counter page with axum and session3's own layer, which the benchmark runs as a process of
//! its own beside those of the peers.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::response::{Html, Redirect};
use axum::routing::get;
use session3::SessionManager;
use session3::layer::{RequestSession, SessionLayer};
use session3::store::{DirectoryStore, directory::Options};
use tokio::net::TcpListener;

/// Serves the page on this port of the machine.
pub async fn serve(port: &str, directory: &Path) {
    let store = DirectoryStore::open(directory, Options::default().create(true)).unwrap();
    let manager = SessionManager::builder(Arc::new(store)).configure(|config| {
        config.cookie.name = "session3".into();
        config.cookie.secure = false;
    });
    let application = Router::new()
        .route("/", get(show))
        .route("/keep", get(keep))
        .route("/increment", get(increment))
        .layer(SessionLayer::new(manager.build().await.unwrap()));
    let address = format!("127.0.0.1:{port}");
    let listener = TcpListener::bind(address).await.unwrap();
    axum::serve(listener, application).await.unwrap();
}

async fn show(session: RequestSession) -> Html<String> {
    let mut session = session.lock().await;
    let counter: Option<i64> = session.get("counter").await.unwrap();
    let counter = counter.unwrap_or(0);
    let id = session.id().await.unwrap().unwrap_or_default();
    Html(format!(
        "<title>axum</title>\n\
        <p>Your session ID is {id}.</p>\n\
        <p>Counter is at {counter}.</p>\n"
    ))
}

async fn keep(session: RequestSession) -> Redirect {
    session.lock().await.add("counter", 0).await.unwrap();
    Redirect::to("/")
}

async fn increment(session: RequestSession) -> Redirect {
    session.lock().await.add("counter", 1).await.unwrap();
    Redirect::to("/")
}
