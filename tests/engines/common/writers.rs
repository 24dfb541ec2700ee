//! Writers whose connections are lost: no save counts twice, and none is lost.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use session3_store::{SessionState, SessionStore, StoreError, StoredSession};
use session3_test_support::{block_on, id, random};

use crate::calls::{TIMEOUT, in_time, is_unavailable};
use crate::proxy::Proxy;
use crate::{Engine, table};

/// One writer of a session, which knows what the session may be.
struct Writer {
    store: Arc<dyn SessionStore>,
    number: u128,
    version: u64,
    /// The saves at this version whose outcome is not known. One of them may take effect at any
    /// time until another save does.
    pending: Vec<SessionState>,
    dice: StdRng,
}

impl Writer {
    fn state(&mut self) -> SessionState {
        SessionState {
            user: Some(format!("user {}", self.dice.random_range(0..3))),
            expires: u64::MAX,
            data: self.dice.random::<u64>().to_string().into_bytes(),
        }
    }

    /// Saves repeatedly. A save counts once if it succeeds, and once or not at all if that is
    /// not known; nothing else is possible, since there is no other writer.
    async fn write(mut self, saves: u32) -> (u32, u32) {
        let (mut known, mut unknown) = (0, 0);
        let mut stored = self.state();
        let session = id(self.number);
        while is_unavailable(&in_time(self.store.create_session(&session, &stored)).await) {
            // The session exists if the create took effect.
            if let Ok(Some(_)) = self.store.load_session(&session).await {
                break;
            }
        }
        for _ in 0..saves {
            let next = self.state();
            match in_time(self.store.save_session(&session, &next, self.version)).await {
                Ok(version) => {
                    assert_eq!(version, self.version + 1);
                    (self.version, stored) = (version, next);
                    self.pending.clear();
                    known += 1;
                }
                Err(StoreError::Unavailable(_)) => {
                    self.pending.push(next);
                    unknown += 1;
                }
                // An earlier save took effect only now.
                Err(StoreError::Conflict(version)) if !self.pending.is_empty() => {
                    assert_eq!(version, self.version + 1);
                    assert_eq!(self.load().await.version, version);
                }
                Err(error) => panic!("{error} at version {}", self.version),
            }
            let found = self.load().await;
            if found.version == self.version + 1 {
                assert!(self.pending.contains(&found.state));
                self.pending.clear();
                (self.version, stored) = (found.version, found.state);
            } else {
                assert_eq!((found.version, &found.state), (self.version, &stored));
            }
        }
        (known, unknown)
    }

    async fn load(&self) -> StoredSession {
        loop {
            match in_time(self.store.load_session(&id(self.number))).await {
                Ok(found) => return found.unwrap(),
                Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub fn no_save_counts_twice_and_none_is_lost_among_lost_connections<E: Engine>() {
    let seed = random::seed();
    block_on(async {
        let proxy = Arc::new(Proxy::new(E::shared_port()).await);
        let table = table();
        let store = E::open(&E::url(proxy.port, &table), TIMEOUT).await;
        let (writers, saves) = if random::is_long() {
            (16, 2000)
        } else {
            (8, 100)
        };
        let writers: Vec<_> = (0..writers)
            .map(|number| Writer {
                store: store.clone(),
                number,
                version: 1,
                pending: Vec::new(),
                dice: StdRng::seed_from_u64(seed ^ (number as u64) << 32),
            })
            .map(|writer| tokio::spawn(writer.write(saves)))
            .collect();
        let disturber = tokio::spawn(disturb(proxy.clone(), seed));
        let mut total = (0, 0);
        for writer in writers {
            let (known, unknown) = writer.await.unwrap();
            total = (total.0 + known, total.1 + unknown);
        }
        disturber.abort();
        println!("{} saves succeeded, {} are unknown", total.0, total.1);
        assert!(total.0 > 0);
        let direct = E::open(&E::url(E::shared_port(), &table), TIMEOUT).await;
        E::assert_index_is_exact(&direct, &table).await;
    });
}

async fn disturb(proxy: Arc<Proxy>, seed: u64) {
    let mut dice = StdRng::seed_from_u64(seed);
    loop {
        match dice.random_range(0..8) {
            0 => proxy.close_all(),
            1 => {
                proxy.refuse();
                tokio::time::sleep(Duration::from_millis(20)).await;
                proxy.accept();
            }
            2 => {
                proxy.set_silent(true);
                let pause = dice.random_range(1..700);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                proxy.set_silent(false);
            }
            _ => proxy.cut_replies(dice.random_range(1..3)),
        }
        let pause = Duration::from_millis(dice.random_range(1..50));
        tokio::time::sleep(pause).await;
    }
}
