//! Histories of the native stores, which must be linearizable.

use std::sync::Arc;

use session3_store::MemoryStore;
use session3_store_directory::{DirectoryStore, Durability, Options};
use session3_test_history::{Plan, Subject, record};
use session3_test_support::layer::sealed;
use session3_test_support::{block_on, random};

/// Records a history with these stores, and checks it.
fn assert_linearizable(plan: Plan, stores: Vec<Arc<dyn Subject>>) {
    let answers = if random::is_long() { 200_000 } else { 5000 };
    let recording = record(plan, stores, async |recorder| {
        recorder.progress(answers).await;
    });
    block_on(recording).assert_linearizable();
}

#[test]
fn what_clients_of_the_store_in_memory_see_has_an_order() {
    let plan = Plan::new(random::seed());
    assert_linearizable(plan, vec![Arc::new(MemoryStore::default())]);
}

#[test]
fn what_clients_of_several_handles_of_a_directory_see_has_an_order() {
    assert_linearizable_in_directories(|store| Arc::new(store));
}

#[test]
fn what_clients_of_several_handles_of_a_sealed_directory_see_has_an_order() {
    assert_linearizable_in_directories(|store| Arc::new(sealed(store)));
}

/// Records histories with three handles of a directory, of which `wrap` makes stores.
fn assert_linearizable_in_directories(wrap: fn(DirectoryStore) -> Arc<dyn Subject>) {
    let seed = random::seed();
    for (durability, kept) in [
        (Durability::Process, 1000),
        (Durability::Process, 0),
        (Durability::Disk, 1000),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let options = Options::default()
            .create(true)
            .durability(durability)
            .max_kept_files(kept);
        let open = |_| wrap(DirectoryStore::open(directory.path(), options.clone()).unwrap());
        let plan = Plan {
            drops: 3,
            ..Plan::new(seed)
        };
        assert_linearizable(plan, (0..3).map(open).collect());
    }
}
