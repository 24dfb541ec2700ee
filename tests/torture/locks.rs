//! The lock of a record that another process holds.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use fs2::FileExt as _;
use session3_store::{SessionState, StoreError};
use session3_store_directory::{Durability, Options};
use session3_test_support::layer::Layer;

use crate::child::{Job, LATER, Process, Role, block_on, say};
use crate::plan::Plan;
use crate::work::{self, id};

/// Takes the lock of the first session, reports that, and holds the lock until it is killed.
pub fn hold(job: &Job) {
    let name = id(0).to_string();
    let path = job.directory.join("store").join(&name[..2]).join(name);
    let file = File::options().write(true).open(path).unwrap();
    file.lock_exclusive().unwrap();
    say("locked");
    // If the parent process ends without killing this one, the standard input ends.
    let _ = std::io::stdin().read(&mut [0]);
}

struct Fixture {
    _directory: tempfile::TempDir,
    job: Job,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let job = Job {
            directory: directory.path().to_owned(),
            durability: Durability::Process,
            layer: Layer::Plain,
            sessions: 1,
            processes: 1,
            me: 0,
            duration: Duration::ZERO,
            seed: 0,
        };
        block_on(work::create(&*job.open(), 1));
        Self {
            _directory: directory,
            job,
        }
    }

    /// Starts a process that holds the lock, and waits until it has it.
    fn holder(&self) -> Process {
        let mut holder = Process::start(Role::Hold, &self.job);
        let mut line = String::new();
        BufReader::new(holder.output())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "locked\n");
        holder
    }
}

fn state() -> SessionState {
    SessionState {
        user: None,
        expires: LATER,
        data: b"new".into(),
    }
}

/// Checks that a save, a touch and a delete of a locked session give up after the lock timeout and
/// not before, and that a load and a sweep do not wait.
pub fn busy(_: &Plan) {
    const TIMEOUT: Duration = Duration::from_millis(100);
    let fixture = Fixture::new();
    let store = fixture
        .job
        .open_with(Options::default().lock_timeout(TIMEOUT));
    let mut holder = fixture.holder();
    block_on(async {
        let start = Instant::now();
        let saved = store.save_session(&id(0), &state(), 1).await;
        assert_eq!(saved, Err(StoreError::Busy));
        assert!(start.elapsed() >= TIMEOUT);
        println!("  busy after {:?} of {TIMEOUT:?}", start.elapsed());
        let touched = store.touch_session(&id(0), LATER, 1).await;
        assert_eq!(touched, Err(StoreError::Busy));
        let deleted = store.delete_session(&id(0)).await;
        assert_eq!(deleted, Err(StoreError::Busy));
        let loaded = store.load_session(&id(0)).await.unwrap().unwrap();
        assert_eq!(loaded.version, 1);
        let swept = store.delete_old_sessions(0, None).await.unwrap();
        assert_eq!(
            (swept.deleted, swept.remaining),
            (0, 1),
            "the sweep does not wait for the lock"
        );
        assert!(holder.kill());
        assert_eq!(store.save_session(&id(0), &state(), 1).await, Ok(2));
    });
}

/// Checks that a save that waits for a lock gets it when the lock holder is killed.
///
/// The executor has one thread, on which the kill also runs. If the wait blocked that thread, the
/// save would fail with `busy`.
pub fn killed_holder(_: &Plan) {
    let fixture = Fixture::new();
    let timeout = Duration::from_secs(60);
    let store = fixture
        .job
        .open_with(Options::default().lock_timeout(timeout));
    let mut holder = fixture.holder();
    let kill = async {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(holder.kill());
        Instant::now()
    };
    block_on(async {
        let save = async {
            let saved = store.save_session(&id(0), &state(), 1).await;
            (saved, Instant::now())
        };
        let ((saved, end), killed) = tokio::join!(save, kill);
        assert_eq!(saved, Ok(2));
        assert!(end >= killed, "the save did not wait for the lock");
        println!("  saved {:?} after the kill", end - killed);
    });
}
