//! A directory that is moved, removed or replaced while a store has it open.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::io::Errno;
use session3_store::{SessionStore, StoreError, StoredSession};
use session3_store_directory::{Call, DirectoryStore, Durability, Options, Watch};
use tempfile::TempDir;

use session3_test_support::{block_on, files, id, record_in, state};

/// A store with session 1, whose path is `PARENT/store`.
struct Given {
    parent: TempDir,
    store: DirectoryStore,
    time: Arc<AtomicU64>,
}

impl Given {
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        let parent = tempfile::tempdir().unwrap();
        let time = Arc::new(AtomicU64::new(1_700_000_000_000));
        let clock = time.clone();
        let options = options.clock(move || clock.load(Ordering::SeqCst));
        let path = parent.path().join("store");
        let store = DirectoryStore::open(path, options.create(true)).unwrap();
        block_on(store.create_session(&id(1), &state("1"))).unwrap();
        Self {
            parent,
            store,
            time,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.parent.path().join(name)
    }

    fn move_away(&self) {
        fs::rename(self.path("store"), self.path("moved")).unwrap();
    }

    fn after_a_second(&self) -> &Self {
        self.time.fetch_add(1000, Ordering::SeqCst);
        self
    }

    fn load(&self) -> Result<Option<StoredSession>, StoreError> {
        block_on(self.store.load_session(&id(1)))
    }

    /// Checks that operations fail with one line that names the path and says this.
    fn fails(&self, how: &str) {
        let saved = block_on(self.store.save_session(&id(1), &state("2"), 1));
        for error in [self.load().unwrap_err(), saved.unwrap_err()] {
            let StoreError::Unavailable(what) = error else {
                panic!("{error:?}");
            };
            let path = self.path("store").display().to_string();
            assert!(what.starts_with(&path) && what.contains(how), "{what}");
            assert!(
                what.contains("put it back") && !what.contains('\n'),
                "{what}"
            );
        }
    }
}

#[test]
fn an_empty_directory_in_its_place_becomes_the_store() {
    let given = Given::new();
    given.move_away();
    fs::create_dir(given.path("store")).unwrap();
    assert_eq!(given.after_a_second().load(), Ok(None));
    block_on(given.store.create_session(&id(1), &state("new"))).unwrap();
    assert!(record_in(&given.path("store"), &id(1)).exists());
    assert!(given.path("store/sweep.lock").exists());
    let moved = DirectoryStore::open(given.path("moved"), Options::default()).unwrap();
    let session = block_on(moved.load_session(&id(1))).unwrap().unwrap();
    assert_eq!(session.state, state("1"));
}

#[test]
fn another_store_in_its_place_becomes_the_store() {
    let given = Given::new();
    let copy = DirectoryStore::open(given.path("copy"), Options::default().create(true)).unwrap();
    block_on(copy.create_session(&id(1), &state("copy"))).unwrap();
    given.move_away();
    fs::rename(given.path("copy"), given.path("store")).unwrap();
    let session = given.after_a_second().load().unwrap().unwrap();
    assert_eq!(session.state, state("copy"));
}

#[test]
fn a_link_that_leads_elsewhere_is_followed_again() {
    let given = Given::new();
    given.move_away();
    symlink("moved", given.path("store")).unwrap();
    assert!(given.after_a_second().load().unwrap().is_some());
    fs::create_dir(given.path("other")).unwrap();
    fs::remove_file(given.path("store")).unwrap();
    symlink("other", given.path("store")).unwrap();
    assert_eq!(given.after_a_second().load(), Ok(None));
}

#[test]
fn a_directory_that_is_gone_is_an_error_until_it_is_back() {
    let given = Given::new();
    given.move_away();
    given.after_a_second().fails("is gone");
    fs::rename(given.path("moved"), given.path("store")).unwrap();
    assert!(given.load().unwrap().is_some());
}

#[test]
fn a_directory_that_was_removed_may_be_made_again() {
    let given = Given::new();
    fs::remove_dir_all(given.path("store")).unwrap();
    // Without waiting for a second: an operation that fails makes the next one look.
    let created = block_on(given.store.create_session(&id(2), &state("2")));
    assert!(
        matches!(created, Err(StoreError::Unavailable(_))),
        "{created:?}"
    );
    given.fails("is gone");
    fs::create_dir(given.path("store")).unwrap();
    assert_eq!(given.load(), Ok(None));
    let created = block_on(given.store.create_session(&id(2), &state("2")));
    assert_eq!(created, Ok(1));
}

#[test]
fn something_else_in_its_place_is_refused_and_left_alone() {
    let given = Given::new();
    given.move_away();
    fs::create_dir(given.path("store")).unwrap();
    fs::write(given.path("store/notes.txt"), "mine").unwrap();
    given.after_a_second().fails("without sessions");
    assert_eq!(files(&given.path("store")), [given.path("store/notes.txt")]);
    fs::remove_dir_all(given.path("store")).unwrap();
    fs::write(given.path("store"), "a file").unwrap();
    given.fails("cannot be opened again");
    fs::remove_file(given.path("store")).unwrap();
    fs::rename(given.path("moved"), given.path("store")).unwrap();
    assert!(given.load().unwrap().is_some());
}

