//! Servers and tables that a store refuses, each with one line.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable as _;
use session3_store::{SessionStore, StoreError};
use session3_store_mysql::{MysqlStore, OpenError, Options};
use session3_test_support::{block_on, id, state};

use crate::server::{
    PASSWORD, Server, client, free_port, new_shared_url, new_table, open, shared, shared_url, table,
};

/// Returns why a store is not opened, and checks the message.
async fn refusal(url: &str, options: Options, part: &str) -> OpenError {
    let opened = MysqlStore::open(url, options).await;
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
        let url = new_shared_url();
        let wrong = url.replace(PASSWORD, "wrong-secret");
        let error = create(&wrong, "Access denied").await;
        assert!(matches!(error, OpenError::Refused(..)), "{error:?}");
        assert!(!error.to_string().contains("wrong-secret"));
        let options = Options::default().create(true).password(PASSWORD.into());
        MysqlStore::open(&wrong, options).await.unwrap();
        let without = url.replace(&format!(":{PASSWORD}"), "");
        let error = create(&without, "using password: NO").await;
        assert!(matches!(error, OpenError::Refused(..)), "{error:?}");
        let error = create(&url.replace("/web?", "/absent?"), "absent").await;
        assert!(matches!(error, OpenError::Failed(..)), "{error:?}");
    });
}

#[test]
fn a_server_that_is_away_is_named() {
    block_on(async {
        let url = format!("mysql://session3:{PASSWORD}@127.0.0.1:{}/d", free_port());
        let error = create(&url, "refused").await;
        assert!(matches!(error, OpenError::Unreachable(..)), "{error:?}");
        let start = Instant::now();
        let error = create("mysql://name.invalid/d", "name.invalid").await;
        assert!(matches!(error, OpenError::Unreachable(..)), "{error:?}");
        assert!(start.elapsed() < Duration::from_secs(15));
    });
}

#[test]
fn missing_tables_are_created_only_if_the_options_say_so() {
    block_on(async {
        let url = new_shared_url();
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
        MysqlStore::open(&url, Options::default()).await.unwrap();
    });
}

#[test]
fn a_creation_that_was_interrupted_is_completed() {
    block_on(async {
        let mut client = client(shared()).await;
        let table = table();
        open(&shared_url(&table)).await;
        let interruptions = [
            format!("DROP TABLE {table}_meta"),
            format!("DROP TABLE {table}_locks"),
            format!("DELETE FROM {table}_meta"),
        ];
        for interruption in interruptions {
            client.query_drop(interruption).await.unwrap();
            let error = refusal(&shared_url(&table), Options::default(), "`create`").await;
            assert!(matches!(error, OpenError::Missing(..)), "{error:?}");
            let store = open(&shared_url(&table)).await;
            assert_eq!(store.load_session(&id(1)).await, Ok(None));
        }
    });
}

#[test]
fn tables_of_another_program_or_engine_and_of_a_newer_program_are_refused() {
    block_on(async {
        let mut client = client(shared()).await;
        let [foreign, meta, newer, engine] = [table(), table(), table(), table()];
        let sql = format!("CREATE TABLE {foreign} (id int, name text)");
        client.query_drop(sql).await.unwrap();
        let error = create(&shared_url(&foreign), &foreign).await;
        assert!(matches!(error, OpenError::Foreign(..)), "{error:?}");
        let sql = format!("CREATE TABLE {meta}_meta (id int, name text)");
        client.query_drop(sql).await.unwrap();
        let error = create(&shared_url(&meta), &meta).await;
        assert!(matches!(error, OpenError::Foreign(..)), "{error:?}");
        open(&shared_url(&engine)).await;
        let sql = format!("ALTER TABLE {engine}_locks ENGINE=MyISAM");
        client.query_drop(sql).await.unwrap();
        let error = create(&shared_url(&engine), "MyISAM").await;
        assert!(matches!(error, OpenError::Engine(..)), "{error:?}");
        let store = open(&shared_url(&newer)).await;
        let sql = format!("UPDATE {newer}_meta SET session3_schema = 2");
        client.query_drop(sql).await.unwrap();
        let error = create(&shared_url(&newer), "schema version 2").await;
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
        let store = open(&shared_url(&table)).await;
        assert_eq!(store.load_session(&id(1)).await, Ok(None));
        let mut client = client(shared()).await;
        let sql = format!("DROP TABLE {table}, {table}_meta, {table}_locks");
        client.query_drop(sql).await.unwrap();
        let error = store.load_session(&id(1)).await.unwrap_err().to_string();
        assert!(error.contains(&table) && !error.contains('\n'), "{error}");
        store.setup().await.unwrap();
        assert_eq!(store.load_session(&id(1)).await, Ok(None));
    });
}

