//! The file descriptor cache and the flushes, observed through the system calls.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use session3_store::{SessionState, SessionStore, StoreError};
use session3_store_directory::{Call, DirectoryStore, Durability, Options, Watch};

use super::Fixture;
use session3_test_support::{block_on, id, record_in, state};

/// Records the name of every system call.
#[derive(Default)]
struct Calls(Mutex<Vec<&'static str>>);

impl Watch for Calls {
    fn before(&self, call: Call) -> io::Result<usize> {
        self.0.lock().unwrap().push(match call {
            Call::Open(_) => "open",
            Call::Create(_) => "create",
            Call::Stat(_) => "stat",
            Call::Lock(_) => "lock",
            Call::Read(_) => "read",
            Call::ReadInMemory(_) => "read in memory",
            Call::Write { .. } => "write",
            Call::Resize(_) => "resize",
            Call::Flush(_) => "flush",
            Call::Unlink(_) => "unlink",
            Call::MakeDirectory(_) => "mkdir",
            Call::List(_) => "list",
            Call::FlushDirectory(_) => "flush directory",
        });
        Ok(usize::MAX)
    }
}

/// Opens a store whose system calls are recorded.
fn watched(directory: &Path, options: Options) -> (DirectoryStore, Arc<Calls>) {
    let calls = Arc::new(Calls::default());
    let store = DirectoryStore::open(directory, options.watch(calls.clone())).unwrap();
    (store, calls)
}

impl Calls {
    /// Returns the calls since the last time.
    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Returns the number of files in the subdirectories of a directory that this process has open.
fn open_files(directory: &Path) -> usize {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    let links = descriptors.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    let is_record = |link: &std::path::PathBuf| {
        link.starts_with(directory) && link.parent() != directory.parent() && link != directory
    };
    links.filter(is_record).count()
}

#[test]
fn a_session_in_use_costs_no_opening() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::default().clock(|| 1_700_000_000_000);
    let (store, calls) = watched(directory.path(), options.clone());
    block_on(async {
        store.create_session(&id(1), &state("a")).await.unwrap();
        calls.take();
        store.load_session(&id(1)).await.unwrap();
        assert_eq!(calls.take(), ["stat", "read"]);
        store.load_session(&id(1)).await.unwrap();
        assert_eq!(calls.take(), ["read in memory"]);
        store.save_session(&id(1), &state("b"), 1).await.unwrap();
        assert_eq!(calls.take(), ["lock", "stat", "read", "write"]);
        let (cold, calls) = watched(directory.path(), options);
        // Opening looks whether the directory is a store.
        calls.take();
        cold.load_session(&id(1)).await.unwrap();
        assert_eq!(calls.take(), ["open", "read"]);
        // The first time, the store also asks which file the open one is.
        cold.load_session(&id(1)).await.unwrap();
        assert_eq!(calls.take(), ["stat", "stat", "read"]);
    });
}

/// A load opens the file with `O_NOATIME`: otherwise the system would write the time of the first
/// read after each write.
#[test]
fn reading_a_session_writes_nothing() {
    let fixture = Fixture::with_session(0);
    let accessed = || {
        fs::metadata(fixture.path(&id(1)))
            .unwrap()
            .accessed()
            .unwrap()
    };
    let before = accessed();
    thread::sleep(Duration::from_millis(20));
    fixture.save("new", 1).unwrap();
    fixture.load().unwrap().unwrap();
    let other = super::open(fixture.directory.path());
    block_on(other.load_session(&id(1))).unwrap().unwrap();
    assert_eq!(accessed(), before);
    // Without that flag, the file system does record the time of a read.
    fs::read(fixture.path(&id(1))).unwrap();
    assert_ne!(accessed(), before);
}

#[test]
fn no_more_files_are_kept_open_than_allowed() {
    let directory = tempfile::tempdir().unwrap();
    for most in [0, 10] {
        let options = Options::default().max_kept_files(most);
        let store = DirectoryStore::open(directory.path(), options).unwrap();
        block_on(async {
            for number in 0..100 {
                let _ = store.create_session(&id(number), &state("a")).await;
                store.load_session(&id(number)).await.unwrap();
            }
        });
        let open = open_files(directory.path());
        assert!(open <= most, "{open} of {most}");
        assert_eq!(open > 0, most > 0);
        drop(store);
        assert_eq!(open_files(directory.path()), 0);
    }
}

#[test]
fn a_session_that_a_sweep_deletes_is_kept_open_no_longer() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(directory.path(), Options::default()).unwrap();
    block_on(async {
        store.create_session(&id(1), &state("a")).await.unwrap();
        assert_eq!(open_files(directory.path()), 1);
        let report = store.delete_old_sessions(u32::MAX, None).await.unwrap();
        assert_eq!(report.deleted, 1);
        assert_eq!(open_files(directory.path()), 0);
    });
}

