//! The index by user, compared with the sessions.

use session3_store_postgres::PostgresStore;
use session3_test_engines::index::assert_exact;

use crate::server::{client, shared};

/// Checks that the index of a table on the shared server finds exactly the sessions of each
/// user.
pub async fn is_exact(store: &PostgresStore, table: &str) {
    let by_user = assert_exact(store).await;
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
        let user = user.as_bytes();
        let counted: i64 = client.query_one(&statement, &[&user]).await.unwrap().get(0);
        assert_eq!(counted, ids.len() as i64);
    }
}

fn rows(rows: Vec<tokio_postgres::Row>) -> Vec<String> {
    rows.iter().map(|row| row.get(0)).collect()
}
