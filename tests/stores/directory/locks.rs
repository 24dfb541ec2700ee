//! The leases of exclusive requests.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fs2::FileExt as _;
use session3_store::{SessionStore, StoreError};
use session3_store_directory::{Call, DirectoryStore, Options, Watch};
use tokio::task::JoinSet;

use super::Fixture;
use session3_test_support::{block_on, id, state};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_lock_has_a_file_only_while_it_is_held() {
    let fixture = Fixture::new();
    let file = fixture.directory.path().join(format!("locks/{}", id(1)));
    block_on(async {
        let lock = fixture.store.lock_session(&id(1), LONG).await.unwrap();
        assert!(file.exists());
        drop(lock);
        super::wait_until_gone(&file);
    });
}

#[test]
fn another_handle_waits_and_gives_up() {
    let fixture = Fixture::new();
    let other = super::open(fixture.directory.path());
    block_on(async {
        let lock = fixture.store.lock_session(&id(1), LONG).await.unwrap();
        let refused = other.lock_session(&id(1), LONG).await.map(drop);
        assert_eq!(refused, Err(StoreError::Busy));
        drop(lock);
        assert!(other.lock_session(&id(1), LONG).await.is_ok());
    });
}

/// A process that is killed while it holds a lease leaves the file of the lease.
#[test]
fn a_file_without_a_holder_is_no_lock_and_the_sweep_removes_it() {
    let fixture = Fixture::new();
    let locks = fixture.directory.path().join("locks");
    fs::create_dir(&locks).unwrap();
    for number in [1, 2] {
        fs::write(locks.join(id(number).to_string()), "").unwrap();
    }
    block_on(async {
        let lock = fixture.store.lock_session(&id(1), LONG).await.unwrap();
        fixture.store.delete_old_sessions(0, None).await.unwrap();
        assert!(lock.is_held());
        assert!(locks.join(id(1).to_string()).exists());
        assert!(!locks.join(id(2).to_string()).exists());
    });
}

/// Each holder of the lease may have a new file. The timeout of a waiting request covers all of
/// these files together.
#[test]
fn who_waits_gives_up_although_the_lock_changes_hands() {
    let fixture = Fixture::new();
    let locks = fixture.directory.path().join("locks");
    fs::create_dir(&locks).unwrap();
    let path = locks.join(id(1).to_string());
    let take = || {
        let new = path.with_extension("new");
        let file = File::create(&new).unwrap();
        file.lock_exclusive().unwrap();
        fs::rename(&new, &path).unwrap();
        file
    };
    let mut held = take();
    block_on(async {
        let (session, store) = (id(1), &fixture.store);
        let wait = store.lock_session(&session, LONG);
        let change_hands = async {
            loop {
                tokio::time::sleep(Duration::from_millis(30)).await;
                held = take();
            }
        };
        let waited = async {
            tokio::select! {
                waited = wait => waited.map(drop),
                () = change_hands => Ok(()),
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), waited).await;
        assert_eq!(
            waited.expect("the waiting request gives up"),
            Err(StoreError::Busy)
        );
    });
    drop(held);
}

#[test]
fn a_request_of_the_same_process_waits_and_gives_up() {
    let fixture = Fixture::new();
    block_on(async {
        let lock = fixture.store.lock_session(&id(1), LONG).await.unwrap();
        let refused = fixture.store.lock_session(&id(1), LONG).await.map(drop);
        assert_eq!(refused, Err(StoreError::Busy));
        assert!(fixture.store.lock_session(&id(2), LONG).await.is_ok());
        drop(lock);
        assert!(fixture.store.lock_session(&id(1), LONG).await.is_ok());
    });
}

/// Counts the attempts to take a lock.
#[derive(Default)]
struct Attempts(AtomicUsize);

