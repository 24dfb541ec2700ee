//! What a failover loses, and how long operations fail meanwhile.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use session3_store::{SessionId, SessionState, SessionStore, StoreError};
use session3_test_support::{id, state};

use crate::calls::eventually;

/// How many tasks save, and how many sessions are deleted.
const WRITERS: u128 = 16;

/// What was lost.
#[derive(Default)]
pub struct Losses {
    /// The saves that were acknowledged.
    pub acknowledged: u64,
    /// Those of them that were undone.
    pub lost_saves: u64,
    /// The sessions whose delete was acknowledged.
    pub deleted: u64,
    /// Those of them that are there again.
    pub returned: u64,
    /// The longest time for which a writer had no success.
    pub pause: Duration,
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            acknowledged,
            lost_saves,
            deleted,
            returned,
            pause,
        } = self;
        write!(
            f,
            "operations failed for {pause:.1?}; {lost_saves} of {acknowledged} saves were lost, and \
             {returned} of {deleted} deleted sessions returned"
        )
    }
}

/// Saves and deletes sessions until `fail` has ended and every writer had success again, and
/// returns what is missing then.
pub async fn measure(store: Arc<dyn SessionStore>, fail: impl AsyncFnOnce()) -> Losses {
    let is_over = Arc::new(AtomicBool::new(false));
    let writing: Vec<_> = (0..WRITERS)
        .map(|number| tokio::spawn(save(store.clone(), id(number << 124 | 1), is_over.clone())))
        .collect();
    let deleting = tokio::spawn(delete(store.clone(), is_over.clone()));
    tokio::time::sleep(Duration::from_millis(500)).await;
    fail().await;
    is_over.store(true, Ordering::SeqCst);
    let mut losses = Losses::default();
    for writer in writing {
        let (acknowledged, lost, pause) = writer.await.unwrap();
        losses.acknowledged += acknowledged;
        losses.lost_saves += lost;
        losses.pause = losses.pause.max(pause);
    }
    let deleted = deleting.await.unwrap();
    losses.deleted = deleted.len() as u64;
    for id in deleted {
        let loaded = store.load_session(&id).await.unwrap();
        losses.returned += u64::from(loaded.is_some());
    }
    losses
}

/// Saves a session again and again. Returns how many saves were acknowledged, how many of
/// these were undone, and the longest pause.
async fn save(
    store: Arc<dyn SessionStore>,
    id: SessionId,
    is_over: Arc<AtomicBool>,
) -> (u64, u64, Duration) {
    while !matches!(
        store.create_session(&id, &state("1")).await,
        Ok(_) | Err(StoreError::Exists)
    ) {}
    let (mut acknowledged, mut lost, mut pause) = (0, 0, Duration::ZERO);
    let (mut version, mut last) = (1, Instant::now());
    let mut has_success = false;
    while !is_over.load(Ordering::SeqCst) || !has_success {
        let new = SessionState {
            user: Some((version % 3).to_string()),
            expires: u64::MAX,
            data: vec![7; 200],
        };
        match store.save_session(&id, &new, version).await {
            Ok(next) => {
                (version, acknowledged) = (next, acknowledged + 1);
                (pause, last) = (pause.max(last.elapsed()), Instant::now());
                has_success = true;
            }
            Err(StoreError::Unavailable(why)) => {
                assert!(!why.contains('\n'), "{why}");
                has_success = false;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(StoreError::Conflict(found)) => {
                lost += version.saturating_sub(found);
                version = found;
            }
            Err(StoreError::Absent) => {
                lost += version;
                store.create_session(&id, &new).await.unwrap();
                version = 1;
            }
            other => panic!("{other:?}"),
        }
    }
    (acknowledged, lost, pause)
}

/// Creates and deletes sessions, and returns those whose delete was acknowledged.
async fn delete(store: Arc<dyn SessionStore>, is_over: Arc<AtomicBool>) -> Vec<SessionId> {
    let mut deleted = Vec::new();
    let mut number = 0_u128;
    while !is_over.load(Ordering::SeqCst) {
        number += 1;
        let id = id(number << 112 | 2);
        if store.create_session(&id, &state("a")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        }
        // The session lives long enough to reach the replica.
        tokio::time::sleep(Duration::from_millis(2)).await;
        if store.delete_session(&id).await == Ok(true) {
            deleted.push(id);
        }
    }
    deleted
}

/// Waits until saves succeed again.
pub async fn wait_for_recovery(store: &dyn SessionStore) {
    for number in 0..WRITERS {
        let id = id(number << 124 | 3);
        eventually("recovery", async || {
            matches!(
                store.create_session(&id, &state("a")).await,
                Ok(_) | Err(StoreError::Exists)
            )
        })
        .await;
    }
}
