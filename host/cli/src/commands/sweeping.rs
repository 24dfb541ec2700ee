//! A server deletes what has expired, so that it needs no cron for that.

use std::sync::Arc;
use std::time::Duration;

use session3::store::{SessionStore, StoreError};
use tokio::time::interval;

/// Of a sweep at a time: the end of the program waits for it.
const PIECE: Duration = Duration::from_secs(1);

/// Only what has expired, by the sessions' own timeouts.
const ANY_AGE: u32 = u32::MAX;

/// Sweeps as often as this, for as long as the program runs.
pub async fn sweep(store: Arc<dyn SessionStore>, every: Duration) {
    let mut ticks = interval(every);
    // The first one is at once, when a server has other things to do.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        match sweep_all(&store).await {
            Ok(0) => {}
            Ok(deleted) => tracing::info!("sessions that had expired and were deleted: {deleted}"),
            // Another process of this directory is at it.
            Err(StoreError::Busy) => {}
            Err(error) => tracing::error!("sessions that have expired were not deleted: {error}"),
        }
    }
}

/// How many it deleted.
async fn sweep_all(store: &Arc<dyn SessionStore>) -> Result<u64, StoreError> {
    let mut deleted = 0;
    loop {
        let report = store.delete_old_sessions(ANY_AGE, Some(PIECE)).await?;
        deleted += report.deleted;
        if report.complete {
            return Ok(deleted);
        }
    }
}
