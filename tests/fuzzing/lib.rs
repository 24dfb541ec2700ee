//! The bodies of the fuzz targets. The package in `fuzz/` runs these functions under libFuzzer. The
//! tests of the stores run them with the committed corpus and with mutations of it.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod sealed;

pub use sealed::{opens, sealed};

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use session3_store::{MemoryStore, SessionId, SessionPage, SessionState, SessionStore, StoreError};
use session3_store_directory::{DirectoryStore, Durability, Options};
use session3_store_encrypted::{EncryptedStore, Keyring};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The session of the records in the corpus.
const ID: u128 = 1;
const HEADER: usize = 512;
const TOMBSTONE: std::ops::Range<usize> = 32..40;
const PLACES: [usize; 2] = [40, 64];
/// The parts of the header with a checksum, from the checksum to the end of the part.
const CHECKED: [(usize, usize); 5] = [(40, 64), (64, 88), (88, 128), (128, 168), (168, 184)];
const SLOT_HEAD: usize = 40;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
});

/// Runs the target `record`: takes the bytes for the record of a session, once as they are and once
/// with correct checksums.
///
/// # Panics
///
/// If a call of the store has an unexpected result, or if the results of two calls contradict each
/// other.
pub fn record(bytes: &[u8]) {
    let directory = directory();
    RUNTIME.block_on(async {
        examine(directory.path(), bytes).await;
        if let Some(corrected) = corrected(bytes) {
            examine(directory.path(), &corrected).await;
        }
    });
}

