//! The files that a sweep deletes and keeps, and where a sweep continues.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fs2::FileExt as _;
use rustix::io::Errno;
use session3_store::{Finding, Maintenance, SessionState, SessionStore, StoreError, SweepReport};
use session3_store_directory::{Call, DirectoryStore, Durability, Options, Watch};

use tempfile::TempDir;

use super::{Fixture, SLOTS};
use session3_test_support::{block_on, files, id, state};

impl Fixture {
    fn sweep(&self, limit: Option<Duration>) -> Result<SweepReport, StoreError> {
        block_on(self.store.delete_old_sessions(u32::MAX, limit))
    }

    /// Creates a session of Alice that has expired by the fixture's clock.
    fn create_expired(&self, number: u128) {
        let expired = SessionState {
            user: Some("alice".into()),
            ..state("")
        };
        block_on(self.store.create_session(&id(number), &expired)).unwrap();
    }
}

#[test]
fn what_is_no_session_is_left_alone() {
    let fixture = Fixture::new();
    fixture.create_expired(1);
    let root = fixture.directory.path();
    let outside = tempfile::NamedTempFile::new().unwrap();
    let foreign = [
        root.join("notes.txt"),
        root.join("00/notes.txt"),
        root.join("00/0000000000000000000000000000000A"),
        // The name of a record, but in the wrong subdirectory.
        root.join("00/ff000000000000000000000000000000"),
        root.join("users/000"),
    ];
    for file in &foreign {
        fs::write(file, "old").unwrap();
    }
    symlink(outside.path(), fixture.path(&id(2))).unwrap();
    fs::create_dir(fixture.path(&id(3))).unwrap();
    fs::write(fixture.path(&id(4)), "x".repeat(600)).unwrap();
    let report = fixture.sweep(None).unwrap();
    assert_eq!((report.deleted, report.complete), (1, true));
    assert!(foreign.iter().all(|file| file.exists()));
    assert!(fixture.path(&id(2)).is_symlink() && outside.path().exists());
    assert!(fixture.path(&id(3)).is_dir());
    assert!(fixture.path(&id(4)).exists(), "a damaged record is kept");
}

#[test]
fn creates_that_never_finished_go_once_nobody_holds_them() {
    let fixture = Fixture::new();
    fixture.create_expired(1);
    for (number, bytes) in [(2, 0), (3, 100), (4, 512)] {
        fs::write(fixture.path(&id(number)), vec![0; bytes]).unwrap();
    }
    let under_way = File::open(fixture.path(&id(2))).unwrap();
    under_way.lock_exclusive().unwrap();
    fixture.sweep(None).unwrap();
    assert!(fixture.path(&id(2)).exists());
    assert!(!fixture.path(&id(3)).exists() && !fixture.path(&id(4)).exists());
    drop(under_way);
    fixture.sweep(None).unwrap();
    assert!(!fixture.path(&id(2)).exists());
}

#[test]
fn an_old_session_with_a_torn_slot_goes_too() {
    let fixture = Fixture::new();
    fixture.create_expired(1);
    block_on(
        fixture
            .store
            .save_session(&id(1), &SessionState::default(), 1),
    )
    .unwrap();
    fixture.damage(SLOTS[0]);
    assert_eq!(fixture.sweep(None).unwrap().deleted, 1);
    assert_eq!(fixture.load(), Ok(None));
}

#[test]
fn a_session_in_use_is_not_waited_for() {
    let fixture = Fixture::new();
    fixture.create_expired(1);
    let file = fixture.file();
    file.lock_exclusive().unwrap();
    let report = fixture.sweep(None).unwrap();
    assert_eq!((report.deleted, report.remaining), (0, 1));
    drop(file);
    assert_eq!(fixture.sweep(None).unwrap().deleted, 1);
}

#[test]
fn a_second_sweep_at_once_is_refused() {
    let fixture = Fixture::new();
    fixture.sweep(None).unwrap();
    let lock = File::open(fixture.directory.path().join("sweep.lock")).unwrap();
    lock.lock_exclusive().unwrap();
    assert_eq!(fixture.sweep(None), Err(StoreError::Busy));
    drop(lock);
    assert!(fixture.sweep(None).is_ok());
}

/// Each call is made by a newly opened store, as if another process made it.
/// A process that opens a store looks at the file of the sweep's position.
#[test]
fn a_process_that_opens_the_store_refuses_no_sweep() {
    let fixture = Fixture::new();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let options = Options::default().create(true);
                DirectoryStore::open(fixture.directory.path(), options).unwrap();
            }
        });
        let sweeps: Vec<_> = (0..1000).map(|_| fixture.sweep(None)).collect();
        is_over.store(true, Ordering::Relaxed);
        let refused = sweeps.iter().filter(|sweep| sweep.is_err()).count();
        assert_eq!(refused, 0);
    });
}

