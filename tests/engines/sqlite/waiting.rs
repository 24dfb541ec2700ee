//! Operations that wait for a lock or for a file, and those that are given up.

use std::fs;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use session3_store::{SessionState, SessionStore, StoreError};
use session3_store_sqlite::{Options, SqliteStore};
use session3_test_support::{block_on, id, state};

use crate::support::{Place, SOON, until};

const SHORT: Duration = Duration::from_millis(200);

/// Runs a test on a runtime with a single thread, which a blocking call would stop.
fn on_one_thread<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(test)
}

#[test]
fn while_another_process_holds_the_write_lock_reads_go_on_and_changes_end_in_time() {
    on_one_thread(async {
        let place = Place::new();
        let store = Arc::new(place.store(Options::default().timeout(SHORT)).await);
        store.create_session(&id(1), &state("a")).await.unwrap();
        let other = place.sqlite();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let begun = Instant::now();
        let save = tokio::spawn({
            let store = store.clone();
            async move { store.save_session(&id(1), &state("b"), 1).await }
        });
        let mut loads = 0;
        while !save.is_finished() {
            let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
            assert_eq!(loaded.state, state("a"));
            loads += 1;
        }
        assert_eq!(save.await.unwrap(), Err(StoreError::Busy));
        assert!(begun.elapsed() >= SHORT / 2);
        assert!(loads > 10);
        other.execute_batch("ROLLBACK").unwrap();
        assert_eq!(store.save_session(&id(1), &state("b"), 1).await, Ok(2));
    });
}

#[test]
fn changes_behind_a_change_that_waits_are_not_made_after_their_callers_gave_up() {
    on_one_thread(async {
        let place = Place::new();
        let store = Arc::new(place.store(Options::default().timeout(SHORT)).await);
        let other = place.sqlite();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        // More than fit into the queue.
        let create = |number| {
            let store = store.clone();
            async move { store.create_session(&id(number), &state("x")).await }
        };
        let tasks: Vec<_> = (0..1000)
            .map(|number| tokio::spawn(create(number)))
            .collect();
        for task in tasks {
            match task.await.unwrap() {
                Err(StoreError::Busy) => {}
                Err(StoreError::Unavailable(why)) => {
                    assert!(why.contains("no answer after 0.2 s"), "{why}");
                }
                other => panic!("{other:?}"),
            }
        }
        other.execute_batch("ROLLBACK").unwrap();
        until(async || store.create_session(&id(5000), &state("x")).await == Ok(1)).await;
        let page = store.iter_sessions(None, 9).await.unwrap();
        let ids: Vec<_> = page.sessions.iter().map(|session| session.id).collect();
        assert_eq!(ids, [id(5000)]);
    });
}

#[test]
fn a_file_that_is_moved_or_replaced_fails_every_operation_until_it_is_back() {
    block_on(async {
        let place = Place::new();
        let store = place.store(Options::default()).await;
        store.create_session(&id(1), &state("a")).await.unwrap();
        let away = place.0.path().join("away");
        fs::rename(place.path(), &away).unwrap();
        let gone = check_failing(&store).await;
        assert!(gone.contains("the file is gone"), "{gone}");
        fs::write(place.path(), "").unwrap();
        let replaced = check_failing(&store).await;
        assert!(replaced.contains("the file was replaced"), "{replaced}");
        fs::rename(&away, place.path()).unwrap();
        assert_eq!(store.save_session(&id(1), &state("b"), 1).await, Ok(2));
        let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
        assert_eq!(loaded.state, state("b"));
    });
}

/// Checks that reads and changes fail with one and the same line, and returns it.
async fn check_failing(store: &SqliteStore) -> String {
    let load = store.load_session(&id(1)).await.map(drop).unwrap_err();
    let save = store.save_session(&id(1), &state("x"), 1).await;
    assert_eq!(save, Err(load.clone()));
    let StoreError::Unavailable(why) = load else {
        panic!("{load:?}");
    };
    assert!(!why.contains('\n'), "{why}");
    why
}

