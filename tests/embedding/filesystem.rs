//! The store component for WASI's file system: it and the native store can use the same
//! directory in turn, parallel instances lose no change, and the locks of an abandoned instance
//! expire.

use std::fs;
use std::future::poll_fn;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use session3::store::directory::Options;
use session3::store::{
    DirectoryStore, Finding, Maintenance, SessionId, SessionState, SessionStore, StoreError,
};
use tempfile::TempDir;
use wasmtime_wasi::FsPerms;

use session3_test_harness::provider::{self, Directory, Provided};
use session3_test_support::{block_on, files, id, record_in, state};

const NOW: u64 = 1_700_000_000_000;
const MINUTE: u64 = 60_000;
const SECOND_IN_NANOS: u64 = 1_000_000_000;

/// A directory, and the component that keeps sessions in it.
struct Given {
    directory: TempDir,
    host: Directory,
    store: Arc<Provided>,
}

impl Given {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Directory)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut host = Directory::new(directory.path(), &Arc::new(AtomicU64::new(NOW)));
        change(&mut host);
        let store = Arc::new(provider::filesystem(host.clone()));
        Self {
            directory,
            host,
            store,
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The native store of the same directory, at the same time.
    fn native(&self) -> DirectoryStore {
        let clock = self.host.clock.clone();
        let options = Options::default().clock(move || clock.load(Ordering::SeqCst));
        DirectoryStore::open(self.path(), options).unwrap()
    }

    /// Checks the directory with the native store and returns the findings.
    async fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut found = |finding| findings.push(finding);
        self.native().check(false, &mut found).await.unwrap();
        findings
    }

    fn record(&self, id: &SessionId) -> PathBuf {
        record_in(self.path(), id)
    }

    /// Returns the content of a lock's file, if the file exists.
    fn lock(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path().join("locks").join(name)).ok()
    }

    /// Leaves the lock of an abandoned instance, which expires in `time` milliseconds.
    fn leave_lock(&self, name: &str, time: u64) {
        let until = self.host.clock.load(Ordering::SeqCst) + time;
        fs::create_dir_all(self.path().join("locks")).unwrap();
        let holder = format!("0123456789abcdef {until}\n");
        fs::write(self.path().join("locks").join(name), holder).unwrap();
    }

    fn has_locks(&self) -> bool {
        let locks = self.path().join("locks");
        locks.exists() && !files(&locks).is_empty()
    }

    /// Awaits a call while the monotonic clock runs fast, so that the call soon reaches its
    /// timeout if it waits for a lock.
    async fn without_patience<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        loop {
            tokio::select! {
                result = &mut call => return result,
                () = tokio::time::sleep(Duration::from_millis(1)) => {
                    self.host.monotonic.0.fetch_add(SECOND_IN_NANOS / 10, Ordering::SeqCst);
                }
            }
        }
    }
}

fn state_of(user: &str, data: &str) -> SessionState {
    SessionState {
        user: Some(user.into()),
        expires: u64::MAX,
        data: data.into(),
    }
}

async fn sessions_of(store: &dyn SessionStore, user: &str) -> Vec<SessionId> {
    let mut ids = store.sessions_of_user(user).await.unwrap();
    ids.sort();
    ids
}

/// Changes some sessions in the store `from`, then in the store `to`, and checks after each half
/// that the other store sees the changes.
async fn pass_on(given: &Given, from: &dyn SessionStore, to: &dyn SessionStore) {
    for number in 1..=4 {
        from.create_session(&id(number), &state_of("alice", "created"))
            .await
            .unwrap();
    }
    let large = state_of("bob", &"x".repeat(5000));
    from.save_session(&id(1), &large, 1).await.unwrap();
    from.touch_session(&id(2), NOW + MINUTE, 1).await.unwrap();
    from.delete_session(&id(3)).await.unwrap();
    assert_eq!(given.findings().await, []);

    for number in 1..=4 {
        let expected = from.load_session(&id(number)).await.unwrap();
        assert_eq!(to.load_session(&id(number)).await.unwrap(), expected);
        assert_eq!(expected.is_some(), number != 3);
    }
    let page = from.iter_sessions(None, 100).await.unwrap();
    assert_eq!(to.iter_sessions(None, 100).await.unwrap(), page);
    assert_eq!(sessions_of(to, "alice").await, [id(2), id(4)]);
    assert_eq!(sessions_of(to, "bob").await, [id(1)]);
    to.save_session(&id(1), &state_of("alice", "small"), 2)
        .await
        .unwrap();
    to.touch_session(&id(4), NOW + 2 * MINUTE, 1).await.unwrap();
    to.create_session(&id(3), &state_of("bob", "again"))
        .await
        .unwrap();
    given.host.clock.fetch_add(MINUTE, Ordering::SeqCst);
    let report = to.delete_old_sessions(u32::MAX, None).await.unwrap();
    assert_eq!((report.deleted, report.remaining), (1, 3));
    assert_eq!(given.findings().await, []);

    let saved = from.load_session(&id(1)).await.unwrap().unwrap();
    assert_eq!(
        (saved.version, saved.state),
        (3, state_of("alice", "small"))
    );
    assert_eq!(from.load_session(&id(2)).await.unwrap(), None);
    assert_eq!(sessions_of(from, "alice").await, [id(1), id(4)]);
    assert_eq!(sessions_of(from, "bob").await, [id(3)]);
    assert!(!given.has_locks());
}

