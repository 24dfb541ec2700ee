//! Directories and files that belong to other users, or that they may write.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use session3_store::{CheckReport, Finding, Maintenance, SessionState, SessionStore};
use session3_store_directory::{Call, DirectoryStore, Options, OtherWriter, Watch};

use super::Fixture;
use session3_test_support::{block_on, id, state};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Checks a store. Returns the report, and the findings with their texts.
fn check(store: &DirectoryStore) -> (CheckReport, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut found = |finding| findings.push(finding);
    let check = store.check(false, &mut found);
    let report = block_on(check).unwrap();
    (report, findings)
}

#[test]
fn a_directory_that_others_may_write_is_told_from_one_that_is_safe() {
    let fixture = Fixture::new();
    let path = fixture.directory.path();
    let writers = || fixture.store.other_writers().unwrap();
    for safe in [0o700, 0o755] {
        set_mode(path, safe);
        assert_eq!(writers(), []);
    }
    set_mode(path, 0o1707);
    assert_eq!(writers(), [OtherWriter::Everyone]);
    assert!(writers()[0].to_string().contains("chmod o-w"));
    set_mode(path, 0o770);
    let group = fs::metadata(path).unwrap().gid();
    let expected: &[_] = match group {
        0 => &[],
        group => &[OtherWriter::Group(group)],
    };
    assert_eq!(writers(), expected);
}

/// Root can read everything, but the server cannot.
#[test]
fn a_check_names_what_the_owner_of_the_store_cannot_use() {
    const SERVER: u32 = 4711;
    const OTHER: u32 = 4712;
    let fixture = Fixture::with_session(0);
    let root = fixture.directory.path();
    if chown(root, Some(SERVER), None).is_err() {
        // Only root may give files away.
        return;
    }
    let store = super::open(root);
    let alice = SessionState {
        user: Some("alice".into()),
        ..state("2")
    };
    block_on(async {
        store.create_session(&id(2), &alice).await.unwrap();
        store.create_session(&id(3), &state("3")).await.unwrap();
        store
            .create_session(&id(5 << 120), &state("5"))
            .await
            .unwrap();
    });
    chown(root.join("00"), Some(SERVER), None).unwrap();
    chown(fixture.path(&id(1)), Some(SERVER), None).unwrap();
    assert_eq!(check(&store).1, []);

    chown(fixture.path(&id(1)), Some(OTHER), None).unwrap();
    chown(fixture.path(&id(2)), Some(0), None).unwrap();
    set_mode(&fixture.path(&id(3)), 0o200);
    for directory in ["05", "users", "users/2bd"] {
        chown(root.join(directory), Some(OTHER), None).unwrap();
    }
    let (report, findings) = check(&store);
    assert_eq!((report.sessions, report.inaccessible), (4, 3));
    assert_eq!((report.denied, report.damaged), (0, 0));
    let belongs = |user| format!("it belongs to user {user}, and the store to user {SERVER}");
    let forbids = "its mode 0200 forbids its owner to read it".to_owned();
    let record = |number| format!("00/{}", id(number));
    let mut expected = vec![
        (record(1), belongs(OTHER)),
        (record(2), belongs(0)),
        (record(3), forbids),
        ("05".into(), belongs(OTHER)),
        ("users".into(), belongs(OTHER)),
        ("users/2bd".into(), belongs(OTHER)),
    ];
    let mut found: Vec<_> = findings
        .into_iter()
        .map(|finding| match finding {
            Finding::Inaccessible(name, reason) => (name, reason),
            other => panic!("{other:?}"),
        })
        .collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

/// Lets a process without the permission open no record.
struct Denied;

impl Watch for Denied {
    fn before(&self, call: Call) -> io::Result<usize> {
        match call {
            Call::Open(name) if name.starts_with("00/") => Err(Errno::ACCESS.into()),
            _ => Ok(usize::MAX),
        }
    }
}

#[test]
fn a_check_counts_and_names_the_records_that_it_may_not_read() {
    let fixture = Fixture::with_session(0);
    block_on(fixture.store.create_session(&id(2), &state("2"))).unwrap();
    block_on(fixture.store.create_session(&id(5 << 120), &state("5"))).unwrap();
    let options = Options::default().watch(Arc::new(Denied));
    let store = DirectoryStore::open(fixture.directory.path(), options).unwrap();
    let (report, findings) = check(&store);
    assert_eq!((report.sessions, report.denied, report.damaged), (1, 2, 0));
    for number in [1, 2] {
        let name = format!("00/{}", id(number));
        let is_it = |finding: &&Finding| matches!(finding, Finding::Unreadable(unreadable, reason) if *unreadable == name && reason.contains("denied"));
        assert_eq!(findings.iter().filter(is_it).count(), 1, "{findings:?}");
    }
}