/// Lets calls that need space fail with this error while this process has a removed file of
/// the directory open, as if these files had all of the disk.
struct Full {
    directory: PathBuf,
    errno: Errno,
}

impl Watch for Full {
    fn before(&self, call: Call) -> io::Result<usize> {
        let needs_space = matches!(
            call,
            Call::Write { .. } | Call::Create(_) | Call::MakeDirectory(_)
        );
        match needs_space && removed_files(&self.directory) > 0 {
            true => Err(self.errno.into()),
            false => Ok(usize::MAX),
        }
    }
}

/// Returns the number of removed files of a directory that this process has open.
fn removed_files(directory: &Path) -> usize {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    let links = descriptors.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    let is_removed = |link: &PathBuf| {
        link.starts_with(directory) && link.to_string_lossy().ends_with(" (deleted)")
    };
    links.filter(is_removed).count()
}

/// Opens a store whose process keeps a hundred sessions open that another one has deleted, and
/// one that exists.
fn full(errno: Errno) -> (Fixture, DirectoryStore) {
    let fixture = Fixture::with_session(0);
    let directory = fixture.directory.path().to_owned();
    let options = Options::default().watch(Arc::new(Full { directory, errno }));
    let server = DirectoryStore::open(fixture.directory.path(), options).unwrap();
    let alive = SessionState {
        expires: u64::MAX,
        ..state("alive")
    };
    block_on(async {
        server.save_session(&id(1), &alive, 1).await.unwrap();
        for number in 2..=101 {
            let state = state("deleted");
            server.create_session(&id(number), &state).await.unwrap();
        }
        for number in 2..=101 {
            let deleted = fixture.store.delete_session(&id(number)).await;
            assert_eq!(deleted, Ok(true));
        }
    });
    assert_eq!(removed_files(fixture.directory.path()), 100);
    (fixture, server)
}

#[test]
fn on_a_full_disk_removed_files_are_closed_and_the_call_is_repeated() {
    for errno in [Errno::NOSPC, Errno::DQUOT] {
        let (_fixture, server) = full(errno);
        let saved = block_on(server.save_session(&id(1), &state("new"), 2));
        assert_eq!(saved, Ok(3));
        // The second ID has a subdirectory that does not exist.
        for new in [200, u128::MAX] {
            let (_fixture, server) = full(errno);
            let created = block_on(server.create_session(&id(new), &state("new")));
            assert_eq!(created, Ok(1), "{new:x}");
        }
    }
}

#[test]
fn a_sweep_keeps_no_removed_files_open() {
    let (fixture, server) = full(Errno::NOSPC);
    block_on(server.delete_old_sessions(u32::MAX, None)).unwrap();
    assert_eq!(removed_files(fixture.directory.path()), 0);
}

#[test]
fn what_another_handle_deleted_is_gone_though_its_file_is_kept_open() {
    let fixture = Fixture::with_session(0);
    let other = super::open(fixture.directory.path());
    assert_eq!(block_on(other.delete_session(&id(1))), Ok(true));
    assert_eq!(fixture.load(), Ok(None));
    // The session is created again, in a new file.
    block_on(other.create_session(&id(1), &state("again"))).unwrap();
    assert_eq!(fixture.data(), "again");
}

