//! A disk that stalls: system calls do not return for a while.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::io::Errno;
use session3_store::{SessionState, SessionStore, StoreError};
use session3_store_directory::{Call, DirectoryStore, Options, Watch};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use session3_test_support::id;

/// How long a test waits for what has to happen although the disk stalls.
const SOON: Duration = Duration::from_secs(30);

/// A disk that stalls while a test says so.
#[derive(Clone, Default)]
struct Disk(Arc<(Mutex<Stall>, Condvar)>);

#[derive(Default)]
struct Stall {
    is_stalled: bool,
    /// Whether the system still has in its memory what it read before.
    has_all_in_memory: bool,
    /// The number of calls that do not return.
    calls: usize,
}

impl Disk {
    fn set_stalled(&self, is_stalled: bool) {
        self.0.0.lock().is_stalled = is_stalled;
        self.0.1.notify_all();
    }

    fn calls(&self) -> usize {
        self.0.0.lock().calls
    }
}

impl Watch for Disk {
    fn before(&self, call: Call) -> io::Result<usize> {
        let mut stall = self.0.0.lock();
        if let Call::ReadInMemory(_) = call {
            return match stall.is_stalled && !stall.has_all_in_memory {
                true => Err(Errno::AGAIN.into()),
                false => Ok(usize::MAX),
            };
        }
        stall.calls += 1;
        self.0.1.wait_while(&mut stall, |stall| stall.is_stalled);
        stall.calls -= 1;
        Ok(usize::MAX)
    }
}

/// Ends the stall when a test fails, too: the end of the runtime waits for all calls.
impl Drop for Given {
    fn drop(&mut self) {
        self.disk.set_stalled(false);
    }
}

/// Returns a state that does not expire during the test.
fn state(data: &str) -> SessionState {
    SessionState {
        expires: u64::MAX,
        ..session3_test_support::state(data)
    }
}

struct Given {
    _directory: TempDir,
    disk: Disk,
    store: Arc<DirectoryStore>,
    runtime: Runtime,
}

/// Creates a store with a session, and a runtime with some threads.
fn given(threads: usize) -> Given {
    given_with(threads, Options::default())
}

fn given_with(threads: usize, options: Options) -> Given {
    let (directory, disk) = (tempfile::tempdir().unwrap(), Disk::default());
    let options = options.watch(Arc::new(disk.clone()));
    let store = Arc::new(DirectoryStore::open(directory.path(), options).unwrap());
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_time()
        .build()
        .unwrap();
    let created = runtime.block_on(store.create_session(&id(1), &state("first")));
    assert_eq!(created, Ok(1));
    Given {
        _directory: directory,
        disk,
        store,
        runtime,
    }
}

/// The number of operations that [`call`] knows. The last one is the sweep.
const OPERATIONS: u32 = 10;

/// Calls these operations of a store, each one twice. Returns the futures of their tasks.
fn call(
    given: &Given,
    operations: Range<u32>,
) -> Vec<tokio::task::JoinHandle<Result<(), StoreError>>> {
    let mut tasks = Vec::new();
    let mut spawn = |operation: u32| {
        let store = given.store.clone();
        tasks.push(given.runtime.spawn(async move {
            let (session, state) = (id(1), state("second"));
            match operation {
                0 => store.load_session(&session).await.map(drop),
                1 => store.save_session(&session, &state, 1).await.map(drop),
                2 => store.touch_session(&session, state.expires, 1).await,
                3 => store.delete_session(&id(2)).await.map(drop),
                4 => store.create_session(&id(3), &state).await.map(drop),
                5 => store.has_session(&session).await.map(drop),
                6 => store.sessions_of_user("alice").await.map(drop),
                7 => store.iter_sessions(None, 10).await.map(drop),
                8 => store.lock_session(&session, SOON).await.map(drop),
                _ => store.delete_old_sessions(1000, None).await.map(drop),
            }
        }));
    };
    for operation in operations.clone().chain(operations) {
        spawn(operation);
    }
    tasks
}

/// With one thread, two, and four: whatever needs no session goes on, and so does the time
/// limit of an operation.
#[test]
fn a_disk_that_stalls_stops_no_other_work() {
    for threads in [1, 2, 4] {
        let given = given(threads);
        given.disk.set_stalled(true);
        let tasks = call(&given, 0..OPERATIONS);
        // As many threads block as may.
        while given.disk.calls() < threads {
            std::thread::sleep(Duration::from_millis(1));
        }
        for _ in 0..100 {
            let (sender, answers) = std::sync::mpsc::channel();
            given.runtime.spawn(async move {
                sleep(Duration::from_millis(1)).await;
                sender.send(()).unwrap();
            });
            answers.recv_timeout(SOON).expect("another task runs");
        }
        let store = given.store.clone();
        let late = given.runtime.spawn(async move {
            timeout(Duration::from_millis(10), store.load_session(&id(1))).await
        });
        let late = given
            .runtime
            .block_on(async { timeout(SOON, late).await })
            .expect("the time limit holds");
        assert!(late.unwrap().is_err(), "a load that stalls");

        given.disk.set_stalled(false);
        for task in tasks {
            let ended = given
                .runtime
                .block_on(async { timeout(SOON, task).await })
                .expect("it goes on")
                .unwrap();
            let is_refused = matches!(
                ended,
                Err(StoreError::Conflict(_) | StoreError::Exists | StoreError::Busy)
            );
            assert!(ended.is_ok() || is_refused, "{ended:?}");
        }
        let stored = given.runtime.block_on(given.store.load_session(&id(1)));
        assert_eq!(stored.unwrap().unwrap().version, 2);
    }
}

/// Also while as many threads wait for the disk as may.
#[test]
fn a_session_that_the_system_has_in_its_memory_is_loaded_although_the_disk_stalls() {
    // In the second that this clock shows, the store knows where its path and the name lead to.
    let given = given_with(2, Options::default().clock(|| 1_700_000_000_000));
    let session = id(1);
    let load = || async {
        let loading = given.store.load_session(&session);
        timeout(SOON, loading).await.expect("it does not wait")
    };
    given.runtime.block_on(load()).unwrap();
    given.disk.set_stalled(true);
    given.disk.0.0.lock().has_all_in_memory = true;
    // A sweep drops all files that the store has open.
    let tasks = call(&given, 0..OPERATIONS - 1);
    for _ in 0..100 {
        let loaded = given.runtime.block_on(load());
        assert_eq!(loaded.unwrap().unwrap().version, 1);
    }
    given.disk.set_stalled(false);
    given.runtime.block_on(async {
        for task in tasks {
            timeout(SOON, task).await.expect("it goes on").unwrap().ok();
        }
    });
}
