//! Lost replies, silent networks, and servers that are away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use session3_store::{SessionStore, StoreError, StoredSession};
use session3_store_postgres::{Options, PostgresStore};
use session3_test_engines::calls::{SLACK, TIMEOUT, eventually, in_time, is_unavailable};
use session3_test_engines::proxy::Proxy;
use session3_test_support::{block_on, id, state};

use crate::server::{Server, client, new_table, shared, table};

/// Opens a store through a proxy to a server.
pub async fn open(server: &Server, proxy: &Proxy) -> PostgresStore {
    open_table(server, proxy, &table()).await
}

async fn open_table(server: &Server, proxy: &Proxy, table: &str) -> PostgresStore {
    let url = format!("{}?table={table}", server.url_at(proxy.port));
    let options = Options::default().create(true).timeout(TIMEOUT);
    PostgresStore::open(&url, options).await.unwrap()
}

/// Waits until the store has all of its connections, so that the replies which a test loses
/// are those to operations.
pub async fn connect_all(server: &Server, store: &PostgresStore) {
    let client = client(server).await;
    let statement = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'session3'";
    let connections = async || -> i64 {
        let row = client.query_one(statement, &[]).await.unwrap();
        row.get(0)
    };
    eventually("four connections", async || {
        store.load_session(&id(0)).await.is_ok() && connections().await == 4
    })
    .await;
}

#[test]
fn a_new_connection_prepares_its_statements_again() {
    block_on(async {
        let server = Server::start(&[]);
        let url = format!("{}&prepare=on", new_table(&server));
        let options = Options::default().create(true).timeout(TIMEOUT);
        let store = PostgresStore::open(&url, options).await.unwrap();
        let other = client(&server).await;
        for version in 0..8 {
            if version == 0 {
                assert_eq!(store.create_session(&id(1), &state("a")).await, Ok(1));
            } else {
                let saved = store.save_session(&id(1), &state("b"), version).await;
                assert_eq!(saved, Ok(version + 1));
            }
            let statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                WHERE application_name = 'session3'";
            assert!(!other.query(statement, &[]).await.unwrap().is_empty());
        }
    });
}

#[test]
fn a_change_whose_reply_was_lost_took_effect_once() {
    block_on(async {
        let server = Server::start(&[]);
        let proxy = Proxy::new(server.port).await;
        let store = open(&server, &proxy).await;
        let cut = async |count| {
            connect_all(&server, &store).await;
            proxy.cut_replies(count);
        };
        let version = async || store.load_session(&id(1)).await.unwrap().unwrap().version;
        cut(1).await;
        assert_eq!(store.create_session(&id(1), &state("a")).await, Ok(1));
        assert_eq!(proxy.uncut_replies(), 0);
        for expected in 1..5 {
            cut(1).await;
            let saved = store.save_session(&id(1), &state("b"), expected).await;
            assert_eq!(saved, Ok(expected + 1));
            assert_eq!(proxy.uncut_replies(), 0);
            assert_eq!(version().await, expected + 1);
        }
        cut(1).await;
        assert_eq!(store.touch_session(&id(1), 77, 5).await, Ok(()));
        assert_eq!((proxy.uncut_replies(), version().await), (0, 5));
        let mut session = store.load_session(&id(1)).await.unwrap().unwrap();
        assert_eq!(session.state.expires, 77);
        for (expected, version) in [(Some(5), 9), (Some(9), 3)] {
            session.version = version;
            cut(1).await;
            assert_eq!(store.import_session(&session, expected).await, Ok(()));
            assert_eq!(proxy.uncut_replies(), 0);
            let loaded = store.load_session(&id(1)).await;
            assert_eq!(loaded, Ok(Some(session.clone())));
        }
        cut(1).await;
        let new = StoredSession {
            id: id(2),
            ..session
        };
        assert_eq!(store.import_session(&new, None).await, Ok(()));
        assert_eq!(store.load_session(&id(2)).await, Ok(Some(new)));
    });
}

