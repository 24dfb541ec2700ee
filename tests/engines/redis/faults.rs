//! Lost requests and answers, servers that are away, and dropped futures.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use session3_store::{SessionId, SessionState, SessionStore, StoreError, StoredSession};
use session3_store_redis::{Options, RedisStore};
use session3_test_support::dice::Dice;
use session3_test_support::{block_on, id, random, state};

use crate::proxy::{Cut, Mode, Proxy};
use crate::servers::{Server, wait_for};

/// A store that reaches its server through a proxy.
struct Given {
    store: Arc<RedisStore>,
    proxy: Proxy,
    /// Reaches the server without the proxy.
    direct: RedisStore,
    server: Server,
}

const TIMEOUT: Duration = Duration::from_millis(500);

async fn given() -> Given {
    let server = Server::start();
    let proxy = Proxy::start(server.port).await;
    let options = Options::default().create(true).timeout(TIMEOUT);
    let url = format!("redis://127.0.0.1:{}", proxy.port);
    let store = RedisStore::open(&url, options.clone()).await.unwrap();
    let direct = RedisStore::open(&server.url(), options).await.unwrap();
    // From now on, the server knows the scripts.
    direct.create_session(&id(99), &state("")).await.unwrap();
    direct.touch_session(&id(99), 1, 1).await.unwrap();
    direct.delete_session(&id(99)).await.unwrap();
    Given {
        store: Arc::new(store),
        proxy,
        direct,
        server,
    }
}

fn is_unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(why)) if !why.contains('\n'))
}

#[test]
fn a_write_whose_answer_was_lost_succeeds_and_counts_once() {
    block_on(async {
        let given = given().await;
        let store = &given.store;
        given.proxy.cut_next(Cut::BeforeAnswer, b"EVALSHA");
        assert_eq!(store.create_session(&id(1), &state("a")).await, Ok(1));
        assert!(given.proxy.has_cut());
        given.proxy.cut_next(Cut::BeforeAnswer, b"EVALSHA");
        assert_eq!(store.save_session(&id(1), &state("b"), 1).await, Ok(2));
        assert!(given.proxy.has_cut());
        let loaded = given.direct.load_session(&id(1)).await.unwrap().unwrap();
        assert_eq!((loaded.version, loaded.state), (2, state("b")));
        given.proxy.cut_next(Cut::BeforeAnswer, b"EVALSHA");
        let import = StoredSession {
            version: 7,
            ..given.direct.load_session(&id(1)).await.unwrap().unwrap()
        };
        assert_eq!(store.import_session(&import, Some(2)).await, Ok(()));
        assert!(given.proxy.has_cut());
        let new = StoredSession {
            id: id(2),
            ..import
        };
        given.proxy.cut_next(Cut::BeforeAnswer, b"EVALSHA");
        assert_eq!(store.import_session(&new, None).await, Ok(()));
        assert!(given.proxy.has_cut());
        assert_eq!(given.direct.load_session(&id(2)).await, Ok(Some(new)));
    });
}

#[test]
fn a_request_that_never_arrived_is_not_made_twice() {
    block_on(async {
        let given = given().await;
        let store = &given.store;
        // A second create or import could revive a session that was deleted.
        given.proxy.cut_next(Cut::BeforeRequest, b"EVALSHA");
        assert!(is_unavailable(
            &store.create_session(&id(1), &state("a")).await
        ));
        assert_eq!(given.direct.load_session(&id(1)).await, Ok(None));
        let import = StoredSession {
            id: id(1),
            version: 7,
            modified: 5,
            state: state("a"),
        };
        given.proxy.cut_next(Cut::BeforeRequest, b"EVALSHA");
        assert!(is_unavailable(&store.import_session(&import, None).await));
        assert_eq!(given.direct.load_session(&id(1)).await, Ok(None));
        assert_eq!(store.create_session(&id(1), &state("a")).await, Ok(1));
        // A second save cannot do harm.
        given.proxy.cut_next(Cut::BeforeRequest, b"EVALSHA");
        assert_eq!(store.save_session(&id(1), &state("b"), 1).await, Ok(2));
        assert!(given.proxy.has_cut());
        given.proxy.cut_next(Cut::BeforeRequest, b"EVALSHA");
        assert!(is_unavailable(&store.touch_session(&id(1), 9, 2).await));
        given.proxy.cut_next(Cut::BeforeRequest, b"HMGET");
        assert!(store.load_session(&id(1)).await.unwrap().is_some());
        given.proxy.cut_next(Cut::BeforeRequest, b"EVALSHA");
        assert_eq!(store.delete_session(&id(1)).await, Ok(true));
    });
}

