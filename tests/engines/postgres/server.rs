//! The servers of these tests, and stores on them.

use std::sync::Arc;
use std::time::Duration;

use session3_store_postgres::{Options, PostgresStore};
pub use session3_test_engines::table;
pub use session3_test_servers::free_port;
pub use session3_test_servers::postgres::{
    PASSWORD, Postgres as Server, as_user, directory, give, program,
};
use tokio_postgres::{Client, NoTls};

/// Returns the server that tests share which neither stop it nor change its settings.
pub fn shared() -> &'static Server {
    Server::shared()
}

/// Returns the URL of a table of a server that no other test uses.
pub fn new_table(server: &Server) -> String {
    format!("{}?table={}", server.url(), table())
}

/// Returns a connection that does not belong to the store.
pub async fn client(server: &Server) -> Client {
    let (client, driver) = tokio_postgres::connect(&server.url(), NoTls).await.unwrap();
    tokio::spawn(driver);
    client
}

/// Opens a store, and creates its tables.
pub async fn open(url: &str) -> PostgresStore {
    let options = Options::default().create(true);
    PostgresStore::open(url, options).await.unwrap()
}

/// What the shared tests need.
pub struct Engine;

impl session3_test_engines::Engine for Engine {
    type Store = PostgresStore;
    type Server = Server;

    const SHOWS_EARLY: bool = false;

    fn start() -> Server {
        Server::start(&[])
    }

    fn shared_port() -> u16 {
        shared().port
    }

    fn url(port: u16, table: &str) -> String {
        format!("{}?table={table}", shared().url_at(port))
    }

    async fn open(url: &str, timeout: Duration) -> Arc<PostgresStore> {
        let options = Options::default().create(true).timeout(timeout);
        Arc::new(PostgresStore::open(url, options).await.unwrap())
    }

    async fn assert_index_is_exact(store: &PostgresStore, table: &str) {
        crate::index::is_exact(store, table).await;
    }
}