#[test]
fn a_sweep_that_stops_goes_on_where_it_stopped() {
    let fixture = Fixture::new();
    for number in 0..20 {
        let spread = number << 120 | number;
        fixture.create_expired(spread);
    }
    block_on(fixture.store.create_session(
        &id(5 << 120),
        &SessionState {
            expires: u64::MAX,
            ..state("")
        },
    ))
    .unwrap();
    let (mut deleted, mut remaining, mut calls) = (0, 0, 0);
    loop {
        let store = super::open(fixture.directory.path());
        let sweep = store.delete_old_sessions(u32::MAX, Some(Duration::ZERO));
        let report = block_on(sweep).unwrap();
        (deleted, remaining) = (deleted + report.deleted, remaining + report.remaining);
        calls += 1;
        if report.complete {
            break;
        }
    }
    assert_eq!((deleted, remaining), (20, 1));
    assert!(calls > 20, "{calls}");
    // The next sweep starts from the beginning.
    fixture.create_expired(0);
    assert_eq!(fixture.sweep(None).unwrap().deleted, 1);
}

#[test]
fn a_position_that_is_none_is_the_beginning() {
    for nonsense in ["", "x", "users", "users 99999", "é", &"9".repeat(100)] {
        let fixture = Fixture::new();
        fixture.create_expired(1);
        fs::write(fixture.directory.path().join("sweep.lock"), nonsense).unwrap();
        let mut deleted = 0;
        for _ in 0..2 {
            deleted += fixture.sweep(None).unwrap().deleted;
        }
        assert_eq!(deleted, 1, "{nonsense:?}");
    }
}

/// A sweep also stops at its time limit among leftovers, and among the entries of one user, of
/// which there may be a million.
#[test]
fn a_sweep_stops_wherever_it_is() {
    let fixture = Fixture::new();
    let root = fixture.directory.path();
    fs::create_dir_all(root.join("users/2bd")).unwrap();
    fs::create_dir(root.join("00")).unwrap();
    for number in 0..10 {
        fs::write(fixture.path(&id(number)), "").unwrap();
        fs::write(fixture.entry(&id(100 + number)), "").unwrap();
    }
    let file_count = || files(root).len();
    for before in (1..=20).rev() {
        assert_eq!(file_count(), before);
        let report = fixture.sweep(Some(Duration::ZERO)).unwrap();
        assert_eq!(report.complete, before == 1);
    }
    assert_eq!(file_count(), 0);
}

/// Lets calls on these names fail with `EACCES`, as if the user lacked the permission.
struct Forbidden(&'static [&'static str]);

impl Watch for Forbidden {
    fn before(&self, call: Call) -> io::Result<usize> {
        match call {
            Call::List(name) | Call::Open(name) if self.0.contains(&name) => {
                Err(io::Error::from_raw_os_error(13))
            }
            _ => Ok(usize::MAX),
        }
    }
}

