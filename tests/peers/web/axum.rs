//! The counter page with axum and tower-sessions, as a peer in the benchmark:
//!
//! ```text
//! axum-counter PORT DIRECTORY     with tower-sessions-file-based-store
//! axum-counter PORT redis:PORT    with tower-sessions-redis-store
//! ```

use anyhow::Context;
use axum::Router;
use axum::response::{Html, Redirect};
use axum::routing::get;
use tower_sessions::session_store::SessionStore;
use tower_sessions::{Session, SessionManagerLayer};
use tower_sessions_file_based_store::FileStore;
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::{
    Client, ClientLike, Config, Server, ServerConfig,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().context("the port is missing")?.parse()?;
    let place = arguments.next().context("the store is missing")?;
    match place.strip_prefix("redis:") {
        Some(server) => serve(port, RedisStore::new(connect(server.parse()?).await?)).await,
        None => {
            let store = FileStore::new(place.leak(), "", ".json");
            serve(port, store).await
        }
    }
}

async fn connect(port: u16) -> anyhow::Result<Client> {
    let server = Server::new("127.0.0.1", port);
    let config = Config {
        server: ServerConfig::Centralized { server },
        ..Config::default()
    };
    let client = Client::new(config, None, None, None);
    client.init().await?;
    Ok(client)
}

async fn serve(port: u16, store: impl SessionStore + Clone) -> anyhow::Result<()> {
    let application = Router::new()
        .route("/", get(show))
        .route("/keep", get(keep))
        .route("/increment", get(increment))
        .layer(SessionManagerLayer::new(store).with_secure(false));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    Ok(axum::serve(listener, application).await?)
}

type Answer<T> = Result<T, String>;

async fn counter(session: &Session) -> Answer<u64> {
    let counter = session.get("counter").await;
    Ok(counter.map_err(|error| error.to_string())?.unwrap_or(0))
}

async fn show(session: Session) -> Answer<Html<String>> {
    let counter = counter(&session).await?;
    let id = session.id().map(|id| id.to_string()).unwrap_or_default();
    Ok(Html(format!(
        "<title>axum</title>\n\
        <p>Your session ID is {id}.</p>\n\
        <p>Counter is at {counter}.</p>\n"
    )))
}

async fn keep(session: Session) -> Answer<Redirect> {
    let inserted = session.insert("counter", 0_u64).await;
    inserted.map_err(|error| error.to_string())?;
    Ok(Redirect::to("/"))
}

async fn increment(session: Session) -> Answer<Redirect> {
    let counter = counter(&session).await?;
    let inserted = session.insert("counter", counter + 1).await;
    inserted.map_err(|error| error.to_string())?;
    Ok(Redirect::to("/"))
}