#[test]
fn a_change_that_nobody_can_know_of_is_unavailable_and_no_conflict() {
    block_on(async {
        let given = given().await;
        let store = &given.store;
        store.create_session(&id(1), &state("a")).await.unwrap();
        given.proxy.cut_next(Cut::BeforeAnswer, b"EVALSHA");
        assert!(is_unavailable(&store.touch_session(&id(1), 77, 1).await));
        let loaded = given.direct.load_session(&id(1)).await.unwrap().unwrap();
        assert_eq!(loaded.state.expires, 77);
        given.proxy.cut_next(Cut::BeforeAnswer, b"EVALSHA");
        assert!(is_unavailable(&store.delete_session(&id(1)).await));
        assert_eq!(given.direct.load_session(&id(1)).await, Ok(None));
        assert_eq!(store.delete_session(&id(1)).await, Ok(false));
        // Without a lost answer, the errors are those of the contract.
        let saved = store.save_session(&id(1), &state("b"), 1).await;
        assert_eq!(saved, Err(StoreError::Absent));
    });
}

#[test]
fn every_call_answers_in_time_while_the_connection_is_half_open() {
    block_on(async {
        let given = given().await;
        let store = &given.store;
        store.create_session(&id(1), &state("a")).await.unwrap();
        given.proxy.set(Mode::HalfOpen);
        let limit = TIMEOUT + Duration::from_secs(1);
        for _ in 0..3 {
            let started = Instant::now();
            let new = state("b");
            let (one, two, three) = (id(1), id(2), id(3));
            let (create, load, save, touch, delete, users, lock) = tokio::join!(
                store.create_session(&two, &new),
                store.load_session(&one),
                store.save_session(&one, &new, 1),
                store.touch_session(&one, 9, 1),
                store.delete_session(&three),
                store.sessions_of_user("alice"),
                store.lock_session(&one, limit),
            );
            assert!(is_unavailable(&create) && is_unavailable(&load) && is_unavailable(&save));
            assert!(is_unavailable(&touch) && is_unavailable(&delete));
            assert!(is_unavailable(&users) && is_unavailable(&lock));
            let walk = store.iter_sessions(None, 9).await;
            assert!(is_unavailable(&walk));
            assert!(started.elapsed() < 2 * limit, "{:?}", started.elapsed());
        }
        given.proxy.set(Mode::Pass);
        wait_for("recovery", async || {
            store.load_session(&id(1)).await.is_ok()
        })
        .await;
    });
}

#[test]
fn calls_fail_at_once_while_the_server_is_known_to_be_away() {
    block_on(async {
        let given = given().await;
        let store = &given.store;
        store.create_session(&id(1), &state("a")).await.unwrap();
        given.server.kill();
        wait_for("a call that fails fast", async || {
            let started = Instant::now();
            let loaded = store.load_session(&id(1)).await;
            assert!(is_unavailable(&loaded), "{loaded:?}");
            started.elapsed() < TIMEOUT / 5
        })
        .await;
        let loaded = store.load_session(&id(1)).await.unwrap_err().to_string();
        assert!(loaded.contains("127.0.0.1"), "{loaded}");
        given.server.restart();
        wait_for("recovery", async || {
            store.load_session(&id(1)).await == Ok(None)
        })
        .await;
    });
}

#[test]
fn a_server_that_restarts_soon_costs_no_request() {
    block_on(async {
        let given = given().await;
        given.proxy.set(Mode::Refuse);
        let loading = {
            let store = given.store.clone();
            tokio::spawn(async move { store.load_session(&id(1)).await })
        };
        tokio::time::sleep(TIMEOUT / 10).await;
        given.proxy.set(Mode::Pass);
        assert_eq!(loading.await.unwrap(), Ok(None));
    });
}

#[test]
fn slow_answers_are_answers() {
    block_on(async {
        let given = given().await;
        given.proxy.set(Mode::Delay(TIMEOUT / 10));
        assert_eq!(given.store.create_session(&id(1), &state("a")).await, Ok(1));
        assert_eq!(
            given.store.save_session(&id(1), &state("b"), 1).await,
            Ok(2)
        );
    });
}

/// A writer of one session, which knows what it was told.
struct Writer {
    id: SessionId,
    version: u64,
    /// The number of saves since the last success whose outcome is unknown.
    unknown: u64,
    acknowledged: u64,
}

