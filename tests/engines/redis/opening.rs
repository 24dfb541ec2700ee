//! Servers and stores that are refused, each with one line that says why.

use session3_store::{SessionStore, StoreError};
use session3_store_redis::{OpenError, Options, RedisStore};
use session3_test_support::{block_on, id, state};

use crate::conformance::session_key;
use crate::servers::{Server, free_port, wait_for};

async fn refused(url: &str, options: Options) -> (OpenError, String) {
    let error = RedisStore::open(url, options).await.err().unwrap();
    let text = error.to_string();
    assert!(!text.contains('\n') && !text.contains("secret"), "{text}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    (error, text)
}

#[test]
fn a_wrong_password_is_refused_and_the_right_one_is_accepted() {
    block_on(async {
        let server = Server::start_with(&["--save", "", "--requirepass", "right"]);
        let create = Options::default().create(true);
        for url in [
            format!("redis://:secret1@127.0.0.1:{}", server.port),
            format!("redis://nobody:secret1@127.0.0.1:{}", server.port),
            format!("redis://127.0.0.1:{}", server.port),
        ] {
            for resp2 in [false, true] {
                let (_, text) = refused(&url, create.clone().resp2(resp2)).await;
                assert!(text.contains("check the user and the password"), "{text}");
                assert!(text.contains(&server.port.to_string()), "{text}");
            }
        }
        let url = format!("redis://:right@127.0.0.1:{}", server.port);
        assert!(RedisStore::open(&url, create.clone()).await.is_ok());
        let url = format!("redis://:secret1@127.0.0.1:{}/3", server.port);
        let store = RedisStore::open(&url, create.password("right")).await;
        store
            .unwrap()
            .create_session(&id(1), &state(""))
            .await
            .unwrap();
    });
}

#[test]
fn a_server_that_is_away_is_named() {
    block_on(async {
        let url = format!("redis://:secret@127.0.0.1:{}", free_port());
        let (error, text) = refused(&url, Options::default()).await;
        assert!(matches!(error, OpenError::Connect(..)));
        assert!(text.contains("refused"), "{text}");
    });
}

#[test]
fn a_replica_is_refused() {
    block_on(async {
        let primary = Server::start();
        let replica = Server::start();
        replica.command(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
        let (_, text) = refused(&replica.url(), Options::default().create(true)).await;
        assert!(text.contains("is a replica; name the primary"), "{text}");
    });
}

#[test]
fn a_primary_that_becomes_a_replica_is_noticed() {
    block_on(async {
        let primary = Server::start();
        let server = Server::start();
        let options = Options::default().create(true);
        let store = RedisStore::open(&server.url(), options).await.unwrap();
        store.create_session(&id(1), &state("a")).await.unwrap();
        server.command(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
        wait_for("a load that fails", async || {
            store.load_session(&id(1)).await.is_err()
        })
        .await;
        server.command(&["REPLICAOF", "NO", "ONE"]);
        wait_for("recovery", async || {
            store.load_session(&id(1)).await.is_ok()
        })
        .await;
    });
}

#[test]
fn a_store_that_is_missing_newer_or_not_ours_is_refused() {
    block_on(async {
        let server = Server::start();
        let (error, text) = refused(&server.url(), Options::default()).await;
        assert!(matches!(error, OpenError::Missing(..)), "{text}");
        let create = Options::default().create(true);
        RedisStore::open(&server.url(), create.clone())
            .await
            .unwrap();
        RedisStore::open(&server.url(), Options::default())
            .await
            .unwrap();

        server.command(&["SET", "{s3}:schema", "session3:2"]);
        let (error, text) = refused(&server.url(), create.clone()).await;
        assert!(matches!(error, OpenError::Newer(_, 2)), "{text}");
        server.command(&["SET", "{s3}:schema", "something else"]);
        let (error, text) = refused(&server.url(), create.clone()).await;
        assert!(matches!(error, OpenError::NotOurs(..)), "{text}");
        server.command(&["DEL", "{s3}:schema"]);
        server.command(&["HSET", "{s3}:schema", "a", "b"]);
        let (error, text) = refused(&server.url(), create.clone()).await;
        assert!(matches!(error, OpenError::NotOurs(..)), "{text}");
        let other = format!("{}?prefix=other", server.url());
        assert!(RedisStore::open(&other, create).await.is_ok());
    });
}

#[test]
fn a_server_that_evicts_sessions_is_refused() {
    block_on(async {
        let options = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
        let server = Server::start_with(&options);
        let (error, text) = refused(&server.url(), Options::default().create(true)).await;
        assert!(matches!(error, OpenError::Evicts(..)), "{text}");
        assert!(text.contains("set it to noeviction"), "{text}");
        server.command(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]);
        RedisStore::open(&server.url(), Options::default().create(true))
            .await
            .unwrap();
    });
}

#[test]
fn an_evicted_session_is_reported_and_can_be_deleted() {
    block_on(async {
        let server = Server::start();
        let options = Options::default().create(true);
        let store = RedisStore::open(&server.url(), options).await.unwrap();
        store.create_session(&id(1), &state("a")).await.unwrap();
        server.command(&["DEL", &session_key("s3", &id(1))]);
        assert_eq!(store.load_session(&id(1)).await, Ok(None));
        let page = store.iter_sessions(None, 9).await.unwrap();
        assert_eq!(page.damaged.len(), 1);
        assert!(page.damaged[0].1.contains("evicted"), "{page:?}");
        let report = store.delete_old_sessions(0, None).await.unwrap();
        assert_eq!((report.deleted, report.remaining), (0, 1));
        assert_eq!(store.delete_session(&id(1)).await, Ok(true));
        assert_eq!(store.iter_sessions(None, 9).await, Ok(Default::default()));
    });
}

#[test]
fn a_record_of_another_type_is_damaged() {
    block_on(async {
        let server = Server::start();
        let options = Options::default().create(true);
        let store = RedisStore::open(&server.url(), options).await.unwrap();
        store.create_session(&id(1), &state("a")).await.unwrap();
        server.command(&["SET", &session_key("s3", &id(1)), "text"]);
        let is_corrupt = |error| matches!(error, StoreError::Corrupt(_));
        assert!(is_corrupt(store.load_session(&id(1)).await.unwrap_err()));
        let saved = store.save_session(&id(1), &state("b"), 1).await;
        assert!(is_corrupt(saved.unwrap_err()));
        assert!(is_corrupt(
            store.touch_session(&id(1), 1, 1).await.unwrap_err()
        ));
        assert_eq!(store.iter_sessions(None, 9).await.unwrap().damaged.len(), 1);
        assert_eq!(store.delete_session(&id(1)).await, Ok(true));
        assert_eq!(store.load_session(&id(1)).await, Ok(None));
    });
}

#[test]
fn a_full_server_refuses_saves_and_carries_out_deletes_and_sweeps() {
    block_on(async {
        let server = Server::start();
        let options = Options::default().create(true);
        let store = RedisStore::open(&server.url(), options).await.unwrap();
        for number in 1..=300 {
            store
                .create_session(&id(number), &state("a"))
                .await
                .unwrap();
        }
        server.command(&["CONFIG", "SET", "maxmemory", "1"]);
        let saved = store.save_session(&id(1), &state("b"), 1).await;
        let why = saved.unwrap_err().to_string();
        assert!(why.contains("OOM"), "{why}");
        assert!(store.load_session(&id(1)).await.unwrap().is_some());
        assert_eq!(store.delete_session(&id(1)).await, Ok(true));
        let report = store.delete_old_sessions(0, None).await.unwrap();
        assert_eq!((report.deleted, report.complete), (299, true));
    });
}

#[test]
fn a_server_that_forgets_its_scripts_gets_them_again() {
    block_on(async {
        let server = Server::start();
        let options = Options::default().create(true);
        let store = RedisStore::open(&server.url(), options).await.unwrap();
        for number in 1..10 {
            assert_eq!(store.create_session(&id(number), &state("a")).await, Ok(1));
            server.command(&["SCRIPT", "FLUSH"]);
        }
    });
}
