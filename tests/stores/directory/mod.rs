//! The rules of the directory store, down to the bytes that the crate `session3-record`
//! documents.

mod full;
mod index;
mod kept;
mod locks;
mod owners;
mod place;
mod stalls;
mod sweep;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fs2::FileExt as _;
use session3_store::{SessionId, SessionState, SessionStore, StoreError, StoredSession};
use session3_store_directory::{DirectoryStore, OpenError, Options};
use tempfile::TempDir;

use session3_test_support::{block_on, id, record_in, state};

// The offsets of the fields, by the documentation of `session3-record`.
const TOMBSTONE: u64 = 32;
const FIRST_PLACE: u64 = 40;
const CELLS: [u64; 2] = [88, 128];
const SLOTS: [u64; 2] = [512, 1024];
const SLOT_HEAD: u64 = 40;

/// Waits until a file is gone, which another thread removes.
fn wait_until_gone(file: &Path) {
    let start = Instant::now();
    while file.exists() {
        assert!(start.elapsed() < Duration::from_secs(30), "it stays");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A directory with a store in it.
struct Fixture {
    directory: TempDir,
    store: DirectoryStore,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        Self { directory, store }
    }

    /// Creates a store with a session that was saved `saves` times. Its data are the number of
    /// its version, as text.
    fn with_session(saves: u64) -> Self {
        let fixture = Self::new();
        fixture.create("1").unwrap();
        for version in 1..=saves {
            fixture.save(&(version + 1).to_string(), version).unwrap();
        }
        fixture
    }

    fn path(&self, id: &SessionId) -> PathBuf {
        record_in(self.directory.path(), id)
    }

    fn file(&self) -> File {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        options.open(self.path(&id(1))).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.path(&id(1))).unwrap()
    }

    /// Inverts the bits of one byte of the record.
    fn damage(&self, offset: u64) {
        let mut byte = [0];
        self.file().read_exact_at(&mut byte, offset).unwrap();
        self.write(&[!byte[0]], offset);
    }

    fn write(&self, bytes: &[u8], offset: u64) {
        self.file().write_all_at(bytes, offset).unwrap();
    }

    fn create(&self, data: &str) -> Result<u64, StoreError> {
        block_on(self.store.create_session(&id(1), &state(data)))
    }

    fn load(&self) -> Result<Option<StoredSession>, StoreError> {
        block_on(self.store.load_session(&id(1)))
    }

    fn data(&self) -> String {
        String::from_utf8(self.load().unwrap().unwrap().state.data).unwrap()
    }

    fn save(&self, data: &str, expected: u64) -> Result<u64, StoreError> {
        block_on(self.store.save_session(&id(1), &state(data), expected))
    }

    fn touch(&self, expires: u64) -> Result<(), StoreError> {
        let version = self.load()?.unwrap().version;
        block_on(self.store.touch_session(&id(1), expires, version))
    }

    fn delete(&self) -> Result<bool, StoreError> {
        block_on(self.store.delete_session(&id(1)))
    }

    fn expires(&self) -> u64 {
        self.load().unwrap().unwrap().state.expires
    }
}

fn open(path: &Path) -> DirectoryStore {
    let options = Options::default()
        .clock(|| 1_700_000_000_000)
        .lock_timeout(Duration::from_millis(100));
    DirectoryStore::open(path, options).unwrap()
}

fn corrupt<T>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Corrupt(how)) => how,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("the damaged record was accepted"),
    }
}

#[test]
fn files_are_named_after_their_session_and_nobody_elses_business() {
    let fixture = Fixture::with_session(0);
    let path = fixture
        .directory
        .path()
        .join("00/00000000000000000000000000000001");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);

    let made = fixture.directory.path().join("a/b");
    DirectoryStore::open(&made, Options::default().create(true)).unwrap();
    assert_eq!(mode(&made), 0o700);
}

