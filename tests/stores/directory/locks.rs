//! The leases of exclusive requests.

use std::fs;
use std::time::Duration;

use session3_store::{SessionStore, StoreError};

use super::Fixture;
use session3_test_support::{block_on, id};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_lock_has_a_file_only_while_it_is_held() {
    let fixture = Fixture::new();
    let file = fixture.directory.path().join(format!("locks/{}", id(1)));
    block_on(async {
        let lock = fixture.store.lock_session(&id(1), LONG).await.unwrap();
        assert!(file.exists());
        drop(lock);
        assert!(!file.exists());
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

/// Each holder of the lease has a new file. The timeout of a waiting request covers all of these
/// files together.
#[test]
fn who_waits_gives_up_although_the_lock_changes_hands() {
    let fixture = Fixture::new();
    let other = super::open(fixture.directory.path());
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async {
        let lock_again = async {
            let mut lock = fixture.store.lock_session(&id(1), LONG).await.unwrap();
            loop {
                tokio::time::sleep(Duration::from_millis(60)).await;
                drop(lock);
                // Taking a free lease does not yield, so no other task on this thread comes first.
                lock = fixture.store.lock_session(&id(1), LONG).await.unwrap();
            }
        };
        let wait = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            other.lock_session(&id(1), LONG).await.map(drop)
        };
        let waited = async {
            tokio::select! {
                waited = wait => waited,
                () = lock_again => Ok(()),
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), waited).await;
        assert_eq!(
            waited.expect("the waiting request gives up"),
            Err(StoreError::Busy)
        );
    });
}
