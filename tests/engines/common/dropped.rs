//! Callers that stop waiting.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use session3_store::{SessionStore, StoreError, StoredSession};
use session3_test_support::{block_on, id, state};

use crate::{Engine, PATIENCE, new_url};

/// Polls a future this many times at most, and drops it. Returns whether it ended before.
async fn drop_after(polls: usize, future: impl Future) -> bool {
    let mut future = pin!(future);
    let mut count = 0;
    poll_fn(|context| {
        if count == polls {
            return Poll::Ready(false);
        }
        count += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if count == polls => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Drops a call after each number of polls, until it ends before.
async fn at_every_await<C: Future>(
    mut call: impl FnMut(u64) -> C,
    mut check: impl AsyncFnMut(u64),
) {
    for polls in 0.. {
        let has_ended = drop_after(polls, call(polls as u64)).await;
        check(polls as u64).await;
        if has_ended {
            return;
        }
        assert!(polls < 10_000);
    }
}

pub fn a_dropped_change_has_taken_effect_or_not<E: Engine>() {
    block_on(async {
        let store = E::open(&new_url::<E>(), PATIENCE).await;
        let load = async |number| store.load_session(&id(number)).await.unwrap();
        at_every_await(
            |polls| {
                let store = store.clone();
                async move { store.create_session(&id(polls.into()), &state("a")).await }
            },
            async |polls| {
                if let Some(found) = load(polls.into()).await {
                    assert_eq!((found.version, found.state), (1, state("a")));
                }
            },
        )
        .await;
        store.create_session(&id(1000), &state("1")).await.unwrap();
        let settled = async || {
            // A save that was dropped may take effect after this load, and before the next
            // save, which then finds a conflict.
            loop {
                let found = load(1000).await.unwrap();
                assert_eq!(found.state, state(&found.version.to_string()));
                let next = state(&(found.version + 1).to_string());
                match store.save_session(&id(1000), &next, found.version).await {
                    Ok(version) => return version,
                    Err(error) => assert!(matches!(error, StoreError::Conflict(_)), "{error}"),
                }
            }
        };
        let version = std::sync::atomic::AtomicU64::new(settled().await);
        let current = || version.load(std::sync::atomic::Ordering::SeqCst);
        at_every_await(
            |_| {
                let (store, expected) = (store.clone(), current());
                let next = state(&(expected + 1).to_string());
                async move { store.save_session(&id(1000), &next, expected).await }
            },
            async |_| {
                let found = settled().await;
                assert!(found == current() + 1 || found == current() + 2);
                version.store(found, std::sync::atomic::Ordering::SeqCst);
            },
        )
        .await;
        at_every_await(
            |_| {
                let (store, expected) = (store.clone(), current());
                async move {
                    store.touch_session(&id(1000), 1_000_000, expected).await?;
                    store.import_session(&session(2000), None).await?;
                    store.delete_session(&id(2000)).await
                }
            },
            async |_| {
                let found = load(2000).await;
                assert!(found.is_none_or(|found| found == session(2000)));
                // Whatever was not deleted must not be in the way of the next round.
                store.delete_session(&id(2000)).await.unwrap();
            },
        )
        .await;
    });
}

fn session(number: u128) -> StoredSession {
    StoredSession {
        id: id(number),
        version: 7,
        modified: 5,
        state: state("imported"),
    }
}

pub fn a_dropped_request_for_a_lock_leaves_no_lock<E: Engine>() {
    block_on(async {
        let url = new_url::<E>();
        let (store, other) = (E::open(&url, PATIENCE).await, E::open(&url, PATIENCE).await);
        let start = Instant::now();
        at_every_await(
            |_| {
                let store = store.clone();
                async move {
                    let lock = store.lock_session(&id(1), Duration::from_secs(600)).await;
                    drop(lock.unwrap());
                }
            },
            async |_| {
                // This fails after the lock timeout of 5 seconds if a lock is left.
                let lock = other.lock_session(&id(1), Duration::from_secs(600)).await;
                drop(lock.unwrap());
            },
        )
        .await;
        // The same while another process holds the lock.
        for polls in 0..20 {
            let held = other
                .lock_session(&id(1), Duration::from_secs(600))
                .await
                .unwrap();
            drop_after(polls, store.lock_session(&id(1), Duration::from_secs(600))).await;
            drop(held);
            drop(
                other
                    .lock_session(&id(1), Duration::from_secs(600))
                    .await
                    .unwrap(),
            );
        }
        println!("{:?}", start.elapsed());
    });
}

pub fn a_dropped_sweep_is_in_the_way_of_no_other<E: Engine>() {
    block_on(async {
        let url = new_url::<E>();
        let (store, other) = (E::open(&url, PATIENCE).await, E::open(&url, PATIENCE).await);
        at_every_await(
            |_| {
                let store = store.clone();
                async move { store.delete_old_sessions(5, None).await.unwrap() }
            },
            async |_| {
                // The end of the lease is on its way.
                let deadline = Instant::now() + Duration::from_secs(5);
                while other.delete_old_sessions(5, None).await == Err(StoreError::Busy) {
                    assert!(Instant::now() < deadline);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            },
        )
        .await;
    });
}
