//! What a seal adds to a load and a save of 700 bytes: the store in memory with it and without
//! it. Run it with `cargo bench --package session3-store-encrypted`.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session3_store::{MemoryStore, SessionId, SessionState, SessionStore, StoreError};
use session3_store_encrypted::{EncryptedStore, Keyring, SystemRandom};

const CALLS: u32 = 100_000;
const ROUNDS: usize = 7;

fn main() -> Result<(), Box<dyn Error>> {
    let plain: Arc<dyn SessionStore> = Arc::new(MemoryStore::default());
    let engine = Arc::new(MemoryStore::default());
    let keyring = Keyring::generate(&SystemRandom, "now");
    let sealed: Arc<dyn SessionStore> = Arc::new(EncryptedStore::new(engine, keyring));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    println!("700 bytes, nanoseconds for each call, the median of {ROUNDS} rounds");
    println!("{:8} {:>8} {:>8}", "store", "load", "save");
    for (name, store) in [("plain", plain), ("sealed", sealed)] {
        let (load, save) = runtime.block_on(measure(&*store))?;
        println!("{name:8} {:>8} {:>8}", load.as_nanos(), save.as_nanos());
    }
    Ok(())
}

async fn measure(store: &dyn SessionStore) -> Result<(Duration, Duration), StoreError> {
    let id = SessionId::from(1);
    let state = SessionState {
        user: Some("alice@example.com".into()),
        expires: u64::MAX,
        data: vec![7; 700],
    };
    let mut version = store.create_session(&id, &state).await?;
    let (mut loads, mut saves) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..CALLS {
            std::hint::black_box(store.load_session(&id).await?);
        }
        loads.push(start.elapsed() / CALLS);
        let start = Instant::now();
        for _ in 0..CALLS {
            version = store.save_session(&id, &state, version).await?;
        }
        saves.push(start.elapsed() / CALLS);
    }
    Ok((median(loads), median(saves)))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
