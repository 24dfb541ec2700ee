//! The index by user, compared with the sessions.

use mysql_async::Row;
use mysql_async::prelude::Queryable as _;
use session3_store_mysql::MysqlStore;
use session3_test_engines::index::assert_exact;

use crate::server::{client, shared};

/// Checks that the index of a table on the shared server finds exactly the sessions of each
/// user.
pub async fn is_exact(store: &MysqlStore, table: &str) {
    assert_exact(store).await;
    let mut client = client(shared()).await;
    let wrong =
        format!("SELECT COUNT(*) FROM {table} WHERE NOT usr_hash <=> UNHEX(SHA2(usr, 256))");
    assert_eq!(client.query_first(wrong).await.unwrap(), Some(0));
    let check = client.query_first(format!("CHECK TABLE {table}"));
    let row: Row = check.await.unwrap().unwrap();
    assert_eq!(row.get::<String, _>("Msg_text").unwrap(), "OK");
}
