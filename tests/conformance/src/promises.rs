//! The contract of a store, promise by promise.
//!
//! Each function takes an empty store and checks one promise. The macro
//! [`conformance_suite!`](crate::conformance_suite) defines a test for each of them, except for
//! [`waiting_for_a_lock_in_vain_ends_with_busy`], which takes long.
//!
//! # Panics
//!
//! Each function panics if the store breaks the promise.
//!
//! # Examples
//!
//! ```
//! use std::sync::Arc;
//!
//! use session3_store::MemoryStore;
//! use session3_store_tests::{Given, TestClock, promises};
//!
//! # #[tokio::main]
//! # async fn main() {
//! let clock = TestClock::default();
//! let store = Arc::new(MemoryStore::new(clock.reader()));
//! promises::a_create_never_replaces_a_session(Given::new(store, clock)).await;
//! # }
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use session3_store::{SessionId, SessionState, SessionStore, StoreError, StoredSession};

use crate::Given;

fn id(number: u128) -> SessionId {
    SessionId::from(number)
}

fn state(data: &str) -> SessionState {
    SessionState {
        user: None,
        expires: 1_000_000,
        data: data.into(),
    }
}

/// Checks that a load returns the state that a create stored, with version 1 and the time
/// of the create.
pub async fn what_was_created_is_loaded_back(given: Given) {
    let store = given.store;
    let created = SessionState {
        user: Some("grüße".into()),
        expires: 77,
        data: vec![0, 255],
    };
    assert_eq!(store.create_session(&id(1), &created).await, Ok(1));
    let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
    assert_eq!((loaded.id, loaded.version), (id(1), 1));
    assert_eq!((loaded.modified, loaded.state), (1000, created));
    assert_eq!(store.has_session(&id(1)).await, Ok(true));
}

/// Checks that a load of an absent session returns `None`, and that a save or a touch of it
/// fails with [`StoreError::Absent`] and creates nothing.
pub async fn an_absent_session_is_an_answer_and_no_error(given: Given) {
    let store = given.store;
    assert_eq!(store.load_session(&id(1)).await, Ok(None));
    assert_eq!(store.has_session(&id(1)).await, Ok(false));
    let absent = Err(StoreError::Absent);
    assert_eq!(store.save_session(&id(1), &state("a"), 1).await, absent);
    let touched = store.touch_session(&id(1), 0, 1).await;
    assert_eq!(touched, Err(StoreError::Absent));
    assert_eq!(store.load_session(&id(1)).await, Ok(None));
}

/// Checks that a create with the ID of an existing session fails with
/// [`StoreError::Exists`] and leaves that session as it was.
pub async fn a_create_never_replaces_a_session(given: Given) {
    let store = given.store;
    store.create_session(&id(1), &state("a")).await.unwrap();
    let again = store.create_session(&id(1), &state("b")).await;
    assert_eq!(again, Err(StoreError::Exists));
    let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
    assert_eq!((loaded.version, loaded.state), (1, state("a")));
}

/// Checks that a save replaces the user, the expiry and the data, adds 1 to the version,
/// and updates the modification time.
pub async fn a_save_replaces_the_whole_state_and_counts_up(given: Given) {
    let store = given.store;
    let first = SessionState {
        user: Some("alice".into()),
        ..state("first")
    };
    store.create_session(&id(1), &first).await.unwrap();
    for version in 1..10 {
        given.clock.fetch_add(1, Ordering::SeqCst);
        let next = SessionState {
            expires: 5 * version,
            ..state(&format!("number {version}"))
        };
        let saved = store.save_session(&id(1), &next, version).await;
        assert_eq!(saved, Ok(version + 1));
        let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
        assert_eq!((loaded.version, loaded.state), (version + 1, next));
        assert_eq!(loaded.modified, 1000 + version);
    }
}

/// Checks that a save that expects another version than the stored one fails with
/// [`StoreError::Conflict`] and changes nothing.
pub async fn a_save_of_another_version_changes_nothing(given: Given) {
    let store = given.store;
    store.create_session(&id(1), &state("a")).await.unwrap();
    store.save_session(&id(1), &state("b"), 1).await.unwrap();
    let before = store.load_session(&id(1)).await;
    for expected in [0, 1, 3, u64::MAX] {
        let saved = store.save_session(&id(1), &state("c"), expected).await;
        assert_eq!(saved, Err(StoreError::Conflict(2)));
    }
    assert_eq!(store.load_session(&id(1)).await, before);
}