impl Watch for Attempts {
    fn before(&self, call: Call) -> io::Result<usize> {
        if let Call::Lock(_) = call {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(usize::MAX)
    }
}

/// Opens a store with patient requests, whose attempts to take locks are counted.
fn patient(directory: &Path) -> (Arc<DirectoryStore>, Arc<Attempts>) {
    let attempts = Arc::new(Attempts::default());
    let options = Options::default().lock_timeout(LONG);
    let options = options.watch(attempts.clone());
    let store = DirectoryStore::open(directory, options).unwrap();
    (Arc::new(store), attempts)
}

#[test]
fn of_many_waiting_requests_only_one_tries_and_less_and_less_often() {
    const WAITING: usize = 500;
    let fixture = Fixture::new();
    let (store, attempts) = patient(fixture.directory.path());
    block_on(async {
        let lock = fixture.store.lock_session(&id(1), LONG).await.unwrap();
        let mut waiting = JoinSet::new();
        for _ in 0..WAITING {
            let store = store.clone();
            waiting.spawn(async move { store.lock_session(&id(1), LONG).await.map(drop) });
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
        let tried = attempts.0.load(Ordering::Relaxed);
        assert!((1..=60).contains(&tried), "{tried} attempts in 0.4 seconds");
        drop(lock);
        while let Some(waited) = waiting.join_next().await {
            assert_eq!(waited.unwrap(), Ok(()));
        }
    });
}

#[test]
fn a_change_that_waits_for_another_process_tries_less_and_less_often() {
    let fixture = Fixture::with_session(0);
    let (store, attempts) = patient(fixture.directory.path());
    let other = fixture.file();
    other.lock_exclusive().unwrap();
    block_on(async {
        let saving = {
            let store = store.clone();
            tokio::spawn(async move { store.save_session(&id(1), &state("2"), 1).await })
        };
        tokio::time::sleep(Duration::from_millis(400)).await;
        let tried = attempts.0.load(Ordering::Relaxed);
        // The first attempts follow each other without a pause.
        assert!(
            (1..=100).contains(&tried),
            "{tried} attempts in 0.4 seconds"
        );
        other.unlock().unwrap();
        assert_eq!(saving.await.unwrap(), Ok(2));
    });
}

#[test]
fn requests_of_one_process_get_the_lease_in_the_order_in_which_they_came() {
    let fixture = Fixture::new();
    let (store, _) = patient(fixture.directory.path());
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async {
        let lock = store.lock_session(&id(1), LONG).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = Vec::new();
        for number in 0..20 {
            let (store, order) = (store.clone(), order.clone());
            waiting.push(tokio::spawn(async move {
                let lock = store.lock_session(&id(1), LONG).await.unwrap();
                order.lock().unwrap().push(number);
                drop(lock);
            }));
            tokio::task::yield_now().await;
        }
        // The place of a request that is dropped goes to the next one.
        waiting.remove(5).abort();
        waiting.remove(0).abort();
        drop(lock);
        for request in waiting {
            request.await.unwrap();
        }
        let expected: Vec<_> = (0..20).filter(|number| ![0, 5].contains(number)).collect();
        assert_eq!(*order.lock().unwrap(), expected);
    });
}

/// One process always has requests that wait. Another process gets the lease all the same.
#[test]
fn a_process_with_many_requests_leaves_the_lease_to_another_one() {
    let fixture = Fixture::new();
    let (busy, _) = patient(fixture.directory.path());
    let (other, _) = patient(fixture.directory.path());
    block_on(async {
        let leases = Arc::new(AtomicUsize::new(0));
        let mut requests = JoinSet::new();
        for _ in 0..20 {
            let (busy, leases) = (busy.clone(), leases.clone());
            requests.spawn(async move {
                loop {
                    let lock = busy.lock_session(&id(1), LONG).await.unwrap();
                    leases.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    drop(lock);
                }
            });
        }
        for _ in 0..5 {
            let before = leases.load(Ordering::Relaxed);
            let lock = other.lock_session(&id(1), LONG).await.unwrap();
            let meanwhile = leases.load(Ordering::Relaxed) - before;
            assert!(meanwhile < 50, "{meanwhile} leases of the busy process");
            drop(lock);
        }
    });
}

#[test]
fn the_mark_of_a_request_that_gave_up_delays_the_next_one_once() {
    let fixture = Fixture::new();
    let other = super::open(fixture.directory.path());
    let file = fixture.directory.path().join(format!("locks/{}", id(1)));
    block_on(async {
        let lock = fixture.store.lock_session(&id(1), LONG).await.unwrap();
        assert!(other.lock_session(&id(1), LONG).await.is_err());
        drop(lock);
        assert_eq!(fs::metadata(&file).unwrap().len(), 1, "it is marked");
        let lock = fixture.store.lock_session(&id(1), LONG).await.unwrap();
        drop(lock);
        super::wait_until_gone(&file);
    });
}
