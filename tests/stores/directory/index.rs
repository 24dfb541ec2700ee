//! The index of sessions by user.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use fs2::FileExt as _;
use session3_store::{Finding, Maintenance, SessionId, SessionState, SessionStore};
use session3_store_directory::{Call, DirectoryStore, Options, Watch};

use super::Fixture;
use session3_test_support::{block_on, files, id, state};

/// The SHA-256 of `alice`.
const ALICE: &str = "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90";

fn state_of_alice() -> SessionState {
    SessionState {
        user: Some("alice".into()),
        expires: u64::MAX,
        ..state("a")
    }
}

impl Fixture {
    /// Creates a store with a session of Alice.
    fn with_session_of_alice() -> Self {
        let fixture = Self::new();
        block_on(fixture.store.create_session(&id(1), &state_of_alice())).unwrap();
        fixture
    }

    /// Returns the path of the entry for Alice's session with this ID.
    pub fn entry(&self, id: &SessionId) -> PathBuf {
        let (prefix, rest) = ALICE.split_at(3);
        let name = format!("users/{prefix}/{rest}.{id}");
        self.directory.path().join(name)
    }

    fn of_user(&self, user: &str) -> Vec<SessionId> {
        block_on(self.store.sessions_of_user(user)).unwrap()
    }

    fn check(&self, repair: bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut found = |finding| findings.push(finding);
        block_on(self.store.check(repair, &mut found)).unwrap();
        findings
    }
}

#[test]
fn an_entry_is_an_empty_file_named_after_the_hash_of_the_user() {
    let fixture = Fixture::with_session_of_alice();
    assert_eq!(fs::read(fixture.entry(&id(1))).unwrap(), b"");
    for file in files(fixture.directory.path()) {
        assert!(!file.to_string_lossy().contains("alice"), "{file:?}");
    }
}

#[test]
fn nothing_is_left_of_the_user_after_a_change_or_a_delete() {
    let fixture = Fixture::with_session_of_alice();
    fixture.save("b", 1).unwrap();
    assert!(!fixture.entry(&id(1)).exists());
    block_on(fixture.store.save_session(&id(1), &state_of_alice(), 2)).unwrap();
    assert!(fixture.entry(&id(1)).exists());
    assert_eq!(fixture.delete(), Ok(true));
    assert_eq!(files(fixture.directory.path()), [] as [PathBuf; 0]);
}

/// A change that was interrupted leaves an entry of the index that no session needs.
#[test]
fn surplus_entries_are_left_out_and_removed() {
    for remove in ["sweep", "check"] {
        let fixture = Fixture::with_session_of_alice();
        fixture.create_without_user(2);
        let surplus = [fixture.entry(&id(2)), fixture.entry(&id(3))];
        for entry in &surplus {
            fs::write(entry, "").unwrap();
        }
        assert_eq!(fixture.of_user("alice"), [id(1)]);
        assert_eq!(fixture.check(false).len(), 2);
        assert!(
            surplus.iter().all(|entry| entry.exists()),
            "a check without repair changes nothing"
        );
        match remove {
            "sweep" => drop(block_on(fixture.store.delete_old_sessions(u32::MAX, None)).unwrap()),
            _ => assert_eq!(fixture.check(true).len(), 2),
        }
        assert!(!surplus.iter().any(|entry| entry.exists()), "{remove}");
        assert_eq!(fixture.of_user("alice"), [id(1)]);
        assert_eq!(fixture.check(false), []);
    }
}

#[test]
fn an_entry_that_is_missing_is_found_and_put_back() {
    let fixture = Fixture::with_session_of_alice();
    fs::remove_file(fixture.entry(&id(1))).unwrap();
    assert_eq!(fixture.check(false), [Finding::Missing(id(1))]);
    assert_eq!(fixture.of_user("alice"), []);
    assert_eq!(fixture.check(true), [Finding::Missing(id(1))]);
    assert_eq!(fixture.of_user("alice"), [id(1)]);
    assert_eq!(fixture.check(false), []);
}

