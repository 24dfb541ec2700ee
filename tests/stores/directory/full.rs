//! Deleting on a full disk where even overwriting a byte needs space, as on a file system that
//! never overwrites a block.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use session3_store::{SessionState, SessionStore, StoreError};
use session3_store_directory::{Call, DirectoryStore, Durability, Options, Watch};
use tempfile::TempDir;

use session3_test_support::{block_on, id, record_in, state};

/// What fails with `ENOSPC` besides writes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Full {
    /// Nothing: a file can still be emptied.
    Writes,
    /// Emptying a file: only names can be removed.
    Sizes,
    /// Everything that changes the file system.
    All,
}

impl Watch for Full {
    fn before(&self, call: Call) -> io::Result<usize> {
        let is_full = match call {
            Call::Write { name, .. } => name != "sweep.lock",
            Call::Create(_) => true,
            Call::Resize(_) => *self != Self::Writes,
            Call::Unlink(_) => *self == Self::All,
            _ => false,
        };
        match is_full {
            true => Err(Errno::NOSPC.into()),
            false => Ok(usize::MAX),
        }
    }
}

/// A session of Alice in a store on a full disk, with a hard-linked backup. Another server has
/// the session's file open and has just looked up its name.
struct Given {
    directory: TempDir,
    store: DirectoryStore,
    server: DirectoryStore,
    time: Arc<AtomicU64>,
}

impl Given {
    fn new(full: Full, durability: Durability) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let time = Arc::new(AtomicU64::new(1_700_000_000_000));
        let clock = time.clone();
        let options = Options::default().clock(move || clock.load(Ordering::SeqCst));
        let server = DirectoryStore::open(directory.path(), options).unwrap();
        let alice = SessionState {
            user: Some("alice".into()),
            ..state("a")
        };
        block_on(async {
            server.create_session(&id(1), &alice).await.unwrap();
            server.load_session(&id(1)).await.unwrap().unwrap();
            // Later sweeps need a file.
            server.setup().await.unwrap();
        });
        let options = Options::default().durability(durability);
        let options = options.watch(Arc::new(full));
        let given = Self {
            store: DirectoryStore::open(directory.path(), options).unwrap(),
            directory,
            server,
            time,
        };
        fs::hard_link(given.path(), given.backup()).unwrap();
        given
    }

    fn path(&self) -> PathBuf {
        record_in(self.directory.path(), &id(1))
    }

    fn backup(&self) -> PathBuf {
        self.directory.path().join("backup")
    }

    /// Checks that the session is gone for the server that has its file open.
    fn is_gone(&self) {
        block_on(async {
            assert_eq!(self.server.load_session(&id(1)).await, Ok(None));
            let saved = self.server.save_session(&id(1), &state("b"), 1).await;
            assert_eq!(saved, Err(StoreError::Absent));
            let touched = self.server.touch_session(&id(1), 5, 1).await;
            assert_eq!(touched, Err(StoreError::Absent));
            assert_eq!(self.server.delete_session(&id(1)).await, Ok(false));
            let sessions = self.server.sessions_of_user("alice").await;
            assert_eq!(sessions, Ok(vec![]));
            let created = self.server.create_session(&id(1), &state("new")).await;
            assert_eq!(created, Ok(1));
        });
    }

    /// Deletes the session, by its ID or by a sweep.
    async fn delete(&self, by_sweep: bool) -> Result<(), StoreError> {
        if by_sweep {
            let report = self.store.delete_old_sessions(u32::MAX, None).await?;
            assert_eq!((report.deleted, report.remaining), (1, 0));
        } else {
            assert!(self.store.delete_session(&id(1)).await?);
        }
        Ok(())
    }
}

fn each_delete(full: Full, check: impl Fn(&Given, bool)) {
    for durability in [Durability::Process, Durability::Disk] {
        for by_sweep in [false, true] {
            check(&Given::new(full, durability), by_sweep);
        }
    }
}

#[test]
fn where_no_tombstone_can_be_written_a_delete_empties_the_file() {
    each_delete(Full::Writes, |given, by_sweep| {
        block_on(given.delete(by_sweep)).unwrap();
        assert!(!given.path().exists());
        assert_eq!(fs::metadata(given.backup()).unwrap().len(), 0);
        given.is_gone();
    });
}

/// The file still holds the session. A server that has it open looks up the name again when
/// its clock says that a second has passed, so the delete returns after that.
#[test]
fn where_only_names_can_be_removed_a_delete_returns_when_others_have_noticed() {
    each_delete(Full::Sizes, |given, by_sweep| {
        block_on(async {
            let delete = given.delete(by_sweep);
            let early = tokio::time::timeout(Duration::from_millis(900), delete).await;
            assert!(early.is_err(), "the delete did not wait");
        });
        assert!(!given.path().exists());
        // A change looks up the name in any case.
        let saved = block_on(given.server.save_session(&id(1), &state("b"), 1));
        assert_eq!(saved, Err(StoreError::Absent));
        given.time.fetch_add(1000, Ordering::SeqCst);
        given.is_gone();
    });
}

#[test]
fn where_nothing_can_be_removed_a_delete_fails_and_changes_nothing() {
    for durability in [Durability::Process, Durability::Disk] {
        let given = Given::new(Full::All, durability);
        match block_on(given.store.delete_session(&id(1))) {
            Err(StoreError::Unavailable(what)) => assert!(what.contains("No space"), "{what}"),
            other => panic!("{other:?}"),
        }
        assert!(
            block_on(given.server.load_session(&id(1)))
                .unwrap()
                .is_some()
        );
        let sessions = block_on(given.server.sessions_of_user("alice"));
        assert_eq!(sessions, Ok(vec![id(1)]));
    }
}

#[test]
fn a_damaged_session_can_be_deleted_where_no_tombstone_can_be_written() {
    for full in [Full::Writes, Full::Sizes] {
        let given = Given::new(full, Durability::Process);
        fs::write(given.path(), "x".repeat(600)).unwrap();
        assert_eq!(block_on(given.store.delete_session(&id(1))), Ok(true));
        assert!(!given.path().exists());
    }
}
