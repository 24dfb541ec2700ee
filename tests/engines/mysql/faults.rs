//! Lost replies, silent networks, and servers that are away.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable as _;
use session3_store::{SessionState, SessionStore, StoreError, StoredSession};
use session3_store_mysql::{MysqlStore, Options};
use session3_test_engines::calls::{SLACK, TIMEOUT, eventually, in_time, is_unavailable};
use session3_test_engines::proxy::Proxy;
use session3_test_support::{block_on, id, state};

use crate::log;
use crate::server::{PASSWORD, Server, client, new_table, shared, shared_url, table};

/// Opens a store through a proxy to a server.
async fn open(proxy: &Proxy) -> MysqlStore {
    open_table(shared(), proxy, &table()).await
}

async fn open_table(server: &Server, proxy: &Proxy, table: &str) -> MysqlStore {
    let url = format!("{}?durability=off&table={table}", server.url_at(proxy.port));
    let options = Options::default().create(true).timeout(TIMEOUT);
    MysqlStore::open(&url, options).await.unwrap()
}

/// A store behind a proxy, with sessions that only warm its connection up.
struct Lossy {
    store: MysqlStore,
    direct: MysqlStore,
    proxy: Proxy,
}

impl Lossy {
    async fn open() -> Self {
        let proxy = Proxy::new(shared().port).await;
        let table = table();
        let store = open_table(shared(), &proxy, &table).await;
        let direct = crate::server::open(&shared_url(&table)).await;
        Self {
            store,
            direct,
            proxy,
        }
    }

    /// Loses the next reply. The connection has prepared the statement of `operation` before,
    /// so that the reply is the one to the statement itself.
    async fn cut<T: Debug>(&self, operation: impl Future<Output = Result<T, StoreError>>) {
        operation.await.unwrap();
        self.proxy.cut_replies(1);
    }

    async fn cut_create(&self) {
        self.store.delete_session(&id(99)).await.unwrap();
        self.cut(self.store.create_session(&id(99), &state("a")))
            .await;
    }

    async fn cut_save(&self) {
        let version = self.warm().await;
        self.cut(self.store.save_session(&id(98), &state("a"), version))
            .await;
    }

    async fn cut_touch(&self) {
        let version = self.warm().await;
        self.cut(self.store.touch_session(&id(98), 5, version))
            .await;
    }

    async fn cut_delete(&self) {
        self.cut(self.store.delete_session(&id(97))).await;
    }

    async fn cut_import(&self, expected: Option<u64>) {
        let session = imported(96, 1);
        match expected {
            None => {
                self.store.delete_session(&id(96)).await.unwrap();
                self.cut(self.store.import_session(&session, None)).await;
            }
            Some(_) => {
                self.direct.delete_session(&id(96)).await.unwrap();
                self.direct.import_session(&session, None).await.unwrap();
                self.cut(self.store.import_session(&session, Some(1))).await;
            }
        }
    }

    /// Returns the version of the session 98, which it creates.
    async fn warm(&self) -> u64 {
        let _ = self.direct.create_session(&id(98), &state("a")).await;
        self.direct
            .load_session(&id(98))
            .await
            .unwrap()
            .unwrap()
            .version
    }

    fn was_cut(&self) -> bool {
        self.proxy.uncut_replies() == 0
    }
}

fn imported(number: u128, version: u64) -> StoredSession {
    StoredSession {
        id: id(number),
        version,
        modified: 5,
        state: state("imported"),
    }
}

#[test]
fn a_reply_that_a_test_cuts_is_the_one_to_a_change_that_was_made() {
    block_on(async {
        let lossy = Lossy::open().await;
        lossy
            .store
            .create_session(&id(1), &state("a"))
            .await
            .unwrap();
        lossy.cut_save().await;
        // Without another connection, the store cannot look into it.
        lossy.proxy.refuse_next();
        let saved = lossy.store.save_session(&id(1), &state("b"), 1).await;
        assert!(is_unavailable(&saved) && lossy.was_cut(), "{saved:?}");
        let found = lossy.direct.load_session(&id(1)).await.unwrap().unwrap();
        assert_eq!((found.version, found.state), (2, state("b")));
    });
}