/// Checks that a save or a touch after a delete fails with [`StoreError::Absent`] and does
/// not revive the session.
pub async fn a_save_after_a_delete_is_refused(given: Given) {
    let store = given.store;
    store.create_session(&id(1), &state("a")).await.unwrap();
    assert_eq!(store.delete_session(&id(1)).await, Ok(true));
    let saved = store.save_session(&id(1), &state("b"), 1).await;
    assert_eq!(saved, Err(StoreError::Absent));
    let touched = store.touch_session(&id(1), 9, 1).await;
    assert_eq!(touched, Err(StoreError::Absent));
    assert_eq!(store.load_session(&id(1)).await, Ok(None));
}

/// Checks that a touch sets the expiry and the modification time, and leaves the data and
/// the version as they are.
pub async fn a_touch_moves_the_times_and_nothing_else(given: Given) {
    let store = given.store;
    store.create_session(&id(1), &state("a")).await.unwrap();
    for round in 1..6 {
        given.clock.fetch_add(1, Ordering::SeqCst);
        store.touch_session(&id(1), 100 + round, 1).await.unwrap();
        let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
        assert_eq!((loaded.version, loaded.modified), (1, 1000 + round));
        let expected = SessionState {
            expires: 100 + round,
            ..state("a")
        };
        assert_eq!(loaded.state, expected);
    }
    // A save replaces the times that the touches set.
    store.save_session(&id(1), &state("b"), 1).await.unwrap();
    let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
    assert_eq!(loaded.state, state("b"));
    store.touch_session(&id(1), 1, 2).await.unwrap();
    let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
    assert_eq!(loaded.state.expires, 1, "a touch can set an earlier expiry");
}

/// Checks that a touch that expects another version than the stored one fails with
/// [`StoreError::Conflict`] and changes nothing.
pub async fn a_touch_of_another_version_changes_nothing(given: Given) {
    let store = given.store;
    store.create_session(&id(1), &state("a")).await.unwrap();
    let before = store.load_session(&id(1)).await;
    let touched = store.touch_session(&id(1), 9, 2).await;
    assert_eq!(touched, Err(StoreError::Conflict(1)));
    assert_eq!(store.load_session(&id(1)).await, before);
}

/// Checks that a session is absent after a delete, and that a delete returns whether there
/// was a session.
pub async fn a_deleted_session_is_gone_and_deleting_nothing_is_fine(given: Given) {
    let store = given.store;
    assert_eq!(store.delete_session(&id(1)).await, Ok(false));
    store.create_session(&id(1), &state("a")).await.unwrap();
    assert_eq!(store.delete_session(&id(1)).await, Ok(true));
    assert_eq!(store.delete_session(&id(1)).await, Ok(false));
    assert_eq!(store.has_session(&id(1)).await, Ok(false));
    assert_eq!(store.load_session(&id(1)).await, Ok(None));
}

/// Checks that an expired session can still be found and saved.
pub async fn an_expired_session_is_returned_until_something_deletes_it(given: Given) {
    let store = given.store;
    store.create_session(&id(1), &state("a")).await.unwrap();
    given.clock.store(u64::MAX, Ordering::SeqCst);
    assert_eq!(store.has_session(&id(1)).await, Ok(true));
    assert_eq!(store.save_session(&id(1), &state("b"), 1).await, Ok(2));
}

/// Checks that a save or a delete of one session leaves other sessions as they were.
pub async fn sessions_do_not_disturb_each_other(given: Given) {
    let store = given.store;
    // In a directory store, the first two share a subdirectory, and the third has another.
    let ids = [id(1), id(2), SessionId::from(u128::MAX)];
    for (number, id) in ids.iter().enumerate() {
        let state = state(&number.to_string());
        store.create_session(id, &state).await.unwrap();
    }
    store.save_session(&ids[1], &state("new"), 1).await.unwrap();
    store.delete_session(&ids[2]).await.unwrap();
    let mut loaded = Vec::new();
    for id in &ids {
        let session = store.load_session(id).await.unwrap();
        loaded.push(session.map(|session| session.state));
    }
    assert_eq!(loaded, [Some(state("0")), Some(state("new")), None]);
}