#[test]
fn a_file_that_was_removed_or_replaced_by_hand_is_not_the_one_kept_open() {
    let fixture = Fixture::with_session(0);
    let path = fixture.path(&id(1));
    let backup = fixture.directory.path().join("backup");
    fs::copy(&path, &backup).unwrap();
    fixture.save("new", 1).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(fixture.load(), Ok(None));
    fs::rename(&backup, &path).unwrap();
    assert_eq!(fixture.data(), "1");
    // With a second link, the number of links does not show the delete, but the tombstone does.
    let link = fixture.directory.path().join("link");
    fs::hard_link(&path, &link).unwrap();
    let other = super::open(fixture.directory.path());
    assert_eq!(block_on(other.delete_session(&id(1))), Ok(true));
    block_on(other.create_session(&id(1), &state("again"))).unwrap();
    assert_eq!(fixture.data(), "again");
}

#[test]
fn a_file_that_was_removed_by_hand_is_read_for_a_second_and_never_changed() {
    let directory = tempfile::tempdir().unwrap();
    let time = Arc::new(AtomicU64::new(1_700_000_000_000));
    let clock = time.clone();
    let options = Options::default().clock(move || clock.load(Ordering::Relaxed));
    let store = DirectoryStore::open(directory.path(), options).unwrap();
    block_on(async {
        store.create_session(&id(1), &state("a")).await.unwrap();
        store.load_session(&id(1)).await.unwrap().unwrap();
        fs::remove_file(record_in(directory.path(), &id(1))).unwrap();
        time.fetch_add(999, Ordering::Relaxed);
        assert!(store.load_session(&id(1)).await.unwrap().is_some());
        time.fetch_add(1, Ordering::Relaxed);
        assert_eq!(store.load_session(&id(1)).await, Ok(None));

        store.create_session(&id(1), &state("a")).await.unwrap();
        store.load_session(&id(1)).await.unwrap().unwrap();
        fs::remove_file(record_in(directory.path(), &id(1))).unwrap();
        let saved = store.save_session(&id(1), &state("b"), 1).await;
        assert_eq!(saved, Err(StoreError::Absent));
        assert_eq!(store.load_session(&id(1)).await, Ok(None));

        // The second does not become longer if the clock is set back.
        store.create_session(&id(1), &state("a")).await.unwrap();
        store.load_session(&id(1)).await.unwrap().unwrap();
        fs::remove_file(record_in(directory.path(), &id(1))).unwrap();
        time.fetch_sub(1, Ordering::Relaxed);
        assert_eq!(store.load_session(&id(1)).await, Ok(None));
    });
}

/// What `cp -al STORE BACKUP` and a removed file leave: the file still has a link.
#[test]
fn a_session_whose_file_is_only_in_a_backup_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let time = Arc::new(AtomicU64::new(1_700_000_000_000));
    let clock = time.clone();
    let options = Options::default().clock(move || clock.load(Ordering::Relaxed));
    let server = DirectoryStore::open(directory.path(), options).unwrap();
    let backup = directory.path().join("backup");
    block_on(async {
        server.create_session(&id(1), &state("a")).await.unwrap();
        server.load_session(&id(1)).await.unwrap().unwrap();
        let path = record_in(directory.path(), &id(1));
        fs::hard_link(&path, &backup).unwrap();
        fs::remove_file(&path).unwrap();
        let bytes = fs::read(&backup).unwrap();
        let operator = super::open(directory.path());
        assert_eq!(operator.delete_session(&id(1)).await, Ok(false));
        time.fetch_add(1000, Ordering::Relaxed);
        assert_eq!(server.load_session(&id(1)).await, Ok(None));

        fs::hard_link(&backup, &path).unwrap();
        server.load_session(&id(1)).await.unwrap().unwrap();
        fs::remove_file(&path).unwrap();
        let saved = server.save_session(&id(1), &state("b"), 1).await;
        assert_eq!(saved, Err(StoreError::Absent));
        let touched = server.touch_session(&id(1), 5, 1).await;
        assert_eq!(touched, Err(StoreError::Absent));
        assert_eq!(server.delete_session(&id(1)).await, Ok(false));
        assert!(fs::read(&backup).unwrap() == bytes, "the backup changed");
    });
}

