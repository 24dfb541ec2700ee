//! The contract of `SessionStore`, sentence by sentence, for every store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use session3::store::directory::Options;
use session3::store::{
    DirectoryStore, MemoryStore, SessionId, SessionState, SessionStore, StoreError,
};

use crate::support::{block_on, id, state};

/// A store and the clock that it was given.
struct Given {
    store: Arc<dyn SessionStore>,
    clock: Arc<AtomicU64>,
}

fn clock() -> (Arc<AtomicU64>, impl Fn() -> u64 + Send + Sync + 'static) {
    let clock = Arc::new(AtomicU64::new(1000));
    let reader = clock.clone();
    (clock, move || reader.load(Ordering::SeqCst))
}

fn memory(test: impl AsyncFnOnce(Given)) {
    let (clock, reader) = clock();
    let store = Arc::new(MemoryStore::new(reader));
    block_on(test(Given { store, clock }));
}

fn directory(test: impl AsyncFnOnce(Given)) {
    let directory = tempfile::tempdir().unwrap();
    let (clock, reader) = clock();
    let options = Options::default().clock(reader);
    let store = Arc::new(DirectoryStore::open(directory.path(), options).unwrap());
    block_on(test(Given { store, clock }));
}

/// Makes each sentence a test for each store.
macro_rules! sentences {
    ($($sentence:ident)*) => { sentences! { @ memory $($sentence)* } sentences! { @ directory $($sentence)* } };
    (@ $store:ident $($sentence:ident)*) => {
        mod $store {
            $(
                #[test]
                fn $sentence() {
                    super::$store(super::$sentence);
                }
            )*
        }
    };
}

sentences! {
    what_was_created_is_loaded_back
    an_absent_session_is_an_answer_and_no_error
    a_create_never_replaces_a_session
    a_save_replaces_the_whole_state_and_counts_up
    a_save_of_another_version_changes_nothing
    a_save_after_a_delete_is_refused
    a_touch_moves_the_times_and_nothing_else
    a_touch_of_another_version_changes_nothing
    a_deleted_session_is_gone_and_deleting_nothing_is_fine
    an_expired_session_is_returned_until_something_deletes_it
    sessions_do_not_disturb_each_other
    states_of_all_sizes_come_back_as_they_were
    setup_again_changes_nothing
    of_many_creates_of_one_id_exactly_one_succeeds
    of_many_saves_of_one_version_exactly_one_succeeds
    a_clock_that_jumps_back_does_no_harm
}

async fn what_was_created_is_loaded_back(given: Given) {
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

async fn an_absent_session_is_an_answer_and_no_error(given: Given) {
    let store = given.store;
    assert_eq!(store.load_session(&id(1)).await, Ok(None));
    assert_eq!(store.has_session(&id(1)).await, Ok(false));
    let absent = Err(StoreError::Absent);
    assert_eq!(store.save_session(&id(1), &state("a"), 1).await, absent);
    let touched = store.touch_session(&id(1), 0, 1).await;
    assert_eq!(touched, Err(StoreError::Absent));
    assert_eq!(store.load_session(&id(1)).await, Ok(None));
}

async fn a_create_never_replaces_a_session(given: Given) {
    let store = given.store;
    store.create_session(&id(1), &state("a")).await.unwrap();
    let again = store.create_session(&id(1), &state("b")).await;
    assert_eq!(again, Err(StoreError::Exists));
    let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
    assert_eq!((loaded.version, loaded.state), (1, state("a")));
}

async fn a_save_replaces_the_whole_state_and_counts_up(given: Given) {
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

async fn a_save_of_another_version_changes_nothing(given: Given) {
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

async fn a_save_after_a_delete_is_refused(given: Given) {
    let store = given.store;
    store.create_session(&id(1), &state("a")).await.unwrap();
    assert_eq!(store.delete_session(&id(1)).await, Ok(true));
    let saved = store.save_session(&id(1), &state("b"), 1).await;
    assert_eq!(saved, Err(StoreError::Absent));
    let touched = store.touch_session(&id(1), 9, 1).await;
    assert_eq!(touched, Err(StoreError::Absent));
    assert_eq!(store.load_session(&id(1)).await, Ok(None));
}

async fn a_touch_moves_the_times_and_nothing_else(given: Given) {
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
    // A save brings times of its own.
    store.save_session(&id(1), &state("b"), 1).await.unwrap();
    let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
    assert_eq!(loaded.state, state("b"));
    store.touch_session(&id(1), 1, 2).await.unwrap();
    let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
    assert_eq!(loaded.state.expires, 1, "an earlier time too");
}

async fn a_touch_of_another_version_changes_nothing(given: Given) {
    let store = given.store;
    store.create_session(&id(1), &state("a")).await.unwrap();
    let before = store.load_session(&id(1)).await;
    let touched = store.touch_session(&id(1), 9, 2).await;
    assert_eq!(touched, Err(StoreError::Conflict(1)));
    assert_eq!(store.load_session(&id(1)).await, before);
}

async fn a_deleted_session_is_gone_and_deleting_nothing_is_fine(given: Given) {
    let store = given.store;
    assert_eq!(store.delete_session(&id(1)).await, Ok(false));
    store.create_session(&id(1), &state("a")).await.unwrap();
    assert_eq!(store.delete_session(&id(1)).await, Ok(true));
    assert_eq!(store.delete_session(&id(1)).await, Ok(false));
    assert_eq!(store.has_session(&id(1)).await, Ok(false));
    assert_eq!(store.load_session(&id(1)).await, Ok(None));
}

async fn an_expired_session_is_returned_until_something_deletes_it(given: Given) {
    let store = given.store;
    store.create_session(&id(1), &state("a")).await.unwrap();
    given.clock.store(u64::MAX, Ordering::SeqCst);
    assert_eq!(store.has_session(&id(1)).await, Ok(true));
    assert_eq!(store.save_session(&id(1), &state("b"), 1).await, Ok(2));
}

async fn sessions_do_not_disturb_each_other(given: Given) {
    let store = given.store;
    // Two of one subdirectory, and one of another.
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

async fn states_of_all_sizes_come_back_as_they_were(given: Given) {
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

async fn setup_again_changes_nothing(given: Given) {
    let store = given.store;
    store.setup().await.unwrap();
    store.create_session(&id(1), &state("a")).await.unwrap();
    store.setup().await.unwrap();
    assert_eq!(store.has_session(&id(1)).await, Ok(true));
}

/// Runs `work` on eight threads at once; how many of them succeeded.
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

async fn of_many_creates_of_one_id_exactly_one_succeeds(given: Given) {
    for number in 0..200 {
        let succeeded = race(|| {
            let store = given.store.clone();
            async move { store.create_session(&id(number), &state("a")).await.is_ok() }
        });
        assert_eq!(succeeded.await, 1);
    }
}

async fn of_many_saves_of_one_version_exactly_one_succeeds(given: Given) {
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

async fn a_clock_that_jumps_back_does_no_harm(given: Given) {
    let store = given.store;
    store.create_session(&id(1), &state("a")).await.unwrap();
    given.clock.store(5, Ordering::SeqCst);
    store.touch_session(&id(1), 7, 1).await.unwrap();
    store.touch_session(&id(1), 8, 1).await.unwrap();
    let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
    assert_eq!((loaded.modified, loaded.state.expires), (5, 8));
    assert_eq!(store.save_session(&id(1), &state("b"), 1).await, Ok(2));
}