#[test]
fn a_change_whose_reply_was_lost_took_effect_once() {
    block_on(async {
        let lossy = Lossy::open().await;
        let store = &lossy.store;
        let load = async |number| lossy.direct.load_session(&id(number)).await.unwrap();
        lossy.cut_create().await;
        assert_eq!(store.create_session(&id(1), &state("a")).await, Ok(1));
        assert!(lossy.was_cut());
        for expected in 1..5 {
            lossy.cut_save().await;
            let saved = store.save_session(&id(1), &state("b"), expected).await;
            assert_eq!(saved, Ok(expected + 1));
            assert!(lossy.was_cut());
            assert_eq!(load(1).await.unwrap().version, expected + 1);
        }
        lossy.cut_touch().await;
        assert_eq!(store.touch_session(&id(1), 77, 5).await, Ok(()));
        assert!(lossy.was_cut());
        let touched = load(1).await.unwrap();
        assert_eq!((touched.version, touched.state.expires), (5, 77));
        for (expected, version) in [(5, 9), (9, 3)] {
            lossy.cut_import(Some(expected)).await;
            let session = imported(1, version);
            let done = store.import_session(&session, Some(expected)).await;
            assert_eq!(done, Ok(()));
            assert!(lossy.was_cut());
            assert_eq!(load(1).await, Some(session));
        }
        lossy.cut_import(None).await;
        let new = imported(2, 4);
        assert_eq!(store.import_session(&new, None).await, Ok(()));
        assert!(lossy.was_cut());
        assert_eq!(load(2).await, Some(new));
    });
}

