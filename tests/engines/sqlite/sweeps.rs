//! Sweeps of large databases: they keep no change waiting for long, and they give space back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use session3_store::{SessionState, SessionStore};
use session3_store_sqlite::Options;
use session3_test_support::{block_on, id, state};

use crate::support::Place;

#[test]
fn a_sweep_of_large_sessions_keeps_no_change_waiting_and_gives_space_back() {
    const SESSIONS: u128 = 150;
    let place = Place::new();
    block_on(async {
        let store = Arc::new(place.store(Options::default()).await);
        let large = SessionState {
            expires: 1,
            ..state(&"x".repeat(1 << 20))
        };
        for number in 0..SESSIONS {
            store.create_session(&id(number), &large).await.unwrap();
        }
        let alive = SessionState {
            expires: u64::MAX,
            ..state("a")
        };
        store.create_session(&id(9999), &alive).await.unwrap();
        let pages = || -> i64 {
            let sql = "PRAGMA page_count";
            place.sqlite().query_row(sql, (), |row| row.get(0)).unwrap()
        };
        let before = pages();
        let sweeping = tokio::spawn({
            let store = store.clone();
            async move { store.delete_old_sessions(u32::MAX, None).await }
        });
        let (mut version, mut longest) = (1, Duration::ZERO);
        while !sweeping.is_finished() {
            let asked = Instant::now();
            version = store
                .save_session(&id(9999), &alive, version)
                .await
                .unwrap();
            longest = longest.max(asked.elapsed());
        }
        let report = sweeping.await.unwrap().unwrap();
        assert_eq!(
            (u128::from(report.deleted), report.remaining),
            (SESSIONS, 1)
        );
        println!("{version} saves during the sweep, the longest took {longest:?}");
        assert!(version > 10, "the sweep left {version} turns to saves");
        assert!(pages() * 2 < before, "{} of {before} pages remain", pages());
    });
}

#[test]
fn a_sweep_stops_at_its_limit_and_the_next_one_continues_there() {
    const SESSIONS: u128 = 5000;
    let place = Place::new();
    block_on(async {
        let store = place.store(Options::default()).await;
        for number in 0..SESSIONS {
            let expires = if number % 2 == 0 { 1 } else { u64::MAX };
            let new = SessionState {
                expires,
                ..state("a")
            };
            store.create_session(&id(number), &new).await.unwrap();
        }
        let (mut deleted, mut remaining, mut calls) = (0, 0, 0);
        loop {
            // Another handle each time, as if another process came next.
            let store = place.store(Options::default()).await;
            let limit = Some(Duration::ZERO);
            let report = store.delete_old_sessions(u32::MAX, limit).await.unwrap();
            deleted += u128::from(report.deleted);
            remaining += u128::from(report.remaining);
            calls += 1;
            if report.complete {
                break;
            }
        }
        assert!(calls >= 5, "{calls}");
        assert_eq!(deleted, SESSIONS / 2);
        assert!(remaining >= SESSIONS / 2);
    });
}
