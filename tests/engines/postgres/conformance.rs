//! The conformance suite.

use std::sync::Arc;

use session3_store_postgres::{Options, PostgresStore};
use session3_store_tests::{Given, TestClock, conformance_suite, promises, run};

use crate::server::{new_table, shared};

async fn postgres() -> Given {
    with_options(|options| options).await
}

conformance_suite!(postgres);

#[test]
fn who_waits_for_a_lock_in_vain_gets_busy() {
    let impatient =
        async || with_options(|options| options.lock_timeout(std::time::Duration::ZERO)).await;
    run(
        impatient,
        promises::waiting_for_a_lock_in_vain_ends_with_busy,
    );
}

async fn with_options(change: impl FnOnce(Options) -> Options) -> Given {
    opened(&new_table(shared()), change).await
}

async fn opened(url: &str, change: impl FnOnce(Options) -> Options) -> Given {
    let clock = TestClock::default();
    let options = Options::default().create(true).clock(clock.reader());
    let store = PostgresStore::open(url, change(options)).await;
    Given::new(Arc::new(store.unwrap()), clock).multiprocess_safe(true)
}

/// With statements that each connection prepares.
mod prepared {
    use session3_store_tests::{Given, conformance_suite};

    use crate::server::{new_table, shared};

    async fn postgres() -> Given {
        let url = format!("{}&prepare=on", new_table(shared()));
        super::opened(&url, |options| options).await
    }

    conformance_suite!(postgres);
}