impl Writer {
    async fn step(&mut self, store: &RedisStore, user: Option<String>) {
        let new = SessionState {
            user,
            expires: u64::MAX,
            data: (self.version + 1).to_string().into_bytes(),
        };
        match store.save_session(&self.id, &new, self.version).await {
            Ok(version) => {
                assert_eq!(version, self.version + 1);
                (self.version, self.unknown) = (version, 0);
                self.acknowledged += 1;
            }
            Err(StoreError::Unavailable(_)) => self.unknown += 1,
            Err(StoreError::Conflict(version)) => {
                // One of the unknown saves was carried out, and only one can have been.
                assert!(self.unknown > 0, "a conflict without another writer");
                assert_eq!(version, self.version + 1);
                (self.version, self.unknown) = (version, 0);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn no_save_counts_twice_whatever_happens_to_the_connection() {
    block_on(async {
        let mut dice = Dice::new(random::seed());
        let given = given().await;
        let writing: Vec<_> = (0..8)
            .map(|number| {
                let store = given.store.clone();
                let mut dice = Dice::new(dice.roll());
                tokio::spawn(async move {
                    // The digits of the tag differ.
                    let id = id(number << 121 | 1);
                    while store.load_session(&id).await != Ok(None) {}
                    let mut writer = Writer {
                        id,
                        version: 1,
                        unknown: 0,
                        acknowledged: 0,
                    };
                    while !matches!(
                        store.create_session(&id, &state("1")).await,
                        Ok(_) | Err(StoreError::Exists)
                    ) {}
                    let end = Instant::now() + Duration::from_secs(6);
                    while Instant::now() < end {
                        let user = dice.percent(50).then(|| dice.below(3).to_string());
                        writer.step(&store, user).await;
                    }
                    writer
                })
            })
            .collect();
        while writing.iter().any(|writer| !writer.is_finished()) {
            let cut = *dice.pick(&[Cut::BeforeRequest, Cut::BeforeAnswer]);
            match dice.below(12) {
                0 => given.proxy.set(Mode::HalfOpen),
                1 => given.proxy.set(Mode::Refuse),
                2 => given.proxy.set(Mode::Delay(Duration::from_millis(3))),
                _ => {
                    given.proxy.set(Mode::Pass);
                    given.proxy.cut_next(cut, b"EVALSHA");
                }
            }
            tokio::time::sleep(Duration::from_millis(dice.below(60) as u64)).await;
        }
        given.proxy.set(Mode::Pass);
        let mut acknowledged = 0;
        for writer in writing {
            let writer = writer.await.unwrap();
            let loaded = given
                .direct
                .load_session(&writer.id)
                .await
                .unwrap()
                .unwrap();
            assert!(loaded.version >= writer.version);
            assert!(loaded.version <= writer.version + writer.unknown.min(1));
            assert_eq!(loaded.state.data, loaded.version.to_string().into_bytes());
            acknowledged += writer.acknowledged;
        }
        println!("{acknowledged} saves were acknowledged");
        assert!(acknowledged > 0);
        assert_index_is_exact(&given.direct).await;
    });
}

/// Checks that the index by user has exactly the sessions of each user.
pub async fn assert_index_is_exact(store: &dyn SessionStore) {
    let (mut cursor, mut sessions) = (None, Vec::new());
    loop {
        let page = store.iter_sessions(cursor.as_deref(), 100).await.unwrap();
        assert_eq!(page.damaged, []);
        sessions.extend(page.sessions);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    for user in 0..3 {
        let user = user.to_string();
        let owned =
            |session: &&session3_store::StoredSession| session.state.user.as_deref() == Some(&user);
        let mut expected: Vec<_> = sessions.iter().filter(owned).map(|s| s.id).collect();
        let mut found = store.sessions_of_user(&user).await.unwrap();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }
}

/// Polls a future this many times at most, and then drops it.
async fn polled<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut count = 0;
    std::future::poll_fn(|context| {
        if count == times {
            return Poll::Ready(None);
        }
        count += 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

#[test]
fn a_future_that_is_dropped_at_any_await_has_taken_effect_or_not() {
    block_on(async {
        let given = given().await;
        let store = &given.store;
        let mut dropped = 0;
        for times in 0..20 {
            let id = id(times as u128 + 1);
            let created = polled(store.create_session(&id, &state("a")), times).await;
            dropped += u32::from(created.is_none());
            // The request may still be on its way; the session is whole as soon as it is there.
            if created.is_none() {
                let _ = given.direct.create_session(&id, &state("a")).await;
            }
            let saved = polled(store.save_session(&id, &state("b"), 1), times).await;
            dropped += u32::from(saved.is_none());
            let loaded = given.direct.load_session(&id).await.unwrap().unwrap();
            let expected = if loaded.version == 1 { "a" } else { "b" };
            assert_eq!(loaded.state, state(expected));
            assert!(saved.is_none() || loaded.version == 2);

            let locked = polled(store.lock_session(&id, Duration::from_secs(60)), times).await;
            dropped += u32::from(locked.is_none());
            drop(locked);
            let again = given.direct.lock_session(&id, TIMEOUT).await;
            assert!(again.is_ok(), "a lease was left behind after {times} polls");

            let swept = polled(store.delete_old_sessions(u32::MAX, None), times).await;
            dropped += u32::from(swept.is_none());
            wait_for("a sweep that nothing keeps away", async || {
                given
                    .direct
                    .delete_old_sessions(u32::MAX, None)
                    .await
                    .is_ok()
            })
            .await;
        }
        println!("{dropped} futures were dropped");
        assert!(dropped > 4);
    });
}