/// Checks that states of up to a million bytes, which grow and shrink from save to save,
/// are loaded as they were saved.
pub async fn states_of_all_sizes_come_back_as_they_were(given: Given) {
    let store = given.store;
    store.create_session(&id(1), &state("")).await.unwrap();
    let sizes = [
        1, 400, 471, 472, 473, 3000, 100, 5000, 0, 70_000, 7, 1_000_000, 1, 999_999,
    ];
    for (version, size) in (1..).zip(sizes) {
        let next = SessionState {
            user: (size % 2 == 1).then(|| "u".repeat(size.min(900))),
            expires: size as u64,
            data: vec![version as u8; size],
        };
        store.save_session(&id(1), &next, version).await.unwrap();
        let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
        assert!(loaded.state == next, "{size} bytes");
    }
}

/// Checks that a second call of `setup` keeps the sessions.
pub async fn setup_again_changes_nothing(given: Given) {
    let store = given.store;
    store.setup().await.unwrap();
    store.create_session(&id(1), &state("a")).await.unwrap();
    store.setup().await.unwrap();
    assert_eq!(store.has_session(&id(1)).await, Ok(true));
}

/// Runs `work` in eight tasks at once, and returns how many of them returned true.
async fn race<F>(work: impl Fn() -> F) -> usize
where
    F: Future<Output = bool> + Send + 'static,
{
    let tasks: Vec<_> = (0..8).map(|_| tokio::spawn(work())).collect();
    let mut succeeded = 0;
    for task in tasks {
        succeeded += usize::from(task.await.unwrap());
    }
    succeeded
}

/// Checks that exactly one of eight concurrent creates with the same ID succeeds.
pub async fn of_many_creates_of_one_id_exactly_one_succeeds(given: Given) {
    for number in 0..200 {
        let succeeded = race(|| {
            let store = given.store.clone();
            async move { store.create_session(&id(number), &state("a")).await.is_ok() }
        });
        assert_eq!(succeeded.await, 1);
    }
}

/// Checks that exactly one of eight concurrent saves that expect the same version succeeds.
pub async fn of_many_saves_of_one_version_exactly_one_succeeds(given: Given) {
    let store = &given.store;
    store.create_session(&id(1), &state("a")).await.unwrap();
    for version in 1..200 {
        let succeeded = race(|| {
            let store = given.store.clone();
            async move {
                store
                    .save_session(&id(1), &state("b"), version)
                    .await
                    .is_ok()
            }
        });
        assert_eq!(succeeded.await, 1);
    }
}

/// Checks that touches and saves succeed after the store's clock was set back, and store
/// the earlier time.
pub async fn a_clock_that_jumps_back_does_no_harm(given: Given) {
    let store = given.store;
    store.create_session(&id(1), &state("a")).await.unwrap();
    given.clock.store(5, Ordering::SeqCst);
    store.touch_session(&id(1), 7, 1).await.unwrap();
    store.touch_session(&id(1), 8, 1).await.unwrap();
    let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
    assert_eq!((loaded.modified, loaded.state.expires), (5, 8));
    assert_eq!(store.save_session(&id(1), &state("b"), 1).await, Ok(2));
}

fn state_of(user: &str, data: &str) -> SessionState {
    SessionState {
        user: Some(user.into()),
        ..state(data)
    }
}

/// Walks through all sessions in pages of `limit`, and returns their IDs in the order of the
/// walk.
async fn walk(store: &dyn SessionStore, limit: u32) -> Vec<SessionId> {
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.iter_sessions(cursor.as_deref(), limit).await.unwrap();
        assert_eq!(page.damaged, []);
        seen.extend(page.sessions.iter().map(|session| session.id));
        match page.next {
            Some(next) => cursor = Some(next),
            None => return seen,
        }
    }
}

/// Returns `count` IDs that are spread over the whole range and begin with the first one, and
/// also the second and the last one.
fn scattered(count: u128) -> BTreeSet<SessionId> {
    let numbers =
        (0..count).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    numbers.chain([1, u128::MAX]).map(SessionId::from).collect()
}