/// Polls a future some times, with pauses in which the threads can work, and drops it. Returns
/// the result if there is one before that.
async fn give_up_after<T>(polls: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for poll in 0..polls {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return Some(result);
        }
        // The test holds for every interleaving.
        if poll % 2 == 1 {
            tokio::time::sleep(Duration::from_micros(50)).await;
        }
    }
    None
}

/// The number of polls up to which futures are dropped.
const POLLS: u32 = 40;

#[test]
fn an_operation_that_is_given_up_is_done_or_left_out_as_a_whole() {
    block_on(async {
        let place = Place::new();
        let store = place.store(Options::default()).await;
        for polls in 0..POLLS {
            let id = id(polls.into());
            let of = |user: &str, data: &str| SessionState {
                user: Some(user.into()),
                ..state(data)
            };
            let (a, b) = (of("a", "a"), of("b", "b"));
            give_up_after(polls, store.create_session(&id, &a)).await;
            match store.create_session(&id, &a).await {
                Ok(1) | Err(StoreError::Exists) => {}
                other => panic!("{other:?}"),
            }
            give_up_after(polls, store.save_session(&id, &b, 1)).await;
            give_up_after(polls, store.touch_session(&id, 7, 2)).await;
            // Behind these changes, so that they have been made or left out.
            assert_eq!(
                store.delete_session(&session3_test_support::id(9999)).await,
                Ok(false)
            );
            let session = store.load_session(&id).await.unwrap().unwrap();
            let touched = SessionState {
                expires: 7,
                ..b.clone()
            };
            match session.version {
                1 => assert_eq!(session.state, a),
                _ => assert!(session.state == b || session.state == touched),
            }
            let users = [
                store.sessions_of_user("a").await,
                store.sessions_of_user("b").await,
            ];
            let is_listed = users.map(|ids| ids.unwrap().contains(&id));
            assert_eq!(is_listed, [session.version == 1, session.version == 2]);
            give_up_after(polls, store.delete_session(&id)).await;
            store.delete_session(&id).await.unwrap();
            assert_eq!(store.load_session(&id).await, Ok(None));
        }
    });
}

#[test]
fn a_lease_or_a_sweep_that_is_given_up_leaves_no_lock() {
    block_on(async {
        let place = Place::new();
        let options = Options::default().lock_timeout(SOON);
        let store = place.store(options.clone()).await;
        let other = place.store(options).await;
        for polls in 0..POLLS {
            give_up_after(polls, store.lock_session(&id(1), SOON)).await;
            other.lock_session(&id(1), SOON).await.unwrap();
            // Also while another process has the lease.
            let held = other.lock_session(&id(1), SOON).await.unwrap();
            give_up_after(polls, store.lock_session(&id(1), SOON)).await;
            drop(held);
            store.lock_session(&id(1), SOON).await.unwrap();
            give_up_after(polls, store.delete_old_sessions(0, None)).await;
            until(async || other.delete_old_sessions(0, None).await.is_ok()).await;
            give_up_after(polls, store.iter_sessions(None, 9)).await;
            give_up_after(polls, store.sessions_of_user("a")).await;
        }
        let count = "SELECT count(*) FROM leases";
        let count = || -> i64 {
            place
                .sqlite()
                .query_row(count, (), |row| row.get(0))
                .unwrap()
        };
        until(async || count() == 0).await;
    });
}

#[test]
fn a_lease_that_was_dropped_is_free_at_once_in_this_process() {
    block_on(async {
        let place = Place::new();
        let options = Options::default().lock_timeout(Duration::ZERO);
        let store = place.store(options).await;
        for _ in 0..100 {
            let lock = store.lock_session(&id(1), SOON).await.unwrap();
            drop(lock);
        }
    });
}
