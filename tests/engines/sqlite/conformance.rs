//! The conformance suite, run on stores in files.

use std::sync::Arc;
use std::time::Duration;

use session3_store::{SessionId, SessionStore};
use session3_store_encrypted::{EncryptedStore, Keyring, SystemRandom};
use session3_store_sqlite::{Durability, Options};
use session3_store_tests::{Given, TestClock, conformance_suite, promises, run};
use session3_test_support::in_turn::InTurn;

use crate::support::Place;

async fn sqlite() -> Given {
    with_file(|options| options).await
}

async fn sqlite_that_flushes() -> Given {
    with_file(|options| options.durability(Durability::Disk)).await
}

/// Returns a store whose calls go to two handles of one file in turn, as if two processes used
/// it.
async fn sqlite_of_two_handles() -> Given {
    let (place, clock) = (Place::new(), TestClock::default());
    let options = Options::default().clock(clock.reader());
    let handles = [
        place.store(options.clone()).await,
        place.store(options).await,
    ];
    given(place, clock, Arc::new(InTurn::new(handles)))
}

/// Returns a store whose states are sealed before SQLite gets them.
async fn sqlite_sealed() -> Given {
    let (place, clock) = (Place::new(), TestClock::default());
    let options = Options::default()
        .clock(clock.reader())
        .max_state_bytes((1 << 20) + EncryptedStore::OVERHEAD);
    let engine = Arc::new(place.store(options).await);
    let keyring = Keyring::generate(&SystemRandom, "today");
    given(place, clock, Arc::new(EncryptedStore::new(engine, keyring)))
}

conformance_suite!(sqlite);
conformance_suite!(sqlite_sealed);
conformance_suite!(sqlite_that_flushes);
conformance_suite!(sqlite_of_two_handles);

#[test]
fn who_waits_for_a_lock_in_vain_gets_busy() {
    let impatient = async || with_file(|options| options.lock_timeout(Duration::ZERO)).await;
    let vain = promises::waiting_for_a_lock_in_vain_ends_with_busy;
    run(impatient, vain);
}

async fn with_file(change: impl FnOnce(Options) -> Options) -> Given {
    let (place, clock) = (Place::new(), TestClock::default());
    let options = change(Options::default().clock(clock.reader()));
    let store = Arc::new(place.store(options).await);
    given(place, clock, store)
}

fn given(place: Place, clock: TestClock, store: Arc<dyn SessionStore>) -> Given {
    let path = place.path();
    let damage = move |id: &SessionId| {
        let sql = format!("UPDATE sessions SET user = x'ff' WHERE id = x'{id}'");
        let damaged = rusqlite::Connection::open(&path).unwrap().execute(&sql, ());
        assert_eq!(damaged, Ok(1));
    };
    Given::new(store, clock)
        .multiprocess_safe(true)
        .damage_with(damage)
        .keep(place)
}
