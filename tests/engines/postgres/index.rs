//! The index by user, compared with the sessions.

use std::collections::BTreeMap;

use session3_store::{SessionId, SessionStore};
use session3_store_postgres::PostgresStore;

use crate::server::{client, shared};

/// Checks that the index of a table on the shared server finds exactly the sessions of each
/// user.
pub async fn is_exact(store: &PostgresStore, table: &str) {
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
    let client = client(shared()).await;
    let settings = "SET enable_seqscan = off";
    client.batch_execute(settings).await.unwrap();
    let statement = format!("SELECT count(*) FROM {table} WHERE usr = $1");
    let plan = format!("EXPLAIN {}", statement.replace("$1", "'\\x00'"));
    let plan: Vec<String> = rows(client.query(&plan, &[]).await.unwrap());
    assert!(
        plan.join("\n").contains(&format!("{table}_user")),
        "{plan:?}"
    );
    for (user, ids) in by_user {
        let mut found = store.sessions_of_user(&user).await.unwrap();
        found.sort();
        assert_eq!(found, ids, "{user}");
        let user = user.as_bytes();
        let counted: i64 = client.query_one(&statement, &[&user]).await.unwrap().get(0);
        assert_eq!(counted, ids.len() as i64);
    }
}

fn rows(rows: Vec<tokio_postgres::Row>) -> Vec<String> {
    rows.iter().map(|row| row.get(0)).collect()
}