/// Stored sessions outlive releases. Every release must read these bytes, and must write the same
/// bytes as long as the format is 1.
#[test]
fn the_bytes_of_format_1_are_the_golden_ones() {
    let golden = include_bytes!("golden/record-1.bin");
    let fixture = Fixture::new();
    let user = |user: Option<&str>, data: &[u8]| SessionState {
        user: user.map(str::to_owned),
        expires: 1_700_000_001_000,
        data: data.to_vec(),
    };
    let (first, second) = (user(None, b"first"), user(Some("alice"), b"second"));
    block_on(async {
        let store = &fixture.store;
        store.create_session(&id(1), &first).await.unwrap();
        store.save_session(&id(1), &second, 1).await.unwrap();
        store
            .touch_session(&id(1), 1_700_000_002_000, 2)
            .await
            .unwrap();
    });
    let bytes = fixture.bytes();
    let (written, rest) = bytes.split_at(golden.len());
    assert!(written == golden, "{written:02x?}");
    assert!(
        rest.iter().all(|byte| *byte == 0),
        "the rest of the file has zeros only"
    );

    fs::write(fixture.path(&id(1)), golden).unwrap();
    let session = fixture.load().unwrap().unwrap();
    assert_eq!((session.version, session.modified), (2, 1_700_000_000_000));
    assert_eq!(session.state.expires, 1_700_000_002_000);
    assert_eq!(session.state.user.as_deref(), Some("alice"));
    assert_eq!(session.state.data, b"second");
}

#[test]
fn a_save_goes_into_the_older_slot_of_the_same_file() {
    let fixture = Fixture::with_session(1);
    let inode = fixture.file().metadata().unwrap().ino();
    let slot = |number: usize| fixture.bytes()[SLOTS[number] as usize..][..41].to_vec();
    for version in 2..8 {
        let before = [slot(0), slot(1)];
        fixture.save(&version.to_string(), version).unwrap();
        let newer = usize::from(version % 2 == 1);
        assert_ne!(slot(newer), before[newer]);
        assert_eq!(
            slot(1 - newer),
            before[1 - newer],
            "the slot with the latest version does not change"
        );
    }
    assert_eq!(fixture.file().metadata().unwrap().ino(), inode);
}

#[test]
fn every_byte_of_a_slot_is_covered_by_its_checksum() {
    for offset in 0..SLOT_HEAD + 1 {
        let fixture = Fixture::with_session(1);
        fixture.damage(SLOTS[1] + offset);
        assert_eq!(fixture.data(), "1", "byte {offset}");
        fixture.damage(SLOTS[0] + offset);
        corrupt(fixture.load());
    }
}

#[test]
fn a_slot_of_another_session_does_not_pass() {
    let fixture = Fixture::with_session(1);
    block_on(async {
        let other = state("X");
        fixture.store.create_session(&id(2), &other).await.unwrap();
        fixture.store.save_session(&id(2), &other, 1).await.unwrap();
        fixture.store.save_session(&id(2), &other, 2).await.unwrap();
    });
    let other = fs::read(fixture.path(&id(2))).unwrap();
    fixture.write(&other[SLOTS[0] as usize..], SLOTS[0]);
    corrupt(fixture.load());
}

#[test]
fn a_torn_save_leaves_the_one_before_and_the_next_save_mends_it() {
    let fixture = Fixture::with_session(1);
    fixture.damage(SLOTS[1] + SLOT_HEAD);
    assert_eq!(fixture.data(), "1");
    assert_eq!(fixture.save("3", 2), Err(StoreError::Conflict(1)));
    assert_eq!(fixture.save("3", 1), Ok(2));
    assert_eq!(fixture.data(), "3");
    fixture.damage(SLOTS[1] + SLOT_HEAD);
    assert_eq!(fixture.data(), "1", "the save overwrote the torn slot");
}

/// While another process holds the lock, an invalid latest slot may be a save in progress, and
/// the older slot may be older than an acknowledged save.
#[test]
fn without_the_lock_no_load_falls_back_to_the_older_slot() {
    let fixture = Fixture::with_session(1);
    let writer = fixture.file();
    writer.lock_exclusive().unwrap();
    assert_eq!(
        fixture.data(),
        "2",
        "a record that is whole is read without the lock"
    );
    fixture.damage(SLOTS[1] + SLOT_HEAD);
    assert_eq!(fixture.load(), Err(StoreError::Busy));
    writer.unlock().unwrap();
    assert_eq!(fixture.data(), "1");
}

#[test]
fn without_the_lock_nothing_is_called_corrupt() {
    let fixture = Fixture::with_session(1);
    let writer = fixture.file();
    writer.lock_exclusive().unwrap();
    for damage in [0, 8, 16, FIRST_PLACE, CELLS[0], SLOTS[0], SLOTS[1]] {
        fixture.damage(damage);
        assert_eq!(fixture.load(), Err(StoreError::Busy), "byte {damage}");
        fixture.damage(damage);
    }
    fixture.write(&[1], CELLS[1]);
    assert_eq!(fixture.load(), Err(StoreError::Busy), "a torn cell");
}

