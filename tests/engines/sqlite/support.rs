//! Helpers of the tests.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use session3_store_sqlite::{OpenError, Options, SqliteStore};
use tempfile::TempDir;

/// How long a test waits for what has to happen.
pub const SOON: Duration = Duration::from_secs(60);

/// A directory for a database, which is removed at the end of the test.
pub struct Place(pub TempDir);

impl Place {
    /// Creates the directory.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Returns the path of the database.
    pub fn path(&self) -> PathBuf {
        self.0.path().join("sessions.db")
    }

    /// Opens the store, and creates it if it is missing.
    pub async fn store(&self, options: Options) -> SqliteStore {
        self.open(options.create(true)).await.unwrap()
    }

    /// Opens the store.
    pub async fn open(&self, options: Options) -> Result<SqliteStore, OpenError> {
        open(&self.path(), options).await
    }

    /// Opens the database without the store.
    pub fn sqlite(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }
}

/// Opens the store at a path.
pub async fn open(path: &Path, options: Options) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(&url(path), options).await
}

/// Returns the URL of a path without special characters.
pub fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

/// Waits until a condition holds.
///
/// # Panics
///
/// If it does not hold soon.
pub async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds().await {
        assert!(Instant::now() < deadline, "this never happened");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Returns whether this process has no connection to the database any more.
pub fn is_closed(place: &Place) -> bool {
    let files = fs::read_dir("/proc/self/fd").unwrap();
    let mut paths = files.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
    !paths.any(|path| path.starts_with(place.0.path()))
}

/// Returns a command for the process of the tests that runs as a user without privileges.
pub fn unprivileged(place: &Place) -> Command {
    let program = env!("CARGO_BIN_EXE_session3-test-sqlite-process");
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    // The program may lie where that user cannot reach it.
    let copy = place.0.path().join("program");
    fs::copy(program, &copy).unwrap();
    let mut command = Command::new(copy);
    command.uid(65534);
    command
}
