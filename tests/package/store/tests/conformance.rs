use std::sync::Arc;

use session3_store_tests::{Given, TestClock, conformance_suite};

async fn my_store() -> Given {
    let clock = TestClock::default();
    let store = Arc::new(store::MyStore::new(clock.reader()));
    Given::new(store, clock)
}

conformance_suite!(my_store);
