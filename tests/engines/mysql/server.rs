//! The servers of these tests, and stores on them.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::{Conn, OptsBuilder};
use session3_store_mysql::{MysqlStore, Options};
pub use session3_test_engines::table;
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
    type Store = MysqlStore;
    type Server = Server;

    const SHOWS_EARLY: bool = true;

    fn start() -> Server {
        Server::start(&[])
    }

    fn shared_port() -> u16 {
        shared().port
    }

    fn url(port: u16, table: &str) -> String {
        format!("{}?durability=off&table={table}", shared().url_at(port))
    }

    async fn open(url: &str, timeout: Duration) -> Arc<MysqlStore> {
        let options = Options::default().create(true).timeout(timeout);
        Arc::new(MysqlStore::open(url, options).await.unwrap())
    }

    async fn assert_index_is_exact(store: &MysqlStore, table: &str) {
        crate::index::is_exact(store, table).await;
    }
}