/// As after the file system of the store was unmounted.
#[test]
fn an_empty_directory_of_another_file_system_is_refused() {
    let memory = Path::new("/dev/shm");
    let given = Given::new();
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    if [None, device(given.parent.path())].contains(&device(memory)) {
        return;
    }
    let empty = tempfile::tempdir_in(memory).unwrap();
    given.move_away();
    symlink(empty.path(), given.path("store")).unwrap();
    given.after_a_second().fails("without sessions");
    assert_eq!(files(empty.path()), [] as [PathBuf; 0]);
}

/// A request that began in the directory that was moved also ends there.
#[test]
fn a_lease_ends_in_the_directory_in_which_it_began() {
    let given = Given::new();
    let file = format!("locks/{}", id(1));
    block_on(async {
        let time = Duration::from_secs(60);
        let first = given.store.lock_session(&id(1), time).await.unwrap();
        given.move_away();
        fs::create_dir(given.path("store")).unwrap();
        given.after_a_second();
        let second = given.store.lock_session(&id(1), time).await.unwrap();
        drop(first);
        super::wait_until_gone(&given.path("moved").join(&file));
        assert!(given.path("store").join(&file).exists());
        drop(second);
    });
}

/// Counts the look-ups of the path, which fail with `EACCES` from the second one on.
#[derive(Default)]
struct LookUps(AtomicUsize);

impl Watch for LookUps {
    fn before(&self, call: Call) -> io::Result<usize> {
        match call {
            Call::Stat(".") if self.0.fetch_add(1, Ordering::SeqCst) > 0 => {
                Err(Errno::ACCESS.into())
            }
            _ => Ok(usize::MAX),
        }
    }
}

#[test]
fn the_path_is_looked_up_once_a_second_and_need_not_be_readable() {
    let look_ups = Arc::new(LookUps::default());
    let given = Given::with(Options::default().watch(look_ups.clone()));
    let count = || look_ups.0.load(Ordering::SeqCst);
    for seconds in 0..3 {
        for _ in 0..10 {
            assert!(given.load().unwrap().is_some());
        }
        assert_eq!(count(), seconds);
        given.time.fetch_add(999, Ordering::SeqCst);
        assert!(given.load().unwrap().is_some());
        assert_eq!(count(), seconds);
        given.time.fetch_add(1, Ordering::SeqCst);
        assert!(given.load().unwrap().is_some());
    }
    // A clock that was set back does not make the second longer.
    given.time.fetch_sub(5000, Ordering::SeqCst);
    given.load().unwrap();
    assert_eq!(count(), 4);
}

/// Lets the next call for which `fails` says so fail with `ESTALE`.
struct Stale {
    is_armed: Mutex<bool>,
    fails: fn(Call) -> bool,
    failed: AtomicUsize,
}

impl Watch for Stale {
    fn before(&self, call: Call) -> io::Result<usize> {
        if (self.fails)(call) && std::mem::take(&mut *self.is_armed.lock().unwrap()) {
            self.failed.fetch_add(1, Ordering::SeqCst);
            return Err(Errno::STALE.into());
        }
        Ok(usize::MAX)
    }
}

impl Stale {
    fn new(fails: fn(Call) -> bool) -> Arc<Self> {
        Arc::new(Self {
            is_armed: Mutex::new(false),
            fails,
            failed: AtomicUsize::new(0),
        })
    }

    fn arm(&self) {
        *self.is_armed.lock().unwrap() = true;
    }
}

#[test]
fn files_that_a_network_file_system_lost_are_opened_again() {
    let kinds: [fn(Call) -> bool; 4] = [
        |call| matches!(call, Call::Stat(name) if name != "."),
        |call| matches!(call, Call::Read(_)),
        |call| matches!(call, Call::Lock(_) | Call::Open(_)),
        |call| matches!(call, Call::Open(_) | Call::Create(_) | Call::List(_)),
    ];
    for (number, fails) in kinds.into_iter().enumerate() {
        let stale = Stale::new(fails);
        let given = Given::with(Options::default().watch(stale.clone()));
        let (store, one) = (&given.store, id(1));
        block_on(async {
            stale.arm();
            let loaded = store.load_session(&one).await.unwrap().unwrap();
            assert_eq!(loaded.version, 1);
            stale.arm();
            let saved = store.save_session(&one, &state("2"), 1).await;
            assert_eq!(saved, Ok(2));
            stale.arm();
            assert_eq!(store.touch_session(&one, 5, 2).await, Ok(()));
            stale.arm();
            assert_eq!(store.create_session(&id(2), &state("2")).await, Ok(1));
            stale.arm();
            let page = store.iter_sessions(None, 9).await.unwrap();
            assert_eq!((page.sessions.len(), page.damaged.len()), (2, 0));
            stale.arm();
            let time = Duration::from_secs(60);
            assert!(store.lock_session(&one, time).await.is_ok());
            stale.arm();
            assert_eq!(store.delete_session(&one).await, Ok(true));
        });
        let failed = stale.failed.load(Ordering::SeqCst);
        assert!(failed > 1, "kind {number}: {failed} calls failed");
    }
}

#[test]
fn a_change_that_has_begun_is_not_repeated() {
    for durability in [Durability::Process, Durability::Disk] {
        let stale = Stale::new(|call| matches!(call, Call::Write { .. }));
        let options = Options::default().durability(durability);
        let given = Given::with(options.watch(stale.clone()));
        stale.arm();
        match block_on(given.store.save_session(&id(1), &state("2"), 1)) {
            Err(StoreError::Unavailable(what)) => {
                assert!(
                    what.contains("Stale") && what.contains("not known"),
                    "{what}"
                );
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(given.load().unwrap().unwrap().state, state("1"));
    }
}