#[test]
fn a_refusal_after_a_lost_reply_leaves_the_doubt() {
    block_on(async {
        let server = Server::start(&[]);
        let proxy = Proxy::new(server.port).await;
        let store = open(&server, &proxy).await;
        let cut = async || {
            connect_all(&server, &store).await;
            proxy.cut_replies(1);
        };
        // A connection that is being made may lose a reply, too, in place of the operation.
        eventually("the reply to a delete to be lost", async || {
            store.create_session(&id(1), &state("a")).await.unwrap();
            cut().await;
            let deleted = store.delete_session(&id(1)).await;
            assert!(
                deleted == Ok(true) || is_unavailable(&deleted),
                "{deleted:?}"
            );
            assert_eq!(store.load_session(&id(1)).await, Ok(None));
            is_unavailable(&deleted)
        })
        .await;
        eventually("the reply to a save to be lost", async || {
            cut().await;
            let saved = store.save_session(&id(1), &state("b"), 1).await;
            let is_known = saved == Err(StoreError::Absent);
            assert!(is_known || is_unavailable(&saved), "{saved:?}");
            !is_known
        })
        .await;
        cut().await;
        assert_eq!(store.load_session(&id(1)).await, Ok(None));
    });
}

#[test]
fn a_create_whose_reply_was_lost_revives_no_session_that_was_deleted_meanwhile() {
    lose_the_reply_and_delete(|store| async move {
        store.create_session(&id(1), &state("a")).await.map(drop)
    });
}

#[test]
fn an_import_whose_reply_was_lost_revives_no_session_that_was_deleted_meanwhile() {
    lose_the_reply_and_delete(|store| async move {
        let new = StoredSession {
            id: id(1),
            version: 7,
            modified: 5,
            state: state("a"),
        };
        store.import_session(&new, None).await
    });
}

/// Loses the reply to an operation that makes a session, and deletes the session before the store
/// can ask again.
fn lose_the_reply_and_delete<F>(make: impl FnOnce(PostgresStore) -> F)
where
    F: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    block_on(async {
        let proxy = Proxy::new(shared().port).await;
        let table = table();
        let url = |port| format!("{}?table={table}", shared().url_at(port));
        let patient = Options::default()
            .create(true)
            .timeout(Duration::from_secs(30));
        let store = PostgresStore::open(&url(proxy.port), patient)
            .await
            .unwrap();
        let direct = crate::server::open(&url(shared().port)).await;
        // The server has the statement and waits, the connections end, and new ones are not made
        // until the session was deleted.
        let client = client(shared()).await;
        let lock = format!("BEGIN; LOCK TABLE {table} IN SHARE MODE");
        client.batch_execute(&lock).await.unwrap();
        let making = tokio::spawn(make(store));
        eventually("the statement to wait", async || {
            waiting(&client, &table).await == 1
        })
        .await;
        proxy.set_silent(true);
        proxy.close_all();
        client.batch_execute("ROLLBACK").await.unwrap();
        eventually("the session to be deleted", async || {
            direct.delete_session(&id(1)).await == Ok(true)
        })
        .await;
        proxy.set_silent(false);
        let made = making.await.unwrap();
        assert_eq!(direct.load_session(&id(1)).await, Ok(None));
        assert!(is_unavailable(&made), "{made:?}");
    });
}

/// Returns how many statements wait for a lock of a table.
async fn waiting(client: &tokio_postgres::Client, table: &str) -> i64 {
    let statement = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%{table} %' \
         AND wait_event_type = 'Lock'"
    );
    client.query_one(&statement, &[]).await.unwrap().get(0)
}

