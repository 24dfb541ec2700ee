//! Calls of a store that a test disturbs: in time, and with the outcomes that are possible.

use std::time::{Duration, Instant};

use session3_store::StoreError;

/// How long an operation of a store that is disturbed may take.
pub const TIMEOUT: Duration = Duration::from_millis(500);

/// What a loaded machine may add to that.
pub const SLACK: Duration = Duration::from_secs(5);

/// Returns what an operation returns, and checks that it ended in time.
pub async fn in_time<T>(operation: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let result = operation.await;
    assert!(start.elapsed() < TIMEOUT + SLACK, "{:?}", start.elapsed());
    result
}

/// Returns whether an operation failed without a known outcome.
pub fn is_unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

/// Waits until a condition holds.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "waited in vain for {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