/// `rsync -aI` and other programs write a new file and rename it.
#[test]
fn servers_agree_about_a_file_that_was_replaced_while_they_had_it_open() {
    let fixture = Fixture::with_session(0);
    let other = super::open(fixture.directory.path());
    let path = fixture.path(&id(1));
    let (copy, backup) = (path.with_extension("copy"), path.with_extension("backup"));
    fs::copy(&path, &copy).unwrap();
    fs::hard_link(&path, &backup).unwrap();
    let before = fs::read(&backup).unwrap();
    block_on(other.load_session(&id(1))).unwrap().unwrap();
    fs::rename(&copy, &path).unwrap();
    assert_eq!(fixture.save("2", 1), Ok(2));
    assert_eq!(block_on(other.save_session(&id(1), &state("3"), 2)), Ok(3));
    assert_eq!(fixture.data(), "3");
    assert!(fs::read(&backup).unwrap() == before, "the backup changed");
}

/// Puts a copy in the place of a session's file once, before it is locked.
struct Replacer {
    directory: PathBuf,
    is_done: AtomicBool,
}

impl Watch for Replacer {
    fn before(&self, call: Call) -> io::Result<usize> {
        let path = record_in(&self.directory, &id(1));
        if let Call::Lock(name) = call
            && path.ends_with(name)
            && !self.is_done.swap(true, Ordering::SeqCst)
        {
            let copy = path.with_extension("copy");
            fs::copy(&path, &copy)?;
            fs::hard_link(&path, path.with_extension("backup"))?;
            fs::rename(&copy, &path)?;
        }
        Ok(usize::MAX)
    }
}

#[test]
fn a_file_that_is_replaced_before_it_is_locked_is_neither_changed_nor_deleted() {
    for is_sweep in [false, true] {
        let fixture = Fixture::with_session(0);
        let path = fixture.path(&id(1));
        let replacer = Replacer {
            directory: fixture.directory.path().to_owned(),
            is_done: AtomicBool::new(false),
        };
        let options = Options::default().watch(Arc::new(replacer));
        let store = DirectoryStore::open(fixture.directory.path(), options).unwrap();
        let before = fs::read(&path).unwrap();
        block_on(async {
            store.load_session(&id(1)).await.unwrap();
            if is_sweep {
                let report = store.delete_old_sessions(u32::MAX, None).await.unwrap();
                assert_eq!((report.deleted, report.remaining), (0, 1));
            } else {
                let saved = store.save_session(&id(1), &state("2"), 1).await;
                assert_eq!(saved, Ok(2));
            }
        });
        assert_eq!(fixture.data(), if is_sweep { "1" } else { "2" });
        let backup = fs::read(path.with_extension("backup")).unwrap();
        assert!(backup == before, "the file without the name changed");
    }
}

#[test]
fn process_flushes_nothing_and_disk_before_it_answers() {
    let users = SessionState {
        user: Some("alice".into()),
        ..state("a")
    };
    for durability in [Durability::Process, Durability::Disk] {
        let directory = tempfile::tempdir().unwrap();
        let (store, calls) = watched(directory.path(), Options::default().durability(durability));
        let check = |last: &[&str]| {
            let calls = calls.take();
            let flushes = calls
                .iter()
                .filter(|call| call.starts_with("flush"))
                .count();
            match durability {
                Durability::Process => assert_eq!(flushes, 0, "{calls:?}"),
                Durability::Disk => assert!(calls.ends_with(last), "{calls:?}"),
            }
        };
        block_on(async {
            store.create_session(&id(1), &state("a")).await.unwrap();
            check(&[
                "flush",
                "write",
                "flush",
                "flush directory",
                "flush directory",
                "write",
            ]);
            store.save_session(&id(1), &state("b"), 1).await.unwrap();
            check(&["read", "write", "flush", "write"]);
            store.save_session(&id(1), &users, 2).await.unwrap();
            // The entry of the index is made durable before the record.
            check(&["flush directory", "write", "flush", "write"]);
            store.touch_session(&id(1), 5, 3).await.unwrap();
            check(&["read", "write", "flush"]);
            store.delete_session(&id(1)).await.unwrap();
            check(&["write", "flush", "unlink", "unlink", "flush directory"]);
        });
    }
}