/// Checks that a walk returns every session exactly once, with pages of any size.
pub async fn a_walk_sees_every_session_once(given: Given) {
    let store = given.store;
    assert_eq!(walk(&*store, 10).await, []);
    let ids = scattered(50);
    for id in &ids {
        store
            .create_session(id, &state_of("alice", "a"))
            .await
            .unwrap();
    }
    for limit in [0, 1, 7, 1000, u32::MAX] {
        let seen = walk(&*store, limit).await;
        assert_eq!(seen.len(), ids.len(), "{limit}");
        assert_eq!(BTreeSet::from_iter(seen), ids, "{limit}");
    }
    let page = store.iter_sessions(None, 1).await.unwrap();
    let loaded = store.load_session(&page.sessions[0].id).await.unwrap();
    assert_eq!(Some(&page.sessions[0]), loaded.as_ref());
}

/// Checks that a page has at most as many sessions as its limit, and at most 1 MiB.
pub async fn pages_hold_no_more_than_they_may(given: Given) {
    let store = given.store;
    let large = state(&"x".repeat(300_000));
    for number in 0..10 {
        store.create_session(&id(number), &large).await.unwrap();
    }
    let mut cursor = None;
    loop {
        let page = store.iter_sessions(cursor.as_deref(), 8).await.unwrap();
        assert!(page.sessions.len() <= 3, "the page has more than 1 MiB");
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(walk(&*store, 8).await.len(), 10);
    let page = store.iter_sessions(None, 2).await.unwrap();
    assert_eq!(page.sessions.len(), 2);
}

/// Checks that a walk returns every session that exists during the whole walk exactly once,
/// while sessions are created, saved and deleted between its pages.
pub async fn a_walk_under_way_sees_what_stays_exactly_once(given: Given) {
    let store = given.store;
    let ids = scattered(40);
    for id in &ids {
        store.create_session(id, &state("a")).await.unwrap();
    }
    let (leave, stay): (Vec<_>, Vec<_>) = ids.iter().partition(|id| id.to_bits() % 3 == 0);
    let (mut seen, mut cursor, mut round) = (Vec::new(), None, 0_usize);
    loop {
        let page = store.iter_sessions(cursor.as_deref(), 3).await.unwrap();
        seen.extend(page.sessions.iter().map(|session| session.id));
        if let Some(id) = leave.get(round) {
            store.delete_session(id).await.unwrap();
        }
        let new = SessionId::from((round as u128) << 115 | 5);
        store.create_session(&new, &state("new")).await.unwrap();
        let saved = store.load_session(&stay[round]).await.unwrap().unwrap();
        let (next, version) = (state("b"), saved.version);
        store
            .save_session(&stay[round], &next, version)
            .await
            .unwrap();
        round += 1;
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    for id in stay {
        let times = seen.iter().filter(|seen| **seen == id).count();
        assert_eq!(times, 1, "{id}");
    }
}

/// Checks that a text that is no cursor is refused with [`StoreError::InvalidId`].
pub async fn a_cursor_that_is_none_is_refused(given: Given) {
    let store = given.store;
    for cursor in ["", "x", "../00", "é"] {
        let page = store.iter_sessions(Some(cursor), 10).await;
        assert_eq!(page, Err(StoreError::InvalidId), "{cursor:?}");
    }
}

/// Checks that the list of a user's sessions has all of them and no others, also after
/// changes of user and deletes.
pub async fn the_sessions_of_a_user_are_all_of_them_and_nobody_elses(given: Given) {
    let store = given.store;
    let of_user = async |user: &str| {
        let mut ids = store.sessions_of_user(user).await.unwrap();
        ids.sort();
        ids
    };
    assert_eq!(of_user("alice").await, []);
    store
        .create_session(&id(1), &state_of("alice", ""))
        .await
        .unwrap();
    store
        .create_session(&id(2), &state_of("bob", ""))
        .await
        .unwrap();
    store
        .create_session(&id(3), &state_of("alice", ""))
        .await
        .unwrap();
    store.create_session(&id(4), &state("")).await.unwrap();
    assert_eq!(of_user("alice").await, [id(1), id(3)]);
    assert_eq!(
        of_user("").await,
        [],
        "the empty name is not the lack of a user"
    );
    // The saves change a user, remove one, keep one, and add one.
    store
        .save_session(&id(1), &state_of("bob", ""), 1)
        .await
        .unwrap();
    store.save_session(&id(2), &state(""), 1).await.unwrap();
    store
        .save_session(&id(3), &state_of("alice", "b"), 1)
        .await
        .unwrap();
    store
        .save_session(&id(4), &state_of("alice", ""), 1)
        .await
        .unwrap();
    assert_eq!(of_user("alice").await, [id(3), id(4)]);
    assert_eq!(of_user("bob").await, [id(1)]);
    // Session 1 returns to its first user.
    store
        .save_session(&id(1), &state_of("alice", ""), 2)
        .await
        .unwrap();
    store.delete_session(&id(3)).await.unwrap();
    assert_eq!(of_user("alice").await, [id(1), id(4)]);
    assert_eq!(of_user("bob").await, []);
}

/// Checks that the name of a user may be any text: empty, long, or with characters that are
/// special in paths.
pub async fn a_state_may_have_any_user(given: Given) {
    let store = given.store;
    let users = [
        "",
        "../../etc/passwd",
        "\0",
        "a\nb",
        "é/ü",
        ".",
        "x".repeat(5000).leak(),
    ];
    for (number, user) in (1..).zip(users) {
        store
            .create_session(&id(number), &state_of(user, ""))
            .await
            .unwrap();
        assert_eq!(store.sessions_of_user(user).await.unwrap(), [id(number)]);
        let loaded = store.load_session(&id(number)).await.unwrap().unwrap();
        assert_eq!(loaded.state.user.as_deref(), Some(user));
    }
}

/// Checks that a sweep deletes the sessions that have expired or were not modified for too
/// long, and keeps all others.
pub async fn a_sweep_deletes_what_is_old_or_expired_and_nothing_else(given: Given) {
    let store = given.store;
    let minute = 60_000;
    let start = given.clock.load(Ordering::SeqCst);
    let until = |expires| SessionState {
        expires,
        ..state_of("alice", "")
    };
    let late = start + 1000 * minute;
    store.create_session(&id(1), &until(late)).await.unwrap();
    store
        .create_session(&id(2), &until(start + 5 * minute))
        .await
        .unwrap();
    store.create_session(&id(3), &until(late)).await.unwrap();
    given.clock.store(start + 5 * minute - 1, Ordering::SeqCst);
    let report = store.delete_old_sessions(5, None).await.unwrap();
    assert_eq!(
        (report.deleted, report.remaining, report.complete),
        (0, 3, true)
    );
    given.clock.store(start + 5 * minute, Ordering::SeqCst);
    // The save makes session 3 recent, so the sweeps keep it.
    store.save_session(&id(3), &until(late), 1).await.unwrap();
    let report = store.delete_old_sessions(5, None).await.unwrap();
    assert_eq!(
        (report.deleted, report.remaining),
        (1, 2),
        "session 2 has expired"
    );
    given.clock.fetch_add(1, Ordering::SeqCst);
    let report = store.delete_old_sessions(5, None).await.unwrap();
    assert_eq!(
        (report.deleted, report.remaining),
        (1, 1),
        "session 1 was not modified for more than five minutes"
    );
    assert_eq!(walk(&*store, 10).await, [id(3)]);
    assert_eq!(store.sessions_of_user("alice").await.unwrap(), [id(3)]);
    let saved = store.save_session(&id(1), &until(late), 1).await;
    assert_eq!(saved, Err(StoreError::Absent));
}

/// Checks that a sweep keeps the sessions that are touched while it runs.
pub async fn a_sweep_leaves_what_was_used_meanwhile(given: Given) {
    let store = given.store;
    let start = given.clock.load(Ordering::SeqCst);
    let until = |expires| SessionState {
        expires,
        ..state("")
    };
    for number in 0..100 {
        store
            .create_session(&id(number), &until(start + 10))
            .await
            .unwrap();
    }
    given.clock.store(start + 10, Ordering::SeqCst);
    let touching = {
        let store = store.clone();
        tokio::spawn(async move {
            let mut touched = Vec::new();
            for number in (0..100).rev() {
                if store.touch_session(&id(number), u64::MAX, 1).await.is_ok() {
                    touched.push(id(number));
                }
            }
            touched
        })
    };
    let report = store.delete_old_sessions(u32::MAX, None).await.unwrap();
    let touched = touching.await.unwrap();
    let there = walk(&*store, 1000).await;
    assert!(
        touched.iter().all(|id| there.contains(id)),
        "{touched:?} {there:?}"
    );
    // A second sweep deletes the sessions that the first one could not lock.
    let again = store.delete_old_sessions(u32::MAX, None).await.unwrap();
    assert_eq!(report.deleted + again.deleted, 100 - touched.len() as u64);
}

const LONG: Duration = Duration::from_secs(60);

/// Checks that a lease makes a second lease on the same session wait, and delays neither
/// leases on other sessions nor other operations on this one.
pub async fn a_lock_keeps_other_locks_away_and_nothing_else(given: Given) {
    let store = given.store;
    let lock = store.lock_session(&id(1), LONG).await.unwrap();
    assert!(lock.is_held());
    store.create_session(&id(1), &state("a")).await.unwrap();
    store.save_session(&id(1), &state("b"), 1).await.unwrap();
    store.touch_session(&id(1), 9, 2).await.unwrap();
    assert!(store.load_session(&id(1)).await.unwrap().is_some());
    let other = store.lock_session(&id(2), LONG).await.unwrap();
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { store.lock_session(&id(1), LONG).await.map(drop) })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    assert_eq!(store.delete_session(&id(1)).await, Ok(true));
    drop(lock);
    assert_eq!(waiting.await.unwrap(), Ok(()));
    drop(other);
    // The lease can be taken again, and a walk does not see it.
    store.lock_session(&id(1), LONG).await.unwrap();
    assert_eq!(walk(&*store, 10).await, []);
}

/// Checks that a lease ends at its deadline although its holder keeps it.
pub async fn a_lock_ends_when_its_time_is_over(given: Given) {
    let store = given.store;
    let lock = store
        .lock_session(&id(1), Duration::from_millis(20))
        .await
        .unwrap();
    let next = store.lock_session(&id(1), LONG).await.unwrap();
    // Through the WIT, the store and its caller each have a timer for the lease. The timer of
    // the caller, which this reads, began a little later.
    while lock.is_held() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(lock);
    assert!(
        next.is_held(),
        "the deadline of the first lease does not end the second"
    );
}

/// Checks that only one of eight tasks at a time holds the lease on a session.
pub async fn of_many_who_lock_one_has_it_at_a_time(given: Given) {
    let inside = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (store, inside) = (given.store.clone(), inside.clone());
            tokio::spawn(async move {
                for _ in 0..20 {
                    let lock = store.lock_session(&id(1), LONG).await.unwrap();
                    assert!(!inside.swap(true, Ordering::SeqCst));
                    tokio::task::yield_now().await;
                    inside.store(false, Ordering::SeqCst);
                    drop(lock);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Checks that a lease ends when the task that holds it is cancelled.
pub async fn a_lock_ends_with_the_task_that_has_it(given: Given) {
    let store = given.store;
    let lock = store.lock_session(&id(1), LONG).await.unwrap();
    let holder = tokio::spawn(async move {
        std::future::pending::<()>().await;
        drop(lock);
    });
    holder.abort();
    assert!(holder.await.unwrap_err().is_cancelled());
    assert!(store.lock_session(&id(1), LONG).await.is_ok());
}

/// Checks that waiting for a lease that another request holds ends with
/// [`StoreError::Busy`], and that the holder keeps its lease.
///
/// This takes as long as the store's lock timeout, so it is not part of the suite.
pub async fn waiting_for_a_lock_in_vain_ends_with_busy(given: Given) {
    let store = given.store;
    let lock = store.lock_session(&id(1), LONG).await.unwrap();
    let refused = store.lock_session(&id(1), LONG).await.map(drop);
    assert_eq!(refused, Err(StoreError::Busy));
    assert!(lock.is_held());
}

/// Checks that the store says whether several processes may use it, as the [`Given`]
/// declares, and that several threads may.
pub async fn it_says_who_may_use_it_at_once(given: Given) {
    let is_safe = given.store.is_multiprocess_safe();
    assert_eq!(is_safe, given.is_multiprocess_safe);
    assert!(given.store.is_thread_safe());
}

/// Checks that a create or a save of more than 1 MiB fails with [`StoreError::TooLarge`]
/// and changes nothing, and that a state of exactly 1 MiB is accepted.
pub async fn a_state_that_is_too_large_is_refused_and_changes_nothing(given: Given) {
    const LIMIT: usize = 1 << 20;
    let store = given.store;
    let sized = |size: usize| SessionState {
        user: Some("u".repeat(100)),
        expires: u64::MAX,
        data: vec![7; size - 100],
    };
    let too_large = Err(StoreError::TooLarge(LIMIT as u64));
    let refused = store.create_session(&id(1), &sized(LIMIT + 1)).await;
    assert_eq!(refused, too_large);
    assert_eq!(store.has_session(&id(1)).await, Ok(false));
    store.create_session(&id(1), &sized(LIMIT)).await.unwrap();
    let refused = store.save_session(&id(1), &sized(LIMIT + 1), 1).await;
    assert_eq!(refused, too_large);
    let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
    assert!(loaded.version == 1 && loaded.state == sized(LIMIT));
}

/// Checks that a load of a damaged session fails with [`StoreError::Corrupt`], that a walk
/// reports the session as damaged, and that sweeps keep it until it is deleted by its ID.
///
/// Checks nothing if the [`Given`] has no function that damages records.
pub async fn a_damaged_session_is_named_and_stays_until_it_is_deleted(given: Given) {
    for number in [1, 2] {
        let alices = state_of("alice", "a");
        given
            .store
            .create_session(&id(number), &alices)
            .await
            .unwrap();
    }
    if !given.damage(&id(1)) {
        return;
    }
    let store = given.store;
    let how = match store.load_session(&id(1)).await {
        Err(StoreError::Corrupt(how)) => how,
        other => panic!("{other:?}"),
    };
    given.clock.store(u64::MAX, Ordering::SeqCst);
    let report = store.delete_old_sessions(0, None).await.unwrap();
    assert_eq!((report.deleted, report.remaining), (1, 1));
    let page = store.iter_sessions(None, 9).await.unwrap();
    assert_eq!((page.sessions, page.next), (vec![], None));
    let damaged = (id(1), StoreError::Corrupt(how).to_string());
    assert_eq!(page.damaged, [damaged]);
    assert_eq!(store.sessions_of_user("alice").await, Ok(vec![]));
    assert_eq!(store.delete_session(&id(1)).await, Ok(true));
    assert_eq!(store.load_session(&id(1)).await, Ok(None));
}

/// Checks that sweeps with a time limit of zero make progress with each call, and together
/// delete every old session.
pub async fn a_sweep_that_stops_goes_on(given: Given) {
    let store = given.store;
    let ids = scattered(20);
    for id in &ids {
        store
            .create_session(id, &state_of("alice", ""))
            .await
            .unwrap();
    }
    given.clock.store(u64::MAX, Ordering::SeqCst);
    let (mut deleted, mut is_complete) = (0, false);
    while !is_complete {
        let limit = Some(Duration::ZERO);
        let report = store.delete_old_sessions(0, limit).await.unwrap();
        let has_progress = report.deleted > 0 || deleted == ids.len() as u64;
        assert!(has_progress, "{report:?} after {deleted}");
        (deleted, is_complete) = (deleted + report.deleted, report.complete);
    }
    assert_eq!(deleted, ids.len() as u64);
    assert_eq!(store.sessions_of_user("alice").await, Ok(vec![]));
}

/// Checks that each of four concurrent sweeps succeeds or fails with [`StoreError::Busy`],
/// and that together they delete each old session once.
pub async fn of_many_sweeps_at_once_each_is_done_or_refused(given: Given) {
    const SESSIONS: u64 = 200;
    for number in 0..SESSIONS {
        let new = state_of("alice", "");
        given
            .store
            .create_session(&id(number.into()), &new)
            .await
            .unwrap();
    }
    given.clock.store(u64::MAX, Ordering::SeqCst);
    let sweeps: Vec<_> = (0..4)
        .map(|_| {
            let store = given.store.clone();
            tokio::spawn(async move { store.delete_old_sessions(0, None).await })
        })
        .collect();
    let mut deleted = 0;
    for sweep in sweeps {
        match sweep.await.unwrap() {
            Ok(report) => deleted += report.deleted,
            Err(error) => assert_eq!(error, StoreError::Busy),
        }
    }
    assert_eq!(deleted, SESSIONS);
}

fn stored(number: u128, version: u64, user: Option<&str>, data: &str) -> StoredSession {
    StoredSession {
        id: id(number),
        version,
        modified: 70 + version,
        state: SessionState {
            user: user.map(str::to_owned),
            ..state(data)
        },
    }
}

/// Imports a session, and checks that the store returns it; or that the store refuses the
/// import if it does not support imports.
async fn import(given: &Given, session: &StoredSession, expected: Option<u64>) {
    let store = &given.store;
    let imported = store.import_session(session, expected).await;
    if given.can_import {
        assert_eq!(imported, Ok(()));
        let loaded = store.load_session(&session.id).await;
        assert_eq!(loaded, Ok(Some(session.clone())));
    } else {
        assert_eq!(imported, Err(StoreError::Unsupported));
    }
}

/// Checks that an import stores the version and the times of a session, and that later
/// touches and saves continue from them.
///
/// If the store does not support imports, checks that it refuses them.
pub async fn an_import_keeps_version_and_times(given: Given) {
    let session = stored(1, 7, Some("alice"), "a");
    import(&given, &session, None).await;
    if given.can_import {
        let store = &given.store;
        let alices = store.sessions_of_user("alice").await;
        assert_eq!(alices, Ok(vec![id(1)]));
        // Later touches and saves continue from the imported version.
        given.clock.store(2000, Ordering::SeqCst);
        assert_eq!(store.touch_session(&id(1), 9, 7).await, Ok(()));
        assert_eq!(store.save_session(&id(1), &state("b"), 7).await, Ok(8));
        let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
        assert_eq!((loaded.version, loaded.modified), (8, 2000));
        assert_eq!(loaded.state, state("b"));
    }
}

/// Checks that an import replaces a session by an older version, a newer version, or other
/// data of the same version.
///
/// If the store does not support imports, checks that it refuses them.
pub async fn an_import_replaces_a_session_by_any_of_its_versions(given: Given) {
    if !given.can_import {
        return import(&given, &stored(1, 7, None, "a"), None).await;
    }
    let store = &given.store;
    let long = "long ".repeat(2000);
    let sequence = [
        stored(1, 3, None, "first"),
        stored(1, 4, Some("alice"), "newer"),
        // Other data of the same version, for example encrypted with another key.
        stored(1, 4, Some("alice"), "other data"),
        stored(1, 4, Some("bob"), &long),
        stored(1, 9, Some("bob"), "much newer"),
        // An older version, as in a backup.
        stored(1, 2, None, "older"),
        stored(1, 3, Some("alice"), "last"),
    ];
    let mut expected = None;
    for session in sequence {
        import(&given, &session, expected).await;
        for user in ["alice", "bob"] {
            let is_users = session.state.user.as_deref() == Some(user);
            let wanted = if is_users { vec![id(1)] } else { vec![] };
            assert_eq!(store.sessions_of_user(user).await, Ok(wanted));
        }
        // The next import must also replace the time that this touch sets.
        let touched = store.touch_session(&id(1), 77, session.version).await;
        assert_eq!(touched, Ok(()));
        let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
        assert_eq!(
            (loaded.version, loaded.state.expires),
            (session.version, 77)
        );
        expected = Some(session.version);
    }
    assert_eq!(store.save_session(&id(1), &state("on"), 3).await, Ok(4));
    assert_eq!(store.save_session(&id(1), &state("and on"), 4).await, Ok(5));
    let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
    assert_eq!(loaded.state, state("and on"));
    assert_eq!(store.delete_session(&id(1)).await, Ok(true));
    assert_eq!(store.load_session(&id(1)).await, Ok(None));
}

/// Checks that an import fails and changes nothing if the store does not have what the
/// import expects.
pub async fn an_import_of_something_unexpected_changes_nothing(given: Given) {
    let store = &given.store;
    store.create_session(&id(1), &state("a")).await.unwrap();
    let before = store.load_session(&id(1)).await;
    let refusals = [
        (stored(1, 5, None, "b"), None, StoreError::Exists),
        (stored(1, 5, None, "b"), Some(4), StoreError::Conflict(1)),
        (stored(2, 5, None, "b"), Some(1), StoreError::Absent),
    ];
    for (session, expected, error) in refusals {
        let error = match given.can_import {
            true => error,
            false => StoreError::Unsupported,
        };
        let imported = store.import_session(&session, expected).await;
        assert_eq!(imported, Err(error), "{session:?}");
    }
    assert_eq!(store.load_session(&id(1)).await, before);
    assert_eq!(store.load_session(&id(2)).await, Ok(None));
}
