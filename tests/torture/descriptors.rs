//! A store in a process with a low limit of open files.

use std::fs::File;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use session3_store::{Maintenance, SessionState, StoreError};
use session3_store_directory::{Durability, Options};

use session3_test_support::layer::Layer;

use crate::child::{Job, LATER, MINUTES, Process, Role, block_on};
use crate::plan::Plan;
use crate::work::{self, id};

/// The largest number of files that the process may have open.
const LIMIT: u64 = 64;
const SESSIONS: u64 = 500;

/// Starts a process with that limit for each durability.
pub fn run_short(plan: &Plan) {
    for durability in [Durability::Process, Durability::Disk] {
        let directory = tempfile::tempdir().unwrap();
        let job = Job {
            directory: directory.path().to_owned(),
            durability,
            layer: Layer::Plain,
            sessions: SESSIONS,
            processes: 1,
            me: 0,
            duration: plan.duration(),
            seed: 0,
        };
        print!("{}", Process::start(Role::Starve, &job).result());
    }
}

/// Works on more sessions than this process may have files open, with a file descriptor cache that
/// is larger than the limit.
pub fn starve(job: &Job) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: Some(LIMIT),
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    block_on(async {
        by_default(job).await;
        let greedy = job.open_with(Options::default().max_kept_files(10_000));
        let most = work_with_all(&*greedy).await;
        assert_eq!(most, LIMIT as usize, "the process did not reach its limit");
        with_none_left(&*greedy).await;
        println!(
            "  {:?}: {SESSIONS} sessions with {most} of {LIMIT} files open, then with none left",
            job.durability
        );
        really_out(job).await;
        work_with_all(&*greedy).await;
        everything_else(&*greedy).await;
    });
}

/// Checks that a store with default options keeps at most a quarter of the file descriptors.
async fn by_default(job: &Job) {
    let store = job.open();
    let before = count_open();
    work::create(&*store, SESSIONS).await;
    for session in 0..SESSIONS {
        store.load_session(&id(session)).await.unwrap().unwrap();
    }
    let kept = count_open() - before;
    assert!(kept > 0, "the store caches the files of active sessions");
    assert!(
        kept <= LIMIT as usize / 4,
        "the store keeps {kept} files open"
    );
}

/// Changes every session, and returns how many files were open at most.
async fn work_with_all(store: &dyn Maintenance) -> usize {
    let mut most = 0;
    for session in 0..SESSIONS {
        let id = id(session);
        let loaded = store.load_session(&id).await.unwrap().unwrap();
        let state = SessionState {
            expires: LATER,
            ..loaded.state
        };
        let version = store.save_session(&id, &state, loaded.version).await;
        store
            .touch_session(&id, LATER, version.unwrap())
            .await
            .unwrap();
        most = most.max(LIMIT as usize - all_free().len());
    }
    most
}

/// Checks that walks, lists, sweeps and deletes succeed.
async fn everything_else(store: &dyn Maintenance) {
    let mut sessions = 0;
    let mut cursor = None;
    loop {
        let page = store.iter_sessions(cursor.as_deref(), 10).await.unwrap();
        assert_eq!(page.damaged, []);
        sessions += page.sessions.len() as u64;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(sessions, SESSIONS);
    let mut listed = 0;
    for number in 0..5 {
        let user = work::user(number);
        listed += store.sessions_of_user(&user).await.unwrap().len() as u64;
    }
    assert_eq!(listed, SESSIONS);
    let report = store.delete_old_sessions(MINUTES, None).await.unwrap();
    assert_eq!((report.deleted, report.remaining), (0, SESSIONS));
    for session in 0..SESSIONS {
        assert_eq!(store.delete_session(&id(session)).await, Ok(true));
    }
}

/// Checks that loads succeed while other code of the process takes every free file descriptor: the
/// store then closes the files in its cache.
async fn with_none_left(store: &dyn Maintenance) {
    let mut others = Vec::new();
    for session in 0..SESSIONS {
        others.extend(all_free());
        let loaded = store.load_session(&id(session)).await;
        assert!(loaded.unwrap().is_some());
    }
}

/// Checks that a store without a file descriptor cache refuses calls while no file descriptor is
/// free, and works again afterwards.
async fn really_out(job: &Job) {
    let store = job.open_with(Options::default().max_kept_files(0));
    let others = all_free();
    for session in 0..SESSIONS {
        let id = id(session);
        match store.load_session(&id).await {
            Err(StoreError::Unavailable(what)) => {
                assert!(what.contains("Too many open files"), "{what}");
            }
            other => panic!("{other:?}"),
        }
        let state = SessionState::default();
        let saved = store.save_session(&id, &state, 3).await;
        assert!(
            matches!(saved, Err(StoreError::Unavailable(_))),
            "{saved:?}"
        );
        let created = store.create_session(&work::id(SESSIONS), &state).await;
        assert!(
            matches!(created, Err(StoreError::Unavailable(_))),
            "{created:?}"
        );
    }
    drop(others);
    let absent = store.load_session(&id(SESSIONS)).await;
    assert_eq!(absent, Ok(None));
    assert!(store.load_session(&id(0)).await.unwrap().is_some());
}

/// Opens as many files as the process still may.
fn all_free() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

/// Returns the number of files that this process has open.
fn count_open() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