#[test]
fn a_check_names_what_is_damaged_foreign_or_left_over() {
    let fixture = Fixture::with_session_of_alice();
    fixture.create_without_user(2);
    fs::write(fixture.path(&id(3)), "").unwrap();
    fs::write(fixture.path(&id(2)), "nonsense".repeat(100)).unwrap();
    fs::write(fixture.directory.path().join("notes.txt"), "").unwrap();
    fs::write(fixture.directory.path().join("users/2bd/x"), "").unwrap();
    fs::write(fixture.directory.path().join("users/2BD"), "").unwrap();
    fs::create_dir(fixture.directory.path().join("locks")).unwrap();
    let locks = [
        "x",
        &id(1).to_string(),
        &format!("{}.change~", id(2)),
        "sweep",
    ];
    for name in locks {
        fs::write(fixture.directory.path().join("locks").join(name), "").unwrap();
    }
    let no_text = OsStr::from_bytes(b"no\xfftext");
    fs::write(fixture.directory.path().join(no_text), "").unwrap();
    fs::write(fixture.directory.path().join("ab"), "").unwrap();
    let findings = fixture.check(true);
    let has = |wanted: &dyn Fn(&Finding) -> bool| findings.iter().any(wanted);
    assert!(has(
        &|f| matches!(f, Finding::Damaged(damaged, _) if *damaged == id(2))
    ));
    assert!(has(&|f| *f == Finding::Leftover(id(3))));
    assert!(has(&|f| *f == Finding::Foreign("notes.txt".into())));
    assert!(has(&|f| *f == Finding::Foreign("users/2bd/x".into())));
    assert!(has(&|f| *f == Finding::Foreign("users/2BD".into())));
    assert!(has(&|f| *f == Finding::Foreign("locks/x".into())));
    assert!(has(&|f| *f == Finding::Foreign("no\u{fffd}text".into())));
    assert!(has(&|f| *f == Finding::Foreign("ab".into())));
    assert_eq!(findings.len(), 8, "{findings:?}");
    assert!(fixture.path(&id(2)).exists() && fixture.path(&id(3)).exists());
}

/// A subdirectory may have more entries than are read at a time, since one user may have all
/// sessions.
#[test]
fn every_entry_of_a_full_subdirectory_is_looked_at_once() {
    const MANY: u128 = 70_000;
    let fixture = Fixture::with_session_of_alice();
    for number in 2..MANY {
        fs::write(fixture.entry(&id(number)), "").unwrap();
    }
    let mut findings: Vec<_> = fixture.check(false).into_iter().collect();
    findings.sort_by_key(|finding| format!("{finding:?}"));
    findings.dedup();
    assert_eq!(findings.len() as u128, MANY - 2);
    assert!(
        findings
            .iter()
            .all(|finding| matches!(finding, Finding::Surplus(_)))
    );
}

/// Calls a function once, just before the lock of a record is taken.
struct Before(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Watch for Before {
    fn before(&self, call: Call) -> io::Result<usize> {
        if matches!(call, Call::Lock(name) if name.starts_with("00/"))
            && let Some(act) = self.0.lock().unwrap().take()
        {
            act();
        }
        Ok(usize::MAX)
    }
}

/// To remove an entry without a session, a sweep creates a file and locks it. A create takes that
/// file for a leftover and removes it before the sweep has the lock.
#[test]
fn a_session_that_is_made_while_its_old_entry_is_removed_is_kept() {
    let fixture = Fixture::with_session_of_alice();
    fixture.delete().unwrap();
    fs::write(fixture.entry(&id(1)), "").unwrap();
    let path = fixture.directory.path().to_owned();
    let create = move || {
        let created = thread::spawn(move || {
            let store = super::open(&path);
            block_on(store.create_session(&id(1), &state_of_alice()))
        });
        assert_eq!(created.join().unwrap(), Ok(1));
    };
    let watch = Before(Mutex::new(Some(Box::new(create))));
    let options = Options::default().watch(Arc::new(watch));
    let store = DirectoryStore::open(fixture.directory.path(), options).unwrap();
    block_on(store.delete_old_sessions(u32::MAX, None)).unwrap();
    assert_eq!(fixture.data(), "a");
    assert_eq!(fixture.of_user("alice"), [id(1)]);
}

/// A check may run while other processes create sessions.
#[test]
fn a_create_under_way_is_no_leftover() {
    let fixture = Fixture::with_session_of_alice();
    fs::write(fixture.path(&id(3)), "").unwrap();
    let creator = fs::File::open(fixture.path(&id(3))).unwrap();
    creator.lock_exclusive().unwrap();
    assert_eq!(fixture.check(false), []);
    drop(creator);
    assert_eq!(fixture.check(false), [Finding::Leftover(id(3))]);
}

impl Fixture {
    fn create_without_user(&self, number: u128) {
        let without_user = SessionState {
            user: None,
            ..state_of_alice()
        };
        block_on(self.store.create_session(&id(number), &without_user)).unwrap();
    }
}