#[test]
fn a_server_whose_crash_may_undo_changes_is_refused() {
    block_on(async {
        let setting = "innodb_flush_log_at_trx_commit=0";
        let error = create(&new_table(shared()), setting).await;
        assert!(matches!(error, OpenError::Unsafe(..)), "{error:?}");
        let server = Server::start(&["--log-bin=log"]);
        let error = create(&new_table(&server), "sync_binlog=0").await;
        assert!(matches!(error, OpenError::Unsafe(..)), "{error:?}");
        let url = format!("{}?durability=off", server.url());
        let store = open(&url).await;
        store.create_session(&id(1), &state("a")).await.unwrap();
    });
}

#[test]
fn a_server_without_room_for_the_states_is_refused() {
    block_on(async {
        let server = Server::start(&["--max-allowed-packet=1M"]);
        let url = new_table(&server);
        let error = create(&url, "max_allowed_packet=1048576").await;
        assert!(matches!(error, OpenError::PacketLimit(..)), "{error:?}");
        let options = Options::default().create(true).max_state_bytes(1 << 19);
        MysqlStore::open(&url, options).await.unwrap();
        let options = Options::default().create(true).max_state_bytes(1 << 24);
        let error = refusal(&new_shared_url(), options, "16777215").await;
        assert!(matches!(error, OpenError::StateLimit(_)), "{error:?}");
    });
}

#[test]
fn a_server_that_is_read_only_is_refused() {
    block_on(async {
        let server = Server::start(&["--read-only=1"]);
        let error = create(&new_table(&server), "read-only").await;
        assert!(matches!(error, OpenError::ReadOnly(_)), "{error:?}");
    });
}

#[test]
fn a_user_without_rights_learns_which_are_missing() {
    block_on(async {
        let mut client = client(shared()).await;
        let user = table();
        let sql = format!("CREATE USER {user}@127.0.0.1 IDENTIFIED BY '{PASSWORD}'");
        client.query_drop(sql).await.unwrap();
        let url = new_shared_url().replace("//session3:", &format!("//{user}:"));
        let error = create(&url, "Access denied").await;
        assert!(matches!(error, OpenError::Refused(..)), "{error:?}");
        let sql = format!("GRANT SELECT ON web.* TO {user}@127.0.0.1");
        client.query_drop(sql).await.unwrap();
        let error = create(&url, "CREATE command denied").await;
        assert!(matches!(error, OpenError::Failed(..)), "{error:?}");
    });
}

#[test]
fn a_damaged_row_is_named_and_stays() {
    block_on(async {
        let table = table();
        let store = open(&shared_url(&table)).await;
        for number in 1..4 {
            store
                .create_session(&id(number), &state("a"))
                .await
                .unwrap();
        }
        let mut client = client(shared()).await;
        let sql = format!("UPDATE {table} SET usr = x'ff' WHERE id = x'{}'", id(2));
        client.query_drop(sql).await.unwrap();
        let loaded = store.load_session(&id(2)).await;
        assert!(matches!(loaded, Err(StoreError::Corrupt(_))), "{loaded:?}");
        let page = store.iter_sessions(None, 9).await.unwrap();
        assert_eq!((page.sessions.len(), page.damaged.len()), (2, 1));
        assert_eq!(page.damaged[0].0, id(2));
        assert_eq!(store.delete_session(&id(2)).await, Ok(true));
    });
}
