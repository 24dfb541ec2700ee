//! The servers of these tests, and stores on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use session3_store::SessionStore;
use session3_store_postgres::{Options, PostgresStore};
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

/// Returns a name that no other test uses.
pub fn table() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("t_{}", NEXT.fetch_add(1, Ordering::SeqCst))
}

/// What the shared tests need.
pub struct Engine;

impl session3_test_engines::Engine for Engine {
    type Server = Server;

    fn start() -> Server {
        Server::start(&[])
    }

    fn new_url() -> String {
        new_table(shared())
    }

    async fn open(url: &str) -> Arc<dyn SessionStore> {
        Arc::new(open(url).await)
    }
}
