//! The conformance suite, run on the native stores.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use session3_store::{MemoryStore, SessionStore};
use session3_store_directory::{DirectoryStore, Durability, Options};
use session3_store_tests::{Given, TestClock, conformance_suite, promises, run};
use session3_test_support::in_turn::InTurn;
use session3_test_support::record_in;

async fn memory() -> Given {
    let clock = TestClock::default();
    let store = Arc::new(MemoryStore::new(clock.reader()));
    Given::new(store, clock)
}

async fn directory() -> Given {
    in_directory(|options| options)
}

async fn directory_that_keeps_no_file_open() -> Given {
    in_directory(|options| options.max_kept_files(0))
}

async fn directory_that_flushes() -> Given {
    in_directory(|options| options.durability(Durability::Disk))
}

/// Returns a store whose calls go to two handles of one directory in turn, as if two processes
/// used it.
async fn directory_of_two_handles() -> Given {
    with_directory(|path, options| {
        let open = || DirectoryStore::open(path, options.clone()).unwrap();
        Arc::new(InTurn::new([open(), open()]))
    })
}

conformance_suite!(memory);
conformance_suite!(directory);
conformance_suite!(directory_that_keeps_no_file_open);
conformance_suite!(directory_that_flushes);
conformance_suite!(directory_of_two_handles);

#[test]
fn who_waits_for_a_lock_in_vain_gets_busy() {
    let impatient = async || in_directory(|options| options.lock_timeout(Duration::ZERO));
    run(
        impatient,
        promises::waiting_for_a_lock_in_vain_ends_with_busy,
    );
    run(memory, promises::waiting_for_a_lock_in_vain_ends_with_busy);
}

fn in_directory(change: impl FnOnce(Options) -> Options) -> Given {
    with_directory(|path, options| Arc::new(DirectoryStore::open(path, change(options)).unwrap()))
}

fn with_directory(open: impl FnOnce(&Path, Options) -> Arc<dyn SessionStore>) -> Given {
    let directory = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let path = directory.path().to_owned();
    let store = open(&path, Options::default().clock(clock.reader()));
    Given::new(store, clock)
        .multiprocess_safe(true)
        .damage_with(move |id| fs::write(record_in(&path, id), "nonsense").unwrap())
        .keep(directory)
}
