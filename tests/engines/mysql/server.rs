//! The servers of these tests, and stores on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mysql_async::{Conn, OptsBuilder};
use session3_store::SessionStore;
use session3_store_mysql::{MysqlStore, Options};
pub use session3_test_servers::free_port;
pub use session3_test_servers::mariadb::{Mariadb as Server, PASSWORD, give};

/// Returns the server that tests share which neither stop it nor change its settings.
pub fn shared() -> &'static Server {
    Server::shared()
}

/// Returns the URL of a table of the shared server.
pub fn shared_url(table: &str) -> String {
    format!("{}?durability=off&table={table}", shared().url())
}

/// Returns the URL of a table of the shared server that no other test uses.
pub fn new_shared_url() -> String {
    shared_url(&table())
}

/// Opens a store, and creates its tables.
pub async fn open(url: &str) -> MysqlStore {
    let options = Options::default().create(true);
    MysqlStore::open(url, options).await.unwrap()
}

/// Returns a name that no other test uses.
pub fn table() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("t_{}", NEXT.fetch_add(1, Ordering::SeqCst))
}

/// Returns the URL of a table of a server that no other test uses.
pub fn new_table(server: &Server) -> String {
    format!("{}?table={}", server.url(), table())
}

/// Returns a connection that does not belong to the store.
pub async fn client(server: &Server) -> Conn {
    let opts = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(server.port)
        .user(Some("session3"))
        .pass(Some(PASSWORD))
        .db_name(Some("web"))
        .prefer_socket(false);
    Conn::new(opts).await.unwrap()
}

/// What the shared tests need.
pub struct Engine;

impl session3_test_engines::Engine for Engine {
    type Server = Server;

    fn start() -> Server {
        Server::start(&[])
    }

    fn new_url() -> String {
        new_shared_url()
    }

    async fn open(url: &str) -> Arc<dyn SessionStore> {
        Arc::new(open(url).await)
    }
}