#[test]
fn a_refusal_after_a_lost_reply_leaves_the_doubt() {
    block_on(async {
        let lossy = Lossy::open().await;
        let store = &lossy.store;
        store.create_session(&id(1), &state("a")).await.unwrap();
        lossy.cut_delete().await;
        let deleted = store.delete_session(&id(1)).await;
        assert!(is_unavailable(&deleted) && lossy.was_cut(), "{deleted:?}");
        assert_eq!(lossy.direct.load_session(&id(1)).await, Ok(None));
        lossy.cut_save().await;
        let saved = store.save_session(&id(1), &state("b"), 1).await;
        assert!(is_unavailable(&saved) && lossy.was_cut(), "{saved:?}");
        // The session of another request is no success of this one.
        lossy
            .direct
            .create_session(&id(2), &state("a"))
            .await
            .unwrap();
        lossy.cut_create().await;
        let created = store.create_session(&id(2), &state("a")).await;
        assert!(is_unavailable(&created) && lossy.was_cut(), "{created:?}");
        // A read has no doubts.
        lossy.proxy.cut_replies(1);
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
    lose_the_reply_and_delete(
        |store| async move { store.import_session(&imported(1, 7), None).await },
    );
}

/// Loses the reply to an operation that makes a session, and deletes the session before the store
/// can ask again.
fn lose_the_reply_and_delete<F>(make: impl FnOnce(MysqlStore) -> F)
where
    F: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    block_on(async {
        let proxy = Proxy::new(shared().port).await;
        let table = table();
        let patient = Options::default()
            .create(true)
            .timeout(Duration::from_secs(30));
        let url = format!(
            "{}?durability=off&table={table}",
            shared().url_at(proxy.port)
        );
        let store = MysqlStore::open(&url, patient).await.unwrap();
        let direct = crate::server::open(&shared_url(&table)).await;
        // The server has the statement and waits, the connections end, and new ones are not made
        // until the session was deleted.
        let mut client = client(shared()).await;
        let lock = format!("LOCK TABLES `{table}` READ");
        client.query_drop(lock).await.unwrap();
        let making = tokio::spawn(make(store));
        let waiting = format!(
            "SELECT count(*) FROM information_schema.processlist \
             WHERE state LIKE 'Waiting for table%' AND info LIKE '%`{table}`%'"
        );
        // Under this lock, only the tables that are locked can be read, and those of the server.
        let mut observer = crate::server::client(shared()).await;
        eventually("the statement to wait", async || {
            observer.query_first::<u64, _>(&waiting).await.unwrap() == Some(1)
        })
        .await;
        proxy.set_silent(true);
        proxy.close_all();
        client.query_drop("UNLOCK TABLES").await.unwrap();
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

#[test]
fn every_call_ends_in_time_in_a_silent_network_and_works_after_it() {
    block_on(async {
        let proxy = Proxy::new(shared().port).await;
        let store = Arc::new(open(&proxy).await);
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
        log::collect();
        let proxy = Proxy::new(shared().port).await;
        let store = open(&proxy).await;
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
        // The error of a connection that is closed at once differs from time to time.
        let place = format!("127.0.0.1:{}", proxy.port);
        let lines = log::lines(&place);
        let levels: Vec<_> = lines
            .iter()
            .map(|line| line.split_once(' ').unwrap().0)
            .collect();
        assert_eq!(levels, ["WARN", "INFO"].repeat(3), "{lines:?}");
    });
}

#[test]
fn a_connection_that_the_server_closed_leaves_no_doubt() {
    block_on(async {
        let server = Server::start(&["--wait-timeout=1"]);
        let store = crate::server::open(&new_table(&server)).await;
        let mut client = client(&server).await;
        client.query_drop("SET wait_timeout = 100").await.unwrap();
        let connections = "SELECT COUNT(*) FROM information_schema.processlist \
                           WHERE user = 'session3'";
        for _ in 0..3 {
            assert_eq!(store.delete_session(&id(1)).await, Ok(false));
            eventually("the server to close the connection", async || {
                client.query_first(connections).await.unwrap() == Some(1)
            })
            .await;
        }
    });
}

#[test]
fn more_calls_than_connections_take_turns() {
    block_on(async {
        let table = table();
        let store = Arc::new(crate::server::open(&shared_url(&table)).await);
        let calls: Vec<_> = (0..200)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(async move { store.create_session(&id(number), &state("a")).await })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap(), Ok(1));
        }
    });
}

#[test]
fn a_connection_that_ended_while_idle_disturbs_no_call() {
    block_on(async {
        let proxy = Proxy::new(shared().port).await;
        let store = open(&proxy).await;
        store.create_session(&id(1), &state("a")).await.unwrap();
        for version in 1..20 {
            proxy.close_all();
            let saved = in_time(store.save_session(&id(1), &state("b"), version)).await;
            assert_eq!(saved, Ok(version + 1));
        }
    });
}

#[test]
fn a_locked_table_or_row_delays_calls_no_longer_than_the_timeout() {
    block_on(async {
        let proxy = Proxy::new(shared().port).await;
        let table = table();
        let store = open_table(shared(), &proxy, &table).await;
        store.create_session(&id(1), &state("a")).await.unwrap();
        let mut client = client(shared()).await;
        let kills = "SELECT variable_value FROM information_schema.global_status \
                     WHERE variable_name = 'Com_kill'";
        let before: u64 = client.query_first(kills).await.unwrap().unwrap();
        let locks = [
            format!("LOCK TABLES {table} WRITE"),
            format!("SELECT version FROM {table} FOR UPDATE"),
        ];
        for (lock, version) in locks.iter().zip(1..) {
            client.query_drop("START TRANSACTION").await.unwrap();
            client.query_drop(lock).await.unwrap();
            for _ in 0..3 {
                let saved = in_time(store.save_session(&id(1), &state("b"), version)).await;
                assert!(is_unavailable(&saved), "{saved:?}");
            }
            // A save that ended later than this check would take effect.
            let waiting = format!(
                "SELECT COUNT(*) FROM information_schema.processlist \
                 WHERE info LIKE 'UPDATE `{table}`%'"
            );
            eventually("the killed statements to end", async || {
                client.query_first(&waiting).await.unwrap() == Some(0)
            })
            .await;
            client.query_drop("ROLLBACK").await.unwrap();
            client.query_drop("UNLOCK TABLES").await.unwrap();
            let saved = store.save_session(&id(1), &state("b"), version).await;
            assert_eq!(saved, Ok(version + 1));
        }
        // Without that, they would wait until the server's own limit.
        eventually("six kills", async || {
            let after: u64 = client.query_first(kills).await.unwrap().unwrap();
            after >= before + 6
        })
        .await;
    });
}

#[test]
fn calls_that_get_no_connection_end_in_time() {
    block_on(async {
        let proxy = Proxy::new(shared().port).await;
        let table = table();
        let store = Arc::new(open_table(shared(), &proxy, &table).await);
        let mut client = client(shared()).await;
        let lock = format!("LOCK TABLES {table} WRITE");
        client.query_drop(lock).await.unwrap();
        let calls: Vec<_> = (0..40)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(async move { in_time(store.load_session(&id(number))).await })
            })
            .collect();
        for call in calls {
            let loaded = call.await.unwrap();
            assert!(is_unavailable(&loaded), "{loaded:?}");
        }
        client.query_drop("UNLOCK TABLES").await.unwrap();
        eventually("the store to recover", async || {
            store.load_session(&id(1)).await.is_ok()
        })
        .await;
    });
}

