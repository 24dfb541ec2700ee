//! Helpers for several test packages.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

pub mod base64url;
pub mod dice;
pub mod directory;
pub mod in_turn;
pub mod layer;
pub mod observer;
pub mod picture;

pub use session3_store_tests::random;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use session3_store::{SessionId, SessionState};

/// Runs a test's future on a runtime with four threads for the tasks that it spawns.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Formats a number with a separator after each three digits.
pub fn thousands(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1000), number % 1000),
    }
}

/// Returns an ID that is easy to read in a file name.
pub fn id(number: u128) -> SessionId {
    SessionId::from(number)
}

/// Returns a state without a user.
pub fn state(data: &str) -> SessionState {
    SessionState {
        user: None,
        expires: 1_000_000,
        data: data.into(),
    }
}

/// Returns the path of a session's record in the directory of a store.
pub fn record_in(directory: &Path, id: &SessionId) -> PathBuf {
    let name = id.to_string();
    directory.join(&name[..2]).join(name)
}

/// Returns the paths of the files below a directory, without the file that a store needs for
/// its sweeps.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = all_files(directory);
    files.retain(|file| !file.ends_with("sweep.lock"));
    files
}

/// Returns the paths of all files below a directory.
pub fn all_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                all_files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until a condition holds.
///
/// # Panics
///
/// If it does not hold within a minute.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(10));
    }
}