#[test]
fn a_state_that_outgrows_its_slot_gets_a_place_at_the_end_of_the_file() {
    let fixture = Fixture::with_session(0);
    let inode = fixture.file().metadata().unwrap().ino();
    for version in 1..12 {
        let data = "x".repeat(500 << version);
        let before = fixture.bytes();
        fixture.save(&data, version).unwrap();
        assert_eq!(fixture.data(), data);
        let after = fixture.bytes();
        assert!(
            after[512..before.len()] == before[512..],
            "a growing save writes only beyond the end of the file"
        );
    }
    assert_eq!(fixture.file().metadata().unwrap().ino(), inode);
    let size = fixture.bytes().len();
    for version in 12..40 {
        let data = "x".repeat(if version % 2 == 0 { 1_000_000 } else { 10 });
        fixture.save(&data, version).unwrap();
        assert_eq!(fixture.data(), data);
    }
    assert!(
        fixture.bytes().len() < 2 * size,
        "later saves reuse the places"
    );
}

#[test]
fn growth_that_was_killed_before_the_header_leaves_the_session_as_it_was() {
    let fixture = Fixture::with_session(1);
    let header = fixture.bytes()[..512].to_vec();
    fixture.save(&"x".repeat(5000), 2).unwrap();
    fixture.write(&header, 0);
    assert_eq!(fixture.data(), "2");
    let large = "y".repeat(9000);
    assert_eq!(fixture.save(&large, 2), Ok(3));
    assert_eq!(fixture.data(), large);
}

#[test]
fn a_file_without_a_whole_header_is_a_create_that_never_finished() {
    let whole = Fixture::with_session(0).bytes();
    let unfinished = [
        vec![],
        vec![0; 7],
        vec![0; 512],
        [vec![0; 32], vec![255; 3]].concat(),
        [vec![0; 32], vec![255; 8], vec![0; 60]].concat(),
        whole[..5].to_vec(),
        whole[..33].to_vec(),
        vec![0; 5000],
        [vec![0; 512], whole[512..].to_vec()].concat(),
        whole[..511].to_vec(),
    ];
    for bytes in unfinished {
        let fixture = Fixture::with_session(0);
        let length = bytes.len();
        fs::write(fixture.path(&id(1)), bytes).unwrap();
        assert_eq!(fixture.load(), Ok(None), "{length}");
        assert_eq!(fixture.save("x", 1), Err(StoreError::Absent));
        assert_eq!(fixture.delete(), Ok(false));
        assert_eq!(fixture.create("new"), Ok(1));
        assert_eq!(fixture.data(), "new");
    }
}

/// A file that is too short for a header, and does not begin like one, is not taken for an
/// unfinished create.
#[test]
fn a_short_file_of_somebody_elses_is_corrupt_and_kept() {
    let whole = Fixture::with_session(0).bytes();
    let mut of_another = whole[..100].to_vec();
    of_another[16] = 7;
    let foreign = [
        b"x".to_vec(),
        b"x".repeat(100),
        b"x".repeat(511),
        of_another,
    ];
    for bytes in foreign {
        let fixture = Fixture::with_session(0);
        let path = fixture.path(&id(1));
        fs::write(&path, &bytes).unwrap();
        let fixture = Fixture {
            store: open(fixture.directory.path()),
            ..fixture
        };
        for how in [
            corrupt(fixture.load()),
            corrupt(fixture.save("x", 1)),
            corrupt(fixture.create("x")),
        ] {
            assert!(how.contains("does not begin"), "{how}");
        }
        let report = block_on(fixture.store.delete_old_sessions(0, None)).unwrap();
        assert_eq!((report.deleted, report.remaining), (0, 1));
        assert!(fs::read(&path).unwrap() == bytes, "the file is kept");
        assert_eq!(fixture.delete(), Ok(true), "a delete by its ID removes it");
    }
}