#[test]
fn what_cannot_be_read_stops_no_sweep_and_no_check() {
    const FORBIDDEN: [&str; 4] = [
        "00",
        "users/000",
        "locks/00000000000000000000000000000001",
        "02/02000000000000000000000000000001",
    ];
    let fixture = Fixture::new();
    let root = fixture.directory.path();
    let outside = tempfile::tempdir().unwrap();
    for directory in ["00", "locks", "users", "users/000"] {
        fs::create_dir(root.join(directory)).unwrap();
    }
    symlink(outside.path(), root.join("01")).unwrap();
    fs::create_dir(root.join(format!("locks/{}", id(0)))).unwrap();
    for number in [1, 2] {
        fs::write(root.join(format!("locks/{}", id(number))), "").unwrap();
        fixture.create_expired(2 << 120 | number);
    }
    fixture.create_expired(3 << 120);
    fs::create_dir(fixture.entry(&id(5))).unwrap();
    let options = Options::default().watch(Arc::new(Forbidden(&FORBIDDEN)));
    let store = DirectoryStore::open(root, options).unwrap();

    let mut findings = Vec::new();
    let mut found = |finding| findings.push(finding);
    let check = store.check(true, &mut found);
    assert_eq!(block_on(check).unwrap().damaged, 0);
    let name = format!(
        "users/2bd/{}",
        fixture.entry(&id(5)).file_name().unwrap().to_str().unwrap()
    );
    for unreadable in ["00", "users/000", FORBIDDEN[3], &name] {
        let is_it = |finding: &Finding| matches!(finding, Finding::Unreadable(name, _) if name == unreadable);
        assert_eq!(
            findings.iter().filter(|finding| is_it(finding)).count(),
            1,
            "{unreadable}: {findings:?}"
        );
    }
    assert!(findings.contains(&Finding::Foreign("01".into())));

    let report = block_on(store.delete_old_sessions(u32::MAX, None)).unwrap();
    assert_eq!(
        (report.deleted, report.remaining, report.complete),
        (2, 1, true)
    );
    let locks = [0, 1, 2].map(|number| root.join(format!("locks/{}", id(number))).exists());
    assert_eq!(locks, [true, true, false]);

    // Without this subdirectory, a walk would leave sessions out, so it fails.
    match block_on(store.iter_sessions(None, 9)) {
        Err(StoreError::Unavailable(what)) => assert!(what.contains(": 00: "), "{what}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_whose_lock_is_not_to_be_had_is_not_damaged() {
    let fixture = Fixture::with_session(1);
    fixture.damage(SLOTS[1]);
    let writer = fixture.file();
    writer.lock_exclusive().unwrap();
    let page = block_on(fixture.store.iter_sessions(None, 9));
    assert_eq!(page, Err(StoreError::Busy));
    let mut findings = Vec::new();
    let mut found = |finding| findings.push(finding);
    let check = fixture.store.check(false, &mut found);
    assert_eq!(block_on(check).unwrap().damaged, 0);
    assert!(
        matches!(&findings[..], [Finding::Unreadable(..)]),
        "{findings:?}"
    );
}

/// While it is armed, lets the calls that it chooses fail with `ENOSPC`.
struct Full {
    is_armed: AtomicBool,
    fails: fn(Call) -> bool,
}

impl Full {
    /// Opens a store in a new directory that is full for the calls which `fails` chooses, once
    /// the disk is armed.
    fn store(
        durability: Durability,
        fails: fn(Call) -> bool,
    ) -> (TempDir, DirectoryStore, Arc<Self>) {
        let directory = tempfile::tempdir().unwrap();
        let is_armed = AtomicBool::new(false);
        let full = Arc::new(Self { is_armed, fails });
        let options = Options::default().create(true).durability(durability);
        let options = options.watch(full.clone());
        let store = DirectoryStore::open(directory.path(), options).unwrap();
        (directory, store, full)
    }

    fn arm(&self) {
        self.is_armed.store(true, Ordering::SeqCst);
    }
}

impl Watch for Full {
    fn before(&self, call: Call) -> io::Result<usize> {
        match self.is_armed.load(Ordering::SeqCst) && (self.fails)(call) {
            true => Err(Errno::NOSPC.into()),
            false => Ok(usize::MAX),
        }
    }
}

#[test]
fn a_store_without_free_inodes_can_be_swept_for_the_first_time() {
    let fails = |call: Call| matches!(call, Call::Create(_) | Call::MakeDirectory(_));
    let (_directory, store, full) = Full::store(Durability::Process, fails);
    block_on(async {
        store.create_session(&id(1), &state("")).await.unwrap();
        full.arm();
        let report = store.delete_old_sessions(u32::MAX, None).await.unwrap();
        assert_eq!((report.deleted, report.complete), (1, true));
    });
}

#[test]
fn setup_and_create_make_the_file_of_the_sweep_and_other_stores_work_without_it() {
    let fixture = Fixture::new();
    let file = fixture.directory.path().join("sweep.lock");
    assert!(
        !file.exists(),
        "the store opens a directory that it did not create"
    );
    fixture.create_expired(1);
    assert_eq!(fixture.sweep(None).unwrap().deleted, 1);
    fs::remove_file(&file).unwrap();
    let root = fixture.directory.path();
    DirectoryStore::open(root, Options::default().create(true).read_only(true)).unwrap();
    assert!(!file.exists(), "a store that is only read is not changed");
    DirectoryStore::open(root, Options::default().create(true)).unwrap();
    assert!(fs::metadata(&file).unwrap().len() > 0);
    fs::remove_file(&file).unwrap();
    block_on(fixture.store.setup()).unwrap();
    assert!(fs::metadata(&file).unwrap().len() > 0);
}

#[test]
fn a_sweep_that_cannot_note_its_position_reports_what_it_deleted() {
    let fails = |call: Call| {
        matches!(
            call,
            Call::Write {
                name: "sweep.lock",
                ..
            }
        )
    };
    let (_directory, store, full) = Full::store(Durability::Process, fails);
    block_on(async {
        for number in 1..=3 {
            store.create_session(&id(number), &state("")).await.unwrap();
        }
        let kept = SessionState {
            expires: u64::MAX,
            ..state("")
        };
        store.create_session(&id(4), &kept).await.unwrap();
        full.arm();
        for _ in 1..=3 {
            let swept = store
                .delete_old_sessions(u32::MAX, Some(Duration::ZERO))
                .await;
            let report = swept.unwrap();
            assert_eq!((report.deleted, report.complete), (1, false));
        }
        // Without progress, a caller that repeats the sweep has to learn that it is in vain.
        match store
            .delete_old_sessions(u32::MAX, Some(Duration::ZERO))
            .await
        {
            Err(StoreError::Unavailable(what)) => assert!(what.contains("No space"), "{what}"),
            other => panic!("{other:?}"),
        }
        let report = store.delete_old_sessions(u32::MAX, None).await.unwrap();
        assert_eq!((report.remaining, report.complete), (1, true));
    });
}

#[test]
fn a_sweep_whose_flush_fails_says_how_many_sessions_it_deleted() {
    let fails = |call: Call| matches!(call, Call::FlushDirectory("00"));
    let (_directory, store, full) = Full::store(Durability::Disk, fails);
    block_on(async {
        for number in 1..=3 {
            store.create_session(&id(number), &state("")).await.unwrap();
        }
        full.arm();
        match store.delete_old_sessions(u32::MAX, None).await {
            Err(StoreError::Unavailable(what)) => {
                assert!(
                    what.contains("No space") && what.contains("deleted 3 sessions"),
                    "{what}"
                );
            }
            other => panic!("{other:?}"),
        }
    });
}