#[test]
fn the_native_store_goes_on_with_its_files() {
    let given = Given::new();
    block_on(pass_on(&given, &*given.store, &given.native()));
}

#[test]
fn it_goes_on_with_the_native_stores_files() {
    let given = Given::new();
    block_on(pass_on(&given, &given.native(), &*given.store));
}

#[test]
fn instances_in_parallel_lose_no_addition() {
    let given = Given::new();
    block_on(async {
        let store = &given.store;
        store.create_session(&id(1), &state("0")).await.unwrap();
        let adders: Vec<_> = (0..8)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    for _ in 0..25 {
                        add(&*store).await;
                    }
                })
            })
            .collect();
        for adder in adders {
            adder.await.unwrap();
        }
        let session = store.load_session(&id(1)).await.unwrap().unwrap();
        assert_eq!((session.version, session.state), (201, state("200")));
        assert_eq!(given.findings().await, []);
        assert!(!given.has_locks());
    });
}

/// Adds 1 to the number in session 1, and tries again after each conflict.
async fn add(store: &dyn SessionStore) {
    loop {
        let session = store.load_session(&id(1)).await.unwrap().unwrap();
        let count = String::from_utf8(session.state.data).unwrap();
        let next = state(&(count.parse::<u32>().unwrap() + 1).to_string());
        match store.save_session(&id(1), &next, session.version).await {
            Ok(_) => return,
            Err(StoreError::Conflict(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn instances_in_parallel_see_whole_states_and_never_older_ones() {
    let given = Given::new();
    block_on(async {
        let store = &given.store;
        // A mix of two versions would show: each has its own letter and size.
        let content = |version: u64| {
            let letter = b'a' + (version % 26) as u8;
            let size = version * 797 % 9000;
            state(&String::from_utf8(vec![letter; size as usize]).unwrap())
        };
        store.create_session(&id(1), &content(1)).await.unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let (store, is_over) = (store.clone(), is_over.clone());
                tokio::spawn(async move {
                    let mut last = 0;
                    while !is_over.load(Ordering::SeqCst) {
                        let session = store.load_session(&id(1)).await.unwrap().unwrap();
                        assert!(session.state == content(session.version));
                        assert!(session.version >= last);
                        last = session.version;
                    }
                })
            })
            .collect();
        for version in 1..200 {
            let next = content(version + 1);
            store.save_session(&id(1), &next, version).await.unwrap();
        }
        is_over.store(true, Ordering::SeqCst);
        for reader in readers {
            reader.await.unwrap();
        }
    });
}

#[test]
fn a_deleted_session_never_comes_back() {
    let given = Given::new();
    block_on(async {
        for number in 0..20 {
            let store = &given.store;
            let session = id(number);
            store.create_session(&session, &state("a")).await.unwrap();
            let savers: Vec<_> = (0..4)
                .map(|_| {
                    let store = store.clone();
                    tokio::spawn(async move {
                        let mut version = 1;
                        loop {
                            match store.save_session(&session, &state("b"), version).await {
                                Ok(saved) => version = saved,
                                Err(StoreError::Conflict(now)) => version = now,
                                Err(error) => return error,
                            }
                        }
                    })
                })
                .collect();
            assert_eq!(store.delete_session(&session).await, Ok(true));
            assert_eq!(store.load_session(&session).await, Ok(None));
            for saver in savers {
                assert_eq!(saver.await.unwrap(), StoreError::Absent);
            }
            assert_eq!(store.load_session(&session).await, Ok(None));
        }
        assert_eq!(given.findings().await, []);
    });
}

/// Polls a call at most `polls` times and drops it. Returns whether the call completed.
async fn give_up_after<T>(polls: u32, call: impl Future<Output = T>) -> bool {
    let (mut call, mut remaining) = (pin!(call), polls);
    poll_fn(|context| {
        if remaining == 0 {
            return Poll::Ready(false);
        }
        remaining -= 1;
        call.as_mut().poll(context).map(|_| true)
    })
    .await
}

/// Wherever in a save the host abandons an instance, its locks are free a minute later, and the
/// session has the state from before or after the save.
#[test]
fn an_instance_that_is_given_up_locks_no_session_for_ever() {
    let given = Given::new();
    block_on(async {
        let store = &given.store;
        let (before, after) = (state_of("alice", "before"), state_of("bob", "after"));
        let (mut number, mut was_locked) = (0, 0);
        // A fast save is polled only a few times and offers few places to stop at, so saves are
        // repeated until four of them were stopped while they held the lock.
        while was_locked < 4 {
            for polls in 1.. {
                number += 1;
                assert!(
                    number < 10_000,
                    "only {was_locked} saves held the lock when they were stopped"
                );
                let session = id(number);
                store.create_session(&session, &before).await.unwrap();
                let save = store.save_session(&session, &after, 1);
                let is_done = give_up_after(polls, save).await;
                was_locked += u32::from(given.lock(&format!("{session}.change")).is_some());
                if is_done {
                    break;
                }
            }
        }
        given.host.clock.fetch_add(MINUTE, Ordering::SeqCst);
        let all: Vec<_> = (1..=number)
            .map(id)
            .map(|session| {
                let (store, before, after) = (store.clone(), before.clone(), after.clone());
                tokio::spawn(async move {
                    let found = store.load_session(&session).await.unwrap().unwrap();
                    assert!([(1, before), (2, after)].contains(&(found.version, found.state)));
                    let next = state_of("alice", "next");
                    let saved = store.save_session(&session, &next, found.version);
                    // The host may have completed a write of the abandoned save meanwhile.
                    if let Err(StoreError::Conflict(version)) = saved.await {
                        store.save_session(&session, &next, version).await.unwrap();
                    }
                })
            })
            .collect();
        for one in all {
            one.await.unwrap();
        }
        assert!(!given.has_locks());
        store.delete_old_sessions(u32::MAX, None).await.unwrap();
        assert_eq!(given.findings().await, []);
        assert_eq!(sessions_of(&**store, "alice").await.len() as u128, number);
    });
}

#[test]
fn who_waits_for_a_lock_gives_up() {
    let given = Given::new();
    block_on(async {
        let (store, session) = (&given.store, id(1));
        store.create_session(&session, &state("a")).await.unwrap();
        given.leave_lock(&format!("{}.change", session), MINUTE);
        let next = state("b");
        let saved = given.without_patience(store.save_session(&session, &next, 1));
        assert_eq!(saved.await, Err(StoreError::Busy));
        let deleted = given.without_patience(store.delete_session(&session));
        assert_eq!(deleted.await, Err(StoreError::Busy));
        // Loads need no lock, and other sessions have locks of their own.
        let loaded = store.load_session(&session).await.unwrap().unwrap();
        assert_eq!(loaded.state, state("a"));
        store.create_session(&id(2), &state("a")).await.unwrap();
        let report = store.delete_old_sessions(0, None).await.unwrap();
        assert_eq!((report.deleted, report.remaining), (1, 1));
        given.host.clock.fetch_add(MINUTE, Ordering::SeqCst);
        assert_eq!(store.save_session(&session, &next, 1).await, Ok(2));
        assert!(!given.has_locks());
    });
}

/// Only one instance at a time takes over an abandoned lock: one that has expired, one whose
/// removal was abandoned as well, an empty one, and one whose deadline is too far away because
/// the clock was set back.
#[test]
fn of_many_who_find_a_lock_that_was_left_one_has_it_at_a_time() {
    let given = Given::new();
    let change = |number| format!("{}.change", id(number));
    block_on(async {
        for number in 1..=4 {
            let (store, session) = (&given.store, id(number));
            store.create_session(&session, &state("0")).await.unwrap();
            given.leave_lock(&change(number), 0);
        }
        given.leave_lock(&format!("{}~", change(2)), 0);
        given.leave_lock(&format!("{}~~", change(2)), 0);
        fs::write(given.path().join("locks").join(change(3)), "").unwrap();
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let later = now.as_millis() as u64 + 2 * MINUTE;
        given.host.clock.store(later, Ordering::SeqCst);
        given.leave_lock(&change(4), 60 * MINUTE);

        let racers: Vec<_> = (0..32)
            .map(|racer| {
                let store = given.store.clone();
                tokio::spawn(async move {
                    let session = id(1 + racer % 4);
                    store.save_session(&session, &state("1"), 1).await
                })
            })
            .collect();
        let mut saved = 0;
        for racer in racers {
            match racer.await.unwrap() {
                Ok(version) => {
                    assert_eq!(version, 2);
                    saved += 1;
                }
                Err(error) => assert_eq!(error, StoreError::Conflict(2)),
            }
        }
        assert_eq!(saved, 4);
        assert!(!given.has_locks());
    });
}

#[test]
fn a_sweep_removes_locks_that_were_left_and_is_the_only_one() {
    let given = Given::new();
    block_on(async {
        given.leave_lock(&format!("{}.change", id(1)), 0);
        given.leave_lock(&format!("{}.request", id(2)), MINUTE);
        given.leave_lock("sweep", MINUTE);
        fs::write(given.path().join("locks/foreign"), "").unwrap();
        let sweep = async || given.store.delete_old_sessions(1, None).await;
        assert_eq!(sweep().await, Err(StoreError::Busy));
        fs::remove_file(given.path().join("locks/sweep")).unwrap();
        sweep().await.unwrap();
        assert_eq!(given.lock(&format!("{}.change", id(1))), None);
        assert!(given.lock(&format!("{}.request", id(2))).is_some());
        assert!(given.lock("foreign").is_some());
    });
}

#[test]
fn an_exclusive_session_ends_after_30_seconds() {
    let given = Given::new();
    block_on(async {
        let name = id(1).to_string();
        let (mut first, provider) = given.store.instance().await;
        let guest = provider.session3_sessions_store();
        let lock = guest.call_lock_session(&mut first, &name).await;
        let lock = lock.unwrap().unwrap();
        let again = guest.call_lock_session(&mut first, &name).await.unwrap();
        assert!(
            again.is_err(),
            "waiting would block the instance that holds the lease"
        );
        let locks = guest.session_lock();
        assert!(locks.call_is_held(&mut first, lock).await.unwrap());

        given.host.clock.fetch_add(MINUTE / 2, Ordering::SeqCst);
        let passed = 30 * SECOND_IN_NANOS;
        given.host.monotonic.0.fetch_add(passed, Ordering::SeqCst);
        assert!(!locks.call_is_held(&mut first, lock).await.unwrap());
        let time = Duration::from_secs(3600);
        let second = given.store.lock_session(&id(1), time).await.unwrap();
        let holder = given.lock(&format!("{name}.request"));
        lock.resource_drop_async(&mut first).await.unwrap();
        assert_eq!(given.lock(&format!("{name}.request")), holder);
        assert!(second.is_held());
    });
}

#[test]
fn a_damaged_record_is_an_error_and_stays() {
    let given = Given::new();
    block_on(async {
        let store = &given.store;
        store
            .create_session(&id(1), &state_of("alice", "a"))
            .await
            .unwrap();
        let file = given.record(&id(1));
        let sound = fs::read(&file).unwrap();
        let cut = sound[..530].to_vec();
        let mut other_magic = sound.clone();
        other_magic[0] ^= 1;
        let mut other_slot = sound.clone();
        other_slot[512 + 40] ^= 1;
        for damaged in [cut, other_magic, other_slot] {
            fs::write(&file, &damaged).unwrap();
            let is_corrupt = |error: StoreError| matches!(error, StoreError::Corrupt(_));
            let next = state("b");
            assert!(is_corrupt(store.load_session(&id(1)).await.unwrap_err()));
            let saved = store.save_session(&id(1), &next, 1).await;
            assert!(is_corrupt(saved.unwrap_err()));
            assert!(store.create_session(&id(1), &next).await.is_err());
            let page = store.iter_sessions(None, 10).await.unwrap();
            assert_eq!(page.damaged[0].0, id(1));
            assert_eq!(sessions_of(&**store, "alice").await, []);
            store.delete_old_sessions(0, None).await.unwrap();
            assert_eq!(fs::read(&file).unwrap(), damaged);
        }
        assert_eq!(store.delete_session(&id(1)).await, Ok(true));
        assert!(!file.exists());
        assert!(!given.has_locks());
    });
}

#[test]
fn a_create_that_never_finished_is_absent_and_gone_after_the_next() {
    let given = Given::new();
    block_on(async {
        let file = given.record(&id(1));
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(&file, [0; 100]).unwrap();
        assert_eq!(given.store.load_session(&id(1)).await, Ok(None));
        assert_eq!(given.store.delete_session(&id(1)).await, Ok(false));
        let created = given.store.create_session(&id(1), &state("a")).await;
        assert_eq!(created, Ok(1));
        fs::write(given.record(&id(2)), "").unwrap();
        given.store.delete_old_sessions(0, None).await.unwrap();
        assert!(!given.record(&id(2)).exists());
    });
}

/// A symbolic link, even to a session, a directory and a FIFO are refused as records.
#[test]
fn what_is_no_regular_file_is_refused() {
    let given = Given::new();
    block_on(async {
        let store = &given.store;
        store.create_session(&id(9), &state("a")).await.unwrap();
        let directory = given.record(&id(9)).parent().unwrap().to_owned();
        symlink(given.record(&id(9)), given.record(&id(1))).unwrap();
        symlink("nowhere", given.record(&id(2))).unwrap();
        fs::create_dir(given.record(&id(3))).unwrap();
        let made = Command::new("mkfifo").arg(given.record(&id(4))).status();
        assert!(made.unwrap().success());
        for number in 1..=4 {
            let why = Err(StoreError::Corrupt("it is not a regular file".into()));
            let loaded = store.load_session(&id(number)).await;
            assert_eq!(loaded.map(|_| 0), why, "{number}");
            let next = state("b");
            let saved = store.save_session(&id(number), &next, 1).await;
            assert_eq!(saved.map(|_| 0), why, "{number}");
            let created = store.create_session(&id(number), &next).await;
            assert_eq!(created.map(|_| 0), why, "{number}");
        }
        assert_eq!(
            files(&directory).len(),
            4,
            "no call creates or removes a file"
        );
        let page = store.iter_sessions(None, 10).await.unwrap();
        assert_eq!((page.sessions.len(), page.damaged.len()), (1, 4));
    });
}

#[test]
fn a_directory_that_is_missing_or_read_only_is_an_error_that_says_so() {
    let unavailable = |result: Result<u64, StoreError>| match result {
        Err(StoreError::Unavailable(what)) => what,
        other => panic!("{other:?}"),
    };
    block_on(async {
        for name in ["", "/data"] {
            let given = Given::with(|host| host.name = name);
            let said = unavailable(given.store.create_session(&id(1), &state("")).await);
            assert!(said.contains("--dir DIRECTORY::/sessions"), "{said}");
            assert!(given.store.setup().await.is_err());
        }
        let given = Given::with(|host| host.permissions = FsPerms::ReadOnly);
        let said = unavailable(given.store.create_session(&id(1), &state("")).await);
        assert_eq!(said, "not-permitted");
        assert!(files(given.path()).is_empty());
    });
}

#[test]
fn a_state_that_is_too_large_is_refused() {
    let given = Given::new();
    block_on(async {
        let limit = 1 << 20;
        let fits = state(&"x".repeat(limit));
        assert_eq!(given.store.create_session(&id(1), &fits).await, Ok(1));
        let larger = state(&"x".repeat(limit + 1));
        let error = StoreError::TooLarge(limit as u64);
        let created = given.store.create_session(&id(2), &larger).await;
        assert_eq!(created, Err(error.clone()));
        let saved = given.store.save_session(&id(1), &larger, 1).await;
        assert_eq!(saved, Err(error));
    });
}

#[test]
fn it_is_for_one_process_with_any_number_of_threads() {
    let given = Given::new();
    block_on(async {
        let (mut instance, provider) = given.store.instance().await;
        let guest = provider.session3_sessions_store();
        let is_safe = guest.call_is_multiprocess_safe(&mut instance).await;
        assert!(!is_safe.unwrap());
        let is_safe = guest.call_is_thread_safe(&mut instance).await;
        assert!(is_safe.unwrap());
    });
}