/// A create that is killed between its two writes must not leave a corrupt record, so it writes
/// the slot before the header.
#[test]
fn a_create_writes_its_header_last() {
    const SIZE: usize = 1_000_000;
    let fixture = Fixture::new();
    let session = state(&"x".repeat(SIZE));
    for round in 0..50 {
        let path = fixture.path(&id(round));
        let watcher = std::thread::spawn(move || {
            loop {
                let Ok(bytes) = fs::read(&path) else { continue };
                let has_header = bytes.starts_with(b"session3");
                let slot = bytes.get(SLOTS[0] as usize + SLOT_HEAD as usize..);
                let is_whole = slot.is_some_and(|data| data.len() == SIZE);
                assert!(!has_header || is_whole, "a header without a slot");
                if has_header {
                    return;
                }
            }
        });
        block_on(fixture.store.create_session(&id(round), &session)).unwrap();
        watcher.join().unwrap();
    }
}

#[test]
fn a_header_that_promises_a_session_that_is_not_there_is_corrupt() {
    let fixture = Fixture::with_session(0);
    let bytes = fixture.bytes();
    for length in [512, 520, 552] {
        fs::write(fixture.path(&id(1)), &bytes[..length]).unwrap();
        corrupt(fixture.load());
        corrupt(fixture.save("x", 1));
        corrupt(fixture.touch(1));
        assert_eq!(fixture.create("x"), Err(StoreError::Exists));
        assert_eq!(fixture.bytes().len(), length, "the file is kept");
    }
}

#[test]
fn a_foreign_or_future_file_is_corrupt_and_kept() {
    for (offset, says) in [
        (0, "does not begin"),
        (8, "use a newer one"),
        (16, "another session"),
    ] {
        let fixture = Fixture::with_session(1);
        fixture.damage(offset);
        let bytes = fixture.bytes();
        assert!(corrupt(fixture.load()).contains(says));
        for how in [corrupt(fixture.save("x", 2)), corrupt(fixture.create("x"))] {
            assert!(how.contains(says), "{how}");
        }
        assert_eq!(fixture.bytes(), bytes);
        // Only a delete by its ID removes the file.
        assert_eq!(fixture.delete(), Ok(true));
        assert!(!fixture.path(&id(1)).exists());
    }
}

/// The offset and the capacity of a slot in a damaged header may be any numbers. They cause
/// neither a hang nor an attempt to read more than the file has.
#[test]
fn damage_of_any_byte_of_the_header_is_an_answer() {
    for offset in 0..512 {
        let fixture = Fixture::with_session(2);
        fixture.touch(5).unwrap();
        fixture.damage(offset);
        match fixture.load() {
            Ok(Some(session)) => assert!(
                ["2", "3"]
                    .map(str::as_bytes)
                    .contains(&&*session.state.data)
            ),
            Ok(None) => assert!((TOMBSTONE..TOMBSTONE + 8).contains(&offset)),
            Err(error) => assert!(matches!(error, StoreError::Corrupt(_)), "{offset}: {error}"),
        }
    }
}

#[test]
fn a_touch_writes_the_older_cell_and_nothing_else() {
    let fixture = Fixture::with_session(1);
    for round in 0..6 {
        let before = fixture.bytes();
        fixture.touch(1000 + round).unwrap();
        assert_eq!(fixture.expires(), 1000 + round);
        let after = fixture.bytes();
        let cell = CELLS[round as usize % 2] as usize;
        let changed: Vec<_> = (0..after.len())
            .filter(|at| after[*at] != before[*at])
            .collect();
        assert!(changed.iter().all(|at| (cell..cell + 40).contains(at)));
    }
}

#[test]
fn a_torn_touch_leaves_the_one_before() {
    let fixture = Fixture::with_session(1);
    fixture.touch(1001).unwrap();
    fixture.touch(1002).unwrap();
    fixture.damage(CELLS[1] + 20);
    assert_eq!(fixture.expires(), 1001);
    fixture.touch(1003).unwrap();
    assert_eq!(fixture.expires(), 1003);
    fixture.damage(CELLS[0] + 20);
    assert_eq!(fixture.expires(), 1003, "the touch overwrote the torn cell");
}