/// Writes the record of a session and calls the store with it.
async fn examine(directory: &Path, bytes: &[u8]) {
    let (id, path) = (SessionId::from(ID), record_path(directory));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    let options = Options::default().lock_timeout(Duration::ZERO);
    let store = DirectoryStore::open(directory, options).unwrap();
    let state = SessionState {
        user: Some("fuzz".into()),
        expires: 7,
        data: vec![1; bytes.len() % 3000],
    };
    match store.load_session(&id).await {
        Ok(Some(found)) => {
            assert_eq!(
                store.create_session(&id, &state).await,
                Err(StoreError::Exists)
            );
            match store.touch_session(&id, 99, found.version).await {
                Ok(()) => {
                    let loaded = store.load_session(&id).await.unwrap().unwrap();
                    assert_eq!(loaded.state.expires, 99);
                    assert_eq!(loaded.state.data, found.state.data);
                }
                Err(error) => is_at_the_end(&error),
            }
            let mut version = found.version;
            for _ in 0..3 {
                match store.save_session(&id, &state, version).await {
                    Ok(saved) => {
                        assert!(saved > version, "{saved} after {version}");
                        let loaded = store.load_session(&id).await.unwrap().unwrap();
                        assert_eq!((loaded.version, loaded.state), (saved, state.clone()));
                        version = saved;
                    }
                    Err(error) => is_at_the_end(&error),
                }
            }
            assert_eq!(store.delete_session(&id).await, Ok(true));
        }
        Ok(None) => {
            assert_eq!(
                store.save_session(&id, &state, 1).await,
                Err(StoreError::Absent)
            );
            assert_eq!(store.create_session(&id, &state).await, Ok(1));
            let loaded = store.load_session(&id).await.unwrap().unwrap();
            assert_eq!((loaded.version, loaded.state), (1, state));
            assert_eq!(store.delete_session(&id).await, Ok(true));
        }
        Err(StoreError::Corrupt(_)) => {
            let saved = store.save_session(&id, &state, 1).await;
            assert!(matches!(saved, Err(StoreError::Corrupt(_))), "{saved:?}");
            assert!(fs::read(&path).unwrap() == bytes, "the file is kept");
            let created = store.create_session(&id, &state).await;
            assert!(created.is_err(), "{created:?}");
            match store.delete_session(&id).await {
                Ok(is_deleted) => assert!(is_deleted),
                Err(error) => assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}"),
            }
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// Checks that the error is one of the two that a session may cause although it can be loaded: its
/// version or sequence number is the largest one, or its file cannot grow.
fn is_at_the_end(error: &StoreError) {
    let ends = ["it has the last number", "its file has no end"];
    let is_end = |how: &str| ends.iter().any(|end| how.starts_with(end));
    assert!(
        matches!(error, StoreError::Corrupt(how) if is_end(how)),
        "{error:?}"
    );
}

/// Returns the record with the magic number, the ID and the checksums corrected, which a fuzzer
/// would not find by chance. Returns `None` if the bytes have no room for a header.
fn corrected(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let header = bytes.get_mut(..HEADER)?;
    header[..8].copy_from_slice(b"session3");
    header[8..16].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
    header[16..32].copy_from_slice(&ID.to_le_bytes());
    header[TOMBSTONE].fill(0);
    for (start, end) in CHECKED {
        correct(&mut bytes[start..end]);
    }
    for place in PLACES {
        let offset = number(&bytes, place + 8, 8)?;
        let Some(head) = offset.checked_add(SLOT_HEAD) else {
            continue;
        };
        let lengths = (
            number(&bytes, offset + 32, 4),
            number(&bytes, offset + 36, 4),
        );
        let (Some(user), Some(data)) = lengths else {
            continue;
        };
        let user = if user == u32::MAX as usize { 0 } else { user };
        let end = head.checked_add(user)?.checked_add(data)?;
        if let Some(slot) = bytes.get_mut(offset..end)
            && offset >= HEADER
        {
            correct(slot);
        }
    }
    Some(bytes)
}

/// Reads a little-endian number of `length` bytes.
fn number(bytes: &[u8], offset: usize, length: usize) -> Option<usize> {
    let mut number = [0; 8];
    number[..length].copy_from_slice(bytes.get(offset..offset.checked_add(length)?)?);
    usize::try_from(u64::from_le_bytes(number)).ok()
}

/// Writes the checksum of a part into its first 8 bytes. A part that is all zeros was never
/// written, and stays as it is.
fn correct(bytes: &mut [u8]) {
    let (checksum, rest) = bytes.split_at_mut(8);
    if rest.iter().any(|byte| *byte != 0) {
        checksum.copy_from_slice(&xxh3_64_with_seed(rest, ID as u64).to_le_bytes());
    }
}

fn record_path(directory: &Path) -> PathBuf {
    let name = SessionId::from(ID).to_string();
    directory.join(&name[..2]).join(name)
}

/// Creates a temporary directory, in memory if the system has such a file system.
fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let directory = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    directory.unwrap()
}

/// Runs the target `operations`: performs operations of four bytes each on a directory with two
/// handles, one of each durability, and on a store in memory. Then once more with sealed handles.
///
/// # Panics
///
/// If the results differ.
pub fn operations(bytes: &[u8]) {
    compare(bytes, |store| Arc::new(store));
    compare(bytes, |store| {
        let ring = Keyring::generate(&|bytes: &mut [u8]| bytes.fill(1), "today");
        Arc::new(EncryptedStore::new(Arc::new(store), ring))
    });
}

/// Performs the operations with handles that `wrap` returns.
fn compare(bytes: &[u8], wrap: fn(DirectoryStore) -> Arc<dyn SessionStore>) {
    let directory = directory();
    static CLOCK: AtomicU64 = AtomicU64::new(0);
    let clock = || CLOCK.load(Ordering::SeqCst);
    let open = |durability| {
        let options = Options::default().clock(clock).durability(durability);
        wrap(DirectoryStore::open(directory.path(), options).unwrap())
    };
    let stores = [Durability::Process, Durability::Disk].map(open);
    let model = MemoryStore::new(clock);
    let (mut now, mut sweeps) = (1_000_000_u64, 0);
    for operation in bytes.as_chunks::<4>().0.iter().take(64) {
        // The clock may also go backwards, but not below zero.
        now = now.saturating_add_signed(i64::from(operation[3] as i8) * 100);
        CLOCK.store(now, Ordering::SeqCst);
        // A sweep reads four thousand directories, so each input has at most one.
        sweeps += usize::from(operation[0] % 16 == 15);
        if operation[0] % 16 == 15 && sweeps > 1 {
            continue;
        }
        let store = &stores[usize::from(operation[0] >> 7)];
        RUNTIME.block_on(async {
            let expected = operate(&model, operation, now).await;
            let answer = operate(&**store, operation, now).await;
            assert_eq!(answer, expected, "{operation:?}");
        });
    }
}

/// Performs an operation, and returns its result as text.
async fn operate(store: &dyn SessionStore, operation: &[u8; 4], now: u64) -> String {
    let [what, which, size, time] = *operation;
    let id = SessionId::from(u128::from(which % 3) << 121);
    let users = [None, Some("alice"), Some("bob")];
    let user = users[usize::from(which >> 2) % 3];
    let loaded = store.load_session(&id).await.unwrap();
    // With half of the values of `which`, the operation may expect another version than the
    // stored one.
    let wrong = u64::from(which >> 7) * u64::from(time % 3);
    let version = loaded.map_or(1, |session| session.version) + wrong;
    let state = SessionState {
        user: user.map(str::to_owned),
        expires: now + u64::from(time) * 1000,
        data: vec![size; usize::from(size).pow(2) / 8],
    };
    match what % 16 {
        0..4 => format!("{:?}", store.create_session(&id, &state).await),
        4..9 => format!("{:?}", store.save_session(&id, &state, version).await),
        9..11 => format!(
            "{:?}",
            store.touch_session(&id, state.expires, version).await
        ),
        11..13 => format!("{:?}", store.delete_session(&id).await),
        13 if size % 4 == 3 => format!("{:?}", walk(store, u32::from(size) % 3).await),
        13 => format!("{:?}", store.load_session(&id).await),
        14 => {
            let sessions = store.sessions_of_user(user.unwrap_or("carol")).await;
            let mut sessions = sessions.unwrap();
            sessions.sort_unstable();
            format!("{sessions:?}")
        }
        _ => format!(
            "{:?}",
            store.delete_old_sessions(u32::from(time), None).await
        ),
    }
}

/// Walks through all sessions, and returns the pages.
async fn walk(store: &dyn SessionStore, limit: u32) -> Vec<SessionPage> {
    let (mut pages, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.iter_sessions(cursor.as_deref(), limit).await.unwrap();
        cursor.clone_from(&page.next);
        pages.push(page);
        if cursor.is_none() {
            return pages;
        }
    }
}
