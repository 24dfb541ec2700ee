//! Servers that are killed while they save.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use session3_store::{SessionState, SessionStore, StoreError};
use session3_test_servers::Server;
use session3_test_support::{block_on, id, random};

use crate::failovers::{measure, wait_for_recovery};
use crate::{Engine, PATIENCE};

const WRITERS: u128 = 8;

fn numbered(number: u64) -> SessionState {
    SessionState {
        user: Some("alice".into()),
        expires: u64::MAX,
        data: number.to_string().into_bytes(),
    }
}

/// What a writer knows of its session, whose data are the number of the save.
#[derive(Clone, Copy)]
struct Known {
    /// The version of the last acknowledged save.
    version: u64,
    /// The number of saves since that may have taken effect.
    unknown: u64,
}

/// Saves until the server is away.
async fn write(
    store: Arc<dyn SessionStore>,
    session: u128,
    mut known: Known,
    end: Arc<AtomicBool>,
) -> Known {
    while !end.load(Ordering::SeqCst) {
        let next = numbered(known.version + 1);
        match store.save_session(&id(session), &next, known.version).await {
            Ok(version) => {
                assert_eq!(version, known.version + 1);
                known = Known {
                    version,
                    unknown: 0,
                };
            }
            Err(StoreError::Unavailable(_)) => {
                known.unknown = 1;
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    known
}

pub fn acknowledged_changes_survive_a_server_that_is_killed<E: Engine>() {
    let seed = random::seed();
    let mut dice = StdRng::seed_from_u64(seed);
    block_on(async {
        let mut server = E::start();
        let store = E::open(&server.url(), PATIENCE).await;
        let mut known = Vec::new();
        for session in 0..WRITERS {
            let version = store
                .create_session(&id(session), &numbered(1))
                .await
                .unwrap();
            known.push(Known {
                version,
                unknown: 0,
            });
        }
        let (mut deleted, mut acknowledged, mut found_later) = (Vec::new(), 0, 0);
        let rounds = if random::is_long() { 100 } else { 6 };
        for round in 0..rounds {
            let end = Arc::new(AtomicBool::new(false));
            let writers: Vec<_> = (0..WRITERS)
                .zip(&known)
                .map(|(session, known)| {
                    tokio::spawn(write(store.clone(), session, *known, end.clone()))
                })
                .collect();
            // A session that is deleted must not return.
            let gone = id(1000 + round);
            store
                .create_session(&gone, &numbered(1))
                .await
                .unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(store.delete_session(&gone).await, Ok(true));
            deleted.push(gone);
            // The server must be killed at a random instant.
            tokio::time::sleep(Duration::from_millis(dice.random_range(10..300))).await;
            server.kill();
            end.store(true, Ordering::SeqCst);
            for (known, writer) in known.iter_mut().zip(writers) {
                let before = known.version;
                *known = writer.await.unwrap();
                acknowledged += known.version - before;
            }
            server.restart();
            for (session, known) in (0..).zip(&mut known) {
                let found = load(&*store, session).await;
                let possible = known.version..=known.version + known.unknown;
                assert!(possible.contains(&found), "{found} is not in {possible:?}");
                found_later += found - known.version;
                *known = Known {
                    version: found,
                    unknown: 0,
                };
            }
            for id in &deleted {
                assert_eq!(store.load_session(id).await, Ok(None));
            }
        }
        println!("{acknowledged} acknowledged saves survived, {found_later} others took effect");
        assert!(acknowledged > 0);
    });
}

/// Returns the version of a session whose data agree with it, when the server is back.
async fn load(store: &dyn SessionStore, session: u128) -> u64 {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        match store.load_session(&id(session)).await {
            Ok(found) => {
                let found = found.unwrap();
                assert_eq!(found.state, numbered(found.version));
                return found.version;
            }
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub fn the_store_follows_a_server_that_starts_again<E: Engine>() {
    block_on(async {
        let mut server = E::start();
        let store = E::open(&server.url(), PATIENCE).await;
        let losses = measure(store.clone(), async || {
            server.kill();
            server.restart();
            wait_for_recovery(&*store).await;
        });
        let losses = losses.await;
        println!(
            "{}, killed and started again: {losses}",
            std::any::type_name::<E::Store>()
        );
        assert_eq!((losses.lost_saves, losses.returned), (0, 0));
    });
}