/// With `Disk`, a save makes the slot durable that a store with `Process` wrote, before it
/// overwrites the other one.
#[test]
fn disk_trusts_only_what_was_flushed() {
    let directory = tempfile::tempdir().unwrap();
    let process = DirectoryStore::open(directory.path(), Options::default()).unwrap();
    let options = Options::default().durability(Durability::Disk);
    let (disk, calls) = watched(directory.path(), options);
    block_on(async {
        process.create_session(&id(1), &state("a")).await.unwrap();
        disk.save_session(&id(1), &state("b"), 1).await.unwrap();
        let foreign = ["flush directory", "write", "write", "flush", "write"];
        assert!(calls.take().ends_with(&foreign));
        disk.save_session(&id(1), &state("c"), 2).await.unwrap();
        assert!(calls.take().ends_with(&["read", "write", "flush", "write"]));
        process.save_session(&id(1), &state("d"), 3).await.unwrap();
        disk.save_session(&id(1), &state("e"), 4).await.unwrap();
        assert!(calls.take().ends_with(&foreign));
    });
}

/// A delete that was interrupted, or whose flush failed, was not acknowledged and may not be
/// durable. A second delete makes the absence of the session durable before it returns.
#[test]
fn disk_makes_sure_that_what_is_gone_already_stays_so() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::default().durability(Durability::Disk);
    let (store, calls) = watched(directory.path(), options);
    block_on(async {
        store.create_session(&id(1), &state("a")).await.unwrap();
        let path = directory.path().join(format!("00/{}", id(1)));
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.write_all_at(&[255; 8], super::TOMBSTONE).unwrap();
        calls.take();
        assert_eq!(store.delete_session(&id(1)).await, Ok(false));
        let end = ["write", "flush", "unlink", "flush directory"];
        assert!(calls.take().ends_with(&end));
        assert_eq!(store.delete_session(&id(1)).await, Ok(false));
        assert!(calls.take().ends_with(&["flush directory"]));
        assert_eq!(store.delete_session(&id(2 << 120)).await, Ok(false));
    });
}

/// Makes every flush wait while the gate is closed.
#[derive(Default)]
struct Gate {
    is_closed: AtomicBool,
}

impl Watch for Gate {
    fn before(&self, call: Call) -> io::Result<usize> {
        while matches!(call, Call::Flush(_)) && self.is_closed.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        Ok(usize::MAX)
    }
}

/// The future of a save is dropped after the slot was written and before it is durable.
#[test]
fn a_save_that_is_dropped_while_it_is_flushed_keeps_its_lock_to_the_end() {
    let fixture = Fixture::with_session(0);
    let gate = Arc::new(Gate::default());
    let options = Options::default().durability(Durability::Disk);
    let store = DirectoryStore::open(fixture.directory.path(), options.watch(gate.clone()));
    let store = store.unwrap();
    block_on(async {
        let (id, dropped, other) = (id(1), state("dropped"), state("other"));
        store.touch_session(&id, 9, 1).await.unwrap();
        gate.is_closed.store(true, Ordering::SeqCst);
        let save = store.save_session(&id, &dropped, 1);
        let limit = Duration::from_millis(50);
        tokio::time::timeout(limit, save).await.unwrap_err();
        let saved = fixture.store.save_session(&id, &other, 1).await;
        assert_eq!(saved, Err(StoreError::Busy));
        gate.is_closed.store(false, Ordering::SeqCst);
    });
    // The runtime ends only after the flush, which runs on one of its threads.
    assert_eq!(fixture.data(), "dropped");
    assert_eq!(fixture.save("next", 2), Ok(3));
}
