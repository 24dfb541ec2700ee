//! Sweeps beside each other, and beside saves and touches of another process.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use session3_store::{SessionState, SessionStore, StoreError};
use session3_test_support::{block_on, id, state};

use crate::{Engine, PATIENCE, new_url};

const SESSIONS: u128 = 5000;

fn expired() -> SessionState {
    SessionState {
        expires: 1,
        user: Some("alice".into()),
        // Large enough for several ranges of blocks.
        data: vec![7; 1000],
    }
}

/// Fills a table, and returns two stores for it.
async fn two_stores<E: Engine>() -> [Arc<E::Store>; 2] {
    let url = new_url::<E>();
    let stores = [E::open(&url, PATIENCE).await, E::open(&url, PATIENCE).await];
    let tasks = (0..8).map(|part| {
        let store = stores[0].clone();
        tokio::spawn(async move {
            for number in (part..SESSIONS).step_by(8) {
                store.create_session(&id(number), &expired()).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    stores
}

pub fn of_two_sweepers_each_session_is_deleted_by_one<E: Engine>() {
    block_on(async {
        let stores = two_stores::<E>().await;
        let sweepers = stores.map(|store| {
            tokio::spawn(async move {
                let (mut deleted, mut busy) = (0, 0);
                loop {
                    match store.delete_old_sessions(5, Some(Duration::ZERO)).await {
                        Ok(report) if report.complete && report.deleted == 0 => {
                            return (deleted, busy);
                        }
                        Ok(report) => deleted += report.deleted,
                        Err(error) => {
                            assert_eq!(error, StoreError::Busy);
                            busy += 1;
                        }
                    }
                }
            })
        });
        let mut total = 0;
        for sweeper in sweepers {
            let (deleted, busy) = sweeper.await.unwrap();
            println!("{deleted} deleted, {busy} times busy");
            total += deleted;
        }
        assert_eq!(u128::from(total), SESSIONS);
    });
}

pub fn a_sweep_keeps_what_another_process_saves_or_touches<E: Engine>() {
    block_on(async {
        let [store, other] = two_stores::<E>().await;
        let using = tokio::spawn(async move {
            let mut used = BTreeSet::new();
            // The sweep begins at the other end.
            for number in (0..SESSIONS).rev() {
                let session = id(number);
                let result = match number % 2 {
                    0 => other.touch_session(&session, u64::MAX, 1).await,
                    _ => {
                        let state = SessionState {
                            expires: u64::MAX,
                            ..state("used")
                        };
                        other.save_session(&session, &state, 1).await.map(drop)
                    }
                };
                match result {
                    Ok(()) => drop(used.insert(session)),
                    Err(StoreError::Absent) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            used
        });
        let mut deleted = 0;
        while !using.is_finished() {
            // So that both have their turn.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let limit = Some(Duration::ZERO);
            deleted += store
                .delete_old_sessions(u32::MAX, limit)
                .await
                .unwrap()
                .deleted;
        }
        let used = using.await.unwrap();
        while {
            let report = store.delete_old_sessions(u32::MAX, None).await.unwrap();
            deleted += report.deleted;
            report.deleted > 0
        } {}
        println!("{} used, {deleted} deleted", used.len());
        let (mut left, mut cursor) = (BTreeSet::new(), None);
        loop {
            let page = store.iter_sessions(cursor.as_deref(), 1000).await.unwrap();
            left.extend(page.sessions.iter().map(|session| session.id));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(left, used);
        assert_eq!(u128::from(deleted) + used.len() as u128, SESSIONS);
    });
}
