//! The index by user, compared with the sessions.

use std::collections::BTreeMap;

use mysql_async::Row;
use mysql_async::prelude::Queryable as _;
use session3_store::{SessionId, SessionStore};
use session3_store_mysql::MysqlStore;

use crate::server::{client, shared};

/// Checks that the index of a table on the shared server finds exactly the sessions of each
/// user.
pub async fn is_exact(store: &MysqlStore, table: &str) {
    let mut by_user: BTreeMap<String, Vec<SessionId>> = BTreeMap::new();
    let mut cursor = None;
    loop {
        let page = store.iter_sessions(cursor.as_deref(), 100).await.unwrap();
        assert_eq!(page.damaged, []);
        for session in page.sessions {
            if let Some(user) = session.state.user {
                by_user.entry(user).or_default().push(session.id);
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    for (user, ids) in by_user {
        let mut found = store.sessions_of_user(&user).await.unwrap();
        found.sort();
        assert_eq!(found, ids, "{user}");
    }
    let mut client = client(shared()).await;
    let wrong =
        format!("SELECT COUNT(*) FROM {table} WHERE NOT usr_hash <=> UNHEX(SHA2(usr, 256))");
    assert_eq!(client.query_first(wrong).await.unwrap(), Some(0));
    let check = client.query_first(format!("CHECK TABLE {table}"));
    let row: Row = check.await.unwrap().unwrap();
    assert_eq!(row.get::<String, _>("Msg_text").unwrap(), "OK");
}