#[test]
fn a_deleted_session_cannot_be_revived_by_a_hard_link_or_an_open_file() {
    let fixture = Fixture::with_session(1);
    let path = fixture.path(&id(1));
    let backup = fixture.directory.path().join("backup");
    fs::hard_link(&path, &backup).unwrap();
    assert_eq!(fixture.delete(), Ok(true));
    assert!(!path.exists());
    fs::rename(&backup, &path).unwrap();
    assert_eq!(fixture.load(), Ok(None));
    assert_eq!(fixture.save("x", 2), Err(StoreError::Absent));
    assert_eq!(fixture.delete(), Ok(false));
    assert_eq!(fixture.create("new"), Ok(1));
    assert_eq!(fixture.data(), "new");
}

/// The save has opened the file and waits for the lock, which the delete holds.
#[test]
fn a_save_that_waits_while_the_session_is_deleted_is_refused() {
    let fixture = Fixture::with_session(1);
    let deleter = fixture.file();
    deleter.lock_exclusive().unwrap();
    block_on(async {
        let (id, state) = (id(1), state("x"));
        let save = fixture.store.save_session(&id, &state, 2);
        let delete = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            deleter.write_all_at(&[255; 8], TOMBSTONE).unwrap();
            fs::remove_file(fixture.path(&id)).unwrap();
            deleter.unlock().unwrap();
        };
        let (saved, ()) = tokio::join!(save, delete);
        assert_eq!(saved, Err(StoreError::Absent));
    });
    assert!(!fixture.path(&id(1)).exists());
}

/// The save has opened the file and waits for the lock, which a save with a larger state holds.
#[test]
fn a_save_that_waits_while_the_session_grows_does_not_overwrite() {
    let fixture = Fixture::with_session(1);
    let grown = Fixture::with_session(1);
    grown.save(&"y".repeat(9000), 2).unwrap();
    let grower = fixture.file();
    grower.lock_exclusive().unwrap();
    block_on(async {
        let (id, state) = (id(1), state("x"));
        let save = fixture.store.save_session(&id, &state, 2);
        let grow = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            grower.write_all_at(&grown.bytes(), 0).unwrap();
            grower.unlock().unwrap();
        };
        let (saved, ()) = tokio::join!(save, grow);
        assert_eq!(saved, Err(StoreError::Conflict(3)));
    });
}

#[test]
fn whoever_waits_for_a_lock_blocks_no_thread_and_gives_up() {
    let fixture = Fixture::with_session(1);
    let other = fixture.file();
    other.lock_exclusive().unwrap();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async {
        let (id, state) = (id(1), state("x"));
        let store = &fixture.store;
        // The runtime has only one thread, so this task would stop if the save blocked it.
        let ticks = tokio::spawn(async {
            for _ in 0..2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let saved = store.save_session(&id, &state, 2).await;
        assert_eq!(saved, Err(StoreError::Busy));
        assert!(ticks.is_finished());
        assert_eq!(store.delete_session(&id).await, Err(StoreError::Busy));
        let touched = store.touch_session(&id, 1, 2).await;
        assert_eq!(touched, Err(StoreError::Busy));
    });
    other.unlock().unwrap();
    assert_eq!(fixture.save("3", 2), Ok(3));
}

#[test]
fn a_lock_may_be_waited_for_for_ever() {
    let fixture = Fixture::with_session(1);
    let options = Options::default().lock_timeout(Duration::MAX);
    let patient = DirectoryStore::open(fixture.directory.path(), options).unwrap();
    let other = fixture.file();
    other.lock_exclusive().unwrap();
    block_on(async {
        let (id, state) = (id(1), state("3"));
        let save = patient.save_session(&id, &state, 2);
        let release = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            other.unlock().unwrap();
        };
        let (saved, ()) = tokio::join!(save, release);
        assert_eq!(saved, Ok(3));
    });
}

#[test]
fn a_call_that_is_dropped_leaves_nothing_locked() {
    let fixture = Fixture::with_session(1);
    let other = fixture.file();
    other.lock_exclusive().unwrap();
    block_on(async {
        let (id, state) = (id(1), state("x"));
        let save = fixture.store.save_session(&id, &state, 2);
        let limit = Duration::from_millis(20);
        tokio::time::timeout(limit, save).await.unwrap_err();
    });
    other.unlock().unwrap();
    other.try_lock_exclusive().unwrap();
    other.unlock().unwrap();
    assert_eq!(fixture.data(), "2");
}