#[test]
fn a_deadlock_is_repeated() {
    block_on(async {
        let table = table();
        let store = Arc::new(crate::server::open(&shared_url(&table)).await);
        for number in 1..100 {
            let expired = SessionState {
                expires: 1,
                ..state("a")
            };
            store.create_session(&id(number), &expired).await.unwrap();
        }
        let mut client = client(shared()).await;
        let lock = |from, to| {
            let (from, to) = (id(from), id(to));
            format!(
                "UPDATE {table} SET expires = expires + 1 WHERE id BETWEEN x'{from}' AND x'{to}'"
            )
        };
        // The transaction that has changed more is not the one that a deadlock ends.
        client.query_drop("START TRANSACTION").await.unwrap();
        client.query_drop(lock(50, 99)).await.unwrap();
        let deadlocks = "SELECT variable_value FROM information_schema.global_status \
                         WHERE variable_name = 'Innodb_deadlocks'";
        let before: Option<u64> = client.query_first(deadlocks).await.unwrap();
        let sweeping = store.clone();
        let sweep = tokio::spawn(async move { sweeping.delete_old_sessions(5, None).await });
        let waiting = "SELECT COUNT(*) FROM information_schema.innodb_trx \
                       WHERE trx_state = 'LOCK WAIT' AND trx_query LIKE 'DELETE FROM `{table}`%'"
            .replace("{table}", &table);
        eventually("the sweep to wait", async || {
            // The table is only brought up to date if it was not read in the last 100 ms.
            tokio::time::sleep(Duration::from_millis(150)).await;
            client.query_first(&waiting).await.unwrap() == Some(1)
        })
        .await;
        client.query_drop(lock(1, 1)).await.unwrap();
        let after: Option<u64> = client.query_first(deadlocks).await.unwrap();
        assert!(after > before, "there was no deadlock");
        client.query_drop("COMMIT").await.unwrap();
        assert_eq!(sweep.await.unwrap().unwrap().deleted, 99);
    });
}

#[test]
fn a_server_that_has_become_read_only_is_left() {
    block_on(async {
        let server = Server::start(&[]);
        let mut client = client(&server).await;
        // Other users may write nevertheless.
        let user = format!("CREATE USER web@127.0.0.1 IDENTIFIED BY '{PASSWORD}'");
        client.query_drop(user).await.unwrap();
        client
            .query_drop("GRANT ALL ON web.* TO web@127.0.0.1")
            .await
            .unwrap();
        let url = server.url().replace("//session3:", "//web:");
        let store = crate::server::open(&url).await;
        store.create_session(&id(1), &state("a")).await.unwrap();
        for version in 1..4 {
            client.query_drop("SET GLOBAL read_only = 1").await.unwrap();
            let saved = store.save_session(&id(1), &state("b"), version).await;
            let error = saved.unwrap_err().to_string();
            assert!(error.contains("read-only"), "{error}");
            // A primary that was demoted is not read from either, since it may lag.
            let loaded = store.load_session(&id(1)).await;
            assert!(is_unavailable(&loaded), "{loaded:?}");
            client.query_drop("SET GLOBAL read_only = 0").await.unwrap();
            eventually("the store to recover", async || {
                store.load_session(&id(1)).await.is_ok()
            })
            .await;
            let saved = store.save_session(&id(1), &state("b"), version).await;
            assert_eq!(saved, Ok(version + 1));
        }
    });
}

#[test]
fn a_server_with_other_defaults_makes_no_difference() {
    block_on(async {
        let server = Server::start(&[
            "--transaction-isolation=SERIALIZABLE",
            "--autocommit=0",
            "--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES",
            "--character-set-server=latin1",
            "--default-time-zone=+05:30",
            "--default-storage-engine=MyISAM",
            "--sql-safe-updates=1",
        ]);
        let store = Arc::new(crate::server::open(&new_table(&server)).await);
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
        let now = session3_store::Clock::now(&session3_store::SystemClock);
        let modified = store.load_session(&id(1)).await.unwrap().unwrap().modified;
        assert!(now.abs_diff(modified) < 60_000, "{modified} is not {now}");
        assert_eq!(store.delete_old_sessions(5, None).await.unwrap().deleted, 1);
    });
}
