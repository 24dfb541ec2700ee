//! Servers and tables that a store refuses, each with one line.

use std::time::{Duration, Instant};

use session3_store::{SessionStore, StoreError};
use session3_store_postgres::{OpenError, Options, PostgresStore};
use session3_test_support::{block_on, id, state};

use crate::server::{PASSWORD, Server, client, free_port, new_table, open, shared, table};

/// Returns why a store is not opened, and checks the message.
async fn refusal(url: &str, options: Options, part: &str) -> OpenError {
    let opened = PostgresStore::open(url, options).await;
    let error = opened.err().expect("the store is refused");
    let text = error.to_string();
    assert!(text.contains(part), "{text}");
    assert!(!text.contains('\n'), "{text}");
    assert!(!text.contains(PASSWORD), "{text}");
    assert!(!format!("{error:?}").contains(PASSWORD), "{error:?}");
    error
}

async fn create(url: &str, part: &str) -> OpenError {
    refusal(url, Options::default().create(true), part).await
}

#[test]
fn a_wrong_user_password_or_database_is_named() {
    block_on(async {
        let server = shared();
        let wrong = server.url().replace(PASSWORD, "wrong-secret");
        let error = create(&wrong, "password authentication failed").await;
        assert!(matches!(error, OpenError::Refused(..)), "{error:?}");
        assert!(!error.to_string().contains("wrong-secret"));
        let options = Options::default().create(true).password(PASSWORD.into());
        PostgresStore::open(&wrong, options).await.unwrap();
        let without = server.url().replace(&format!(":{PASSWORD}"), "");
        let error = create(&without, "password missing").await;
        assert!(matches!(error, OpenError::Refused(..)), "{error:?}");
        let database = server
            .url()
            .replace("/postgres", "/absent")
            .replace("//absent:", "//postgres:");
        let error = create(&database, "absent").await;
        assert!(matches!(error, OpenError::Failed(..)), "{error:?}");
    });
}

#[test]
fn a_server_that_is_away_is_named() {
    block_on(async {
        let url = format!("postgres://postgres:{PASSWORD}@127.0.0.1:{}/d", free_port());
        let error = create(&url, "refused").await;
        assert!(matches!(error, OpenError::Unreachable(..)), "{error:?}");
        let start = Instant::now();
        let error = create("postgres://name.invalid/d", "name.invalid").await;
        assert!(matches!(error, OpenError::Unreachable(..)), "{error:?}");
        assert!(start.elapsed() < Duration::from_secs(15));
    });
}

#[test]
fn missing_tables_are_created_only_if_the_options_say_so() {
    block_on(async {
        let url = new_table(shared());
        let error = refusal(&url, Options::default(), "`create`").await;
        assert!(matches!(error, OpenError::Missing(..)), "{error:?}");
        let stores = (0..8).map(|_| {
            let url = url.clone();
            tokio::spawn(async move { open(&url).await })
        });
        for (number, store) in (0..).zip(stores.collect::<Vec<_>>()) {
            let store = store.await.unwrap();
            store
                .create_session(&id(number), &state("a"))
                .await
                .unwrap();
        }
        PostgresStore::open(&url, Options::default()).await.unwrap();
    });
}

#[test]
fn tables_of_somebody_else_and_of_a_newer_program_are_refused() {
    block_on(async {
        let client = client(shared()).await;
        let [foreign, meta, newer] = [table(), table(), table()];
        let url = |table: &str| format!("{}?table={table}", shared().url());
        let sql = format!("CREATE TABLE {foreign} (id int, name text)");
        client.batch_execute(&sql).await.unwrap();
        let error = create(&url(&foreign), &foreign).await;
        assert!(matches!(error, OpenError::Foreign(..)), "{error:?}");
        let sql = format!("CREATE TABLE {meta}_meta (id int, name text)");
        client.batch_execute(&sql).await.unwrap();
        let error = create(&url(&meta), &meta).await;
        assert!(matches!(error, OpenError::Foreign(..)), "{error:?}");
        let store = open(&url(&newer)).await;
        let sql = format!("UPDATE {newer}_meta SET session3_schema = 2");
        client.batch_execute(&sql).await.unwrap();
        let error = create(&url(&newer), "schema version 2").await;
        assert!(matches!(error, OpenError::Newer(..)), "{error:?}");
        assert!(matches!(
            store.setup().await,
            Err(StoreError::Unavailable(_))
        ));
    });
}

#[test]
fn a_table_that_was_dropped_is_named_and_set_up_again() {
    block_on(async {
        let table = table();
        let store = open(&format!("{}?table={table}", shared().url())).await;
        let client = client(shared()).await;
        let sql = format!("DROP TABLE {table}, {table}_meta, {table}_locks");
        client.batch_execute(&sql).await.unwrap();
        let error = store.load_session(&id(1)).await.unwrap_err().to_string();
        assert!(error.contains(&table) && !error.contains('\n'), "{error}");
        store.setup().await.unwrap();
        assert_eq!(store.load_session(&id(1)).await, Ok(None));
    });
}

#[test]
fn a_server_that_may_lose_everything_is_refused() {
    block_on(async {
        let server = Server::start(&["fsync = off"]);
        let error = create(&server.url(), "fsync").await;
        assert!(matches!(error, OpenError::Unsafe(_)), "{error:?}");
        open(&format!("{}?durability=off", server.url())).await;
    });
}

#[test]
fn a_user_without_rights_learns_which_are_missing() {
    block_on(async {
        let client = client(shared()).await;
        let user = table();
        let sql = format!("CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'");
        client.batch_execute(&sql).await.unwrap();
        let url = new_table(shared()).replace("//postgres:", &format!("//{user}:"));
        let error = create(&url, "permission denied").await;
        assert!(matches!(error, OpenError::Failed(..)), "{error:?}");
    });
}

#[test]
fn a_damaged_row_is_named_and_stays() {
    block_on(async {
        let table = table();
        let store = open(&format!("{}?table={table}", shared().url())).await;
        for number in 1..4 {
            store
                .create_session(&id(number), &state("a"))
                .await
                .unwrap();
        }
        let client = client(shared()).await;
        let sql = format!("UPDATE {table} SET usr = '\\xff' WHERE id = '{}'", id(2));
        client.batch_execute(&sql).await.unwrap();
        let loaded = store.load_session(&id(2)).await;
        assert!(matches!(loaded, Err(StoreError::Corrupt(_))), "{loaded:?}");
        let page = store.iter_sessions(None, 9).await.unwrap();
        assert_eq!((page.sessions.len(), page.damaged.len()), (2, 1));
        assert_eq!(page.damaged[0].0, id(2));
        assert_eq!(store.delete_session(&id(2)).await, Ok(true));
    });
}
