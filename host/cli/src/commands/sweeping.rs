//! The background task of a server that deletes expired sessions, so that no job for cron
//! is needed.

use std::sync::Arc;
use std::time::Duration;

use session3::store::{SessionStore, StoreError};
use tokio::time::interval;

/// How long a call to the store may take. At its end, the program waits for the call that
/// is running.
const TIME_SLICE: Duration = Duration::from_secs(1);

/// The age limit, in minutes, under which a sweep deletes only sessions that have expired
/// by their own timeouts.
const NO_AGE_LIMIT: u32 = u32::MAX;

/// Deletes the expired sessions of a store at this interval, for as long as the program
/// runs.
pub async fn sweep_forever(store: Arc<dyn SessionStore>, every: Duration) {
    let mut ticks = interval(every);
    // The first tick is immediate, when a starting server has other work to do.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        match sweep_all(&store).await {
            Ok(0) => {}
            Ok(deleted) => tracing::info!("sessions that had expired and were deleted: {deleted}"),
            // Another process that uses this directory is sweeping it.
            Err(StoreError::Busy) => {}
            Err(error) => {
                tracing::error!("the sessions that have expired could not be deleted: {error}")
            }
        }
    }
}

/// Sweeps the store to its end, and returns the number of sessions that were deleted.
async fn sweep_all(store: &Arc<dyn SessionStore>) -> Result<u64, StoreError> {
    let mut deleted = 0;
    loop {
        let report = store
            .delete_old_sessions(NO_AGE_LIMIT, Some(TIME_SLICE))
            .await?;
        deleted += report.deleted;
        if report.complete {
            return Ok(deleted);
        }
    }
}