#[test]
fn every_call_ends_in_time_in_a_silent_network_and_works_after_it() {
    block_on(async {
        let proxy = Proxy::new(shared().port).await;
        let store = Arc::new(open(shared(), &proxy).await);
        store.create_session(&id(1), &state("a")).await.unwrap();
        proxy.set_silent(true);
        let (a, b) = (state("a"), state("b"));
        let (one, two) = (id(1), id(2));
        let refused = [
            in_time(store.load_session(&one)).await.map(drop),
            in_time(store.save_session(&one, &b, 1)).await.map(drop),
            in_time(store.create_session(&two, &a)).await.map(drop),
            in_time(store.touch_session(&one, 5, 1)).await,
            in_time(store.delete_session(&two)).await.map(drop),
            in_time(store.iter_sessions(None, 5)).await.map(drop),
            in_time(store.sessions_of_user("alice")).await.map(drop),
            in_time(store.delete_old_sessions(5, None)).await.map(drop),
            in_time(store.lock_session(&one, TIMEOUT)).await.map(drop),
        ];
        assert!(refused.iter().all(is_unavailable), "{refused:?}");
        for error in refused.map(Result::unwrap_err) {
            let error = error.to_string();
            assert!(
                !error.contains('\n') && error.contains("127.0.0.1"),
                "{error}"
            );
        }
        proxy.set_silent(false);
        eventually("the store to recover", async || {
            in_time(store.load_session(&one)).await.is_ok()
        })
        .await;
    });
}

#[test]
fn calls_fail_at_once_while_the_server_is_away_and_work_when_it_is_back() {
    block_on(async {
        let proxy = Proxy::new(shared().port).await;
        let store = open(shared(), &proxy).await;
        store.create_session(&id(1), &state("a")).await.unwrap();
        for _ in 0..3 {
            proxy.refuse();
            eventually("an error", async || {
                in_time(store.load_session(&id(1))).await.is_err()
            })
            .await;
            let start = Instant::now();
            for _ in 0..100 {
                let loaded = store.load_session(&id(1)).await;
                assert!(is_unavailable(&loaded), "{loaded:?}");
            }
            // A hundred calls that waited would take 50 seconds.
            assert!(start.elapsed() < SLACK, "{:?}", start.elapsed());
            proxy.accept();
            eventually("the store to recover", async || {
                in_time(store.load_session(&id(1))).await.is_ok()
            })
            .await;
        }
    });
}

#[test]
fn a_connection_that_ended_while_idle_disturbs_no_call() {
    block_on(async {
        let proxy = Proxy::new(shared().port).await;
        let store = open(shared(), &proxy).await;
        store.create_session(&id(1), &state("a")).await.unwrap();
        for version in 1..20 {
            proxy.close_all();
            let saved = in_time(store.save_session(&id(1), &state("b"), version)).await;
            assert_eq!(saved, Ok(version + 1));
        }
    });
}

#[test]
fn a_locked_table_delays_calls_no_longer_than_the_timeout() {
    block_on(async {
        let proxy = Proxy::new(shared().port).await;
        let table = table();
        let store = open_table(shared(), &proxy, &table).await;
        store.create_session(&id(1), &state("a")).await.unwrap();
        let client = client(shared()).await;
        let lock = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        client.batch_execute(&lock).await.unwrap();
        for _ in 0..3 {
            let saved = in_time(store.save_session(&id(1), &state("b"), 1)).await;
            assert!(is_unavailable(&saved), "{saved:?}");
        }
        eventually("the cancelled statements to end", async || {
            waiting(&client, &table).await == 0
        })
        .await;
        client.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(store.save_session(&id(1), &state("b"), 1).await, Ok(2));
    });
}

#[test]
fn a_server_with_another_isolation_level_makes_no_difference() {
    block_on(async {
        let server = Server::start(&["default_transaction_isolation = 'serializable'"]);
        let url = new_table(&server);
        let store = Arc::new(crate::server::open(&url).await);
        let creates = (0..8).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.create_session(&id(1), &state("a")).await })
        });
        let mut created = 0;
        for create in creates.collect::<Vec<_>>() {
            match create.await.unwrap() {
                Ok(_) => created += 1,
                Err(error) => assert_eq!(error, StoreError::Exists),
            }
        }
        assert_eq!(created, 1);
        for version in 1..20 {
            let saves = (0..8).map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.save_session(&id(1), &state("b"), version).await })
            });
            let mut saved = 0;
            for save in saves.collect::<Vec<_>>() {
                match save.await.unwrap() {
                    Ok(_) => saved += 1,
                    Err(error) => assert_eq!(error, StoreError::Conflict(version + 1)),
                }
            }
            assert_eq!(saved, 1);
        }
    });
}