#[test]
fn what_is_no_regular_file_is_refused_without_a_hang() {
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("target");
    type Make<'a> = &'a dyn Fn(&Path);
    let make: [(&str, Make); 5] = [
        ("link", &|path| symlink(&target, path).unwrap()),
        ("dangling", &|path| symlink("nowhere", path).unwrap()),
        ("fifo", &|path| {
            assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        }),
        ("directory", &|path| fs::create_dir(path).unwrap()),
        ("device", &|path| symlink("/dev/null", path).unwrap()),
    ];
    for (what, make) in make {
        let fixture = Fixture::with_session(1);
        let path = fixture.path(&id(1));
        fs::copy(&path, &target).unwrap();
        fs::remove_file(&path).unwrap();
        make(&path);
        for how in [
            corrupt(fixture.load()),
            corrupt(fixture.save("x", 2)),
            corrupt(fixture.delete()),
            corrupt(fixture.create("x")),
        ] {
            assert!(how.contains("regular file"), "{what}: {how}");
        }
        assert!(path.symlink_metadata().is_ok(), "{what} is kept");
    }
}

#[test]
fn nothing_outside_the_directory_is_reached() {
    let outside = Fixture::with_session(1);
    let fixture = Fixture::new();
    symlink(
        outside.directory.path().join("00"),
        fixture.directory.path().join("00"),
    )
    .unwrap();
    assert!(matches!(fixture.load(), Err(StoreError::Unavailable(_))));
    assert!(matches!(
        fixture.create("x"),
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(fixture.delete(), Err(StoreError::Unavailable(_))));
    assert_eq!(outside.data(), "2");
}

#[test]
fn a_state_beyond_the_limit_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::default().max_state_bytes(100);
    let store = DirectoryStore::open(directory.path(), options).unwrap();
    let sized = |user: usize, data: usize| SessionState {
        user: Some("u".repeat(user)),
        expires: 0,
        data: vec![0; data],
    };
    block_on(async {
        let too_large = Err(StoreError::TooLarge(100));
        assert_eq!(
            store.create_session(&id(1), &sized(1, 100)).await,
            too_large
        );
        assert_eq!(store.has_session(&id(1)).await, Ok(false));
        store.create_session(&id(1), &sized(50, 50)).await.unwrap();
        assert_eq!(
            store.save_session(&id(1), &sized(50, 51), 1).await,
            too_large
        );
        assert_eq!(store.save_session(&id(1), &sized(0, 100), 1).await, Ok(2));
    });
}

#[test]
fn another_handle_sees_every_change_at_once() {
    let fixture = Fixture::with_session(1);
    let other = open(fixture.directory.path());
    block_on(async {
        let store = &fixture.store;
        for version in 2..50 {
            let (writer, reader) = if version % 2 == 0 {
                (store, &other)
            } else {
                (&other, store)
            };
            let saved = writer.save_session(&id(1), &state("x"), version).await;
            assert_eq!(saved, Ok(version + 1));
            let loaded = reader.load_session(&id(1)).await.unwrap().unwrap();
            assert_eq!(loaded.version, version + 1);
        }
        other.delete_session(&id(1)).await.unwrap();
        assert_eq!(store.load_session(&id(1)).await, Ok(None));
    });
}

#[test]
fn a_missing_directory_is_an_error_without_create() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let error = DirectoryStore::open(&missing, Options::default())
        .err()
        .unwrap();
    assert!(matches!(&error, OpenError::Missing(path) if *path == missing));
    assert!(!missing.exists());
}

#[test]
fn a_file_in_the_directorys_place_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "mine").unwrap();
    for path in [file.clone(), file.join("below")] {
        for create in [false, true] {
            let error = DirectoryStore::open(&path, Options::default().create(create));
            let error = error.err().unwrap();
            assert!(matches!(error, OpenError::NotADirectory(_)), "{error}");
        }
    }
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[test]
fn a_failing_file_system_is_unavailable_and_says_why() {
    let fixture = Fixture::with_session(1);
    // A file has the name of the subdirectory that the session needs.
    fs::write(fixture.directory.path().join("ff"), "").unwrap();
    let id = SessionId::from(u128::MAX);
    let error = block_on(fixture.store.create_session(&id, &state("x")));
    let expected = io::Error::from(io::ErrorKind::NotADirectory);
    match error {
        Err(StoreError::Unavailable(what)) => assert!(
            what.to_lowercase().contains(&expected.to_string()),
            "{what}"
        ),
        other => panic!("{other:?}"),
    }
}
