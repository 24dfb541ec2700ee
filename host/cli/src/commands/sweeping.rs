//! The background task of a server that deletes expired sessions, so that no job for cron
//! is needed.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use session3::store::{SessionStore, StoreError};
use tokio::time::{interval, sleep};

/// How long a call to the store may take. At its end, the program waits for the call that
/// is running.
const TIME_SLICE: Duration = Duration::from_secs(1);

/// The age limit, in minutes, under which a sweep deletes only sessions that have expired
/// by their own timeouts.
pub const NO_AGE_LIMIT: u32 = u32::MAX;

/// The longest time from the start of a server to its first sweep.
const MAX_FIRST_DELAY: Duration = Duration::from_secs(60);

/// A difference between the clocks that a correction of the time of day may cause.
const MAX_JUMP: Duration = Duration::from_secs(60);

/// Deletes the expired sessions of a store at this interval, for as long as the program
/// runs. The first sweep comes soon after the start, since a server may be started again
/// before the interval has passed.
///
/// If the time of day has jumped ahead since the last sweep, all sessions may seem to have
/// expired. Then this writes a line to the log and leaves the sessions alone until the next
/// sweep, so that an operator can set the clock right.
pub async fn sweep_forever(store: Arc<dyn SessionStore>, every: Duration) {
    let mut last = (SystemTime::now(), Instant::now());
    sleep(first_delay(every)).await;
    // The first tick is immediate.
    let mut ticks = interval(every);
    loop {
        ticks.tick().await;
        let now = (SystemTime::now(), Instant::now());
        let jump = jump_ahead(last, now);
        last = now;
        if let Some(jump) = jump {
            tracing::warn!(
                "the time of day jumped ahead by {} seconds: expired sessions are deleted in {} \
                 seconds, so set the clock right before that if it is wrong",
                jump.as_secs(),
                every.as_secs()
            );
            continue;
        }
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

/// Returns a random time before the first sweep, so that a starting server has done its other
/// work, and servers that start together do not sweep together.
fn first_delay(every: Duration) -> Duration {
    let random = RandomState::new().hash_one(()) as f64 / u64::MAX as f64;
    every.min(MAX_FIRST_DELAY).mul_f64(random)
}

/// Returns by how much more the time of day went on than the steady clock, if that is more
/// than a correction. A machine that was suspended makes such a jump, too.
fn jump_ahead(
    (day_before, steady_before): (SystemTime, Instant),
    (day, steady): (SystemTime, Instant),
) -> Option<Duration> {
    let passed = steady.saturating_duration_since(steady_before);
    let jump = day.duration_since(day_before).ok()?.checked_sub(passed)?;
    (jump > MAX_JUMP).then_some(jump)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sweep_comes_within_the_interval_and_a_minute() {
        for every in [1, 3600] {
            let every = Duration::from_secs(every);
            let delays: Vec<_> = (0..100).map(|_| first_delay(every)).collect();
            assert!(
                delays
                    .iter()
                    .all(|delay| *delay <= every.min(MAX_FIRST_DELAY))
            );
            assert!(delays.iter().any(|delay| *delay != delays[0]));
        }
    }

    #[test]
    fn only_a_jump_ahead_is_one() {
        let (day, steady) = (SystemTime::now(), Instant::now());
        let jump = |day_passed, steady_passed| {
            let later = day + Duration::from_secs(day_passed);
            jump_ahead(
                (day, steady),
                (later, steady + Duration::from_secs(steady_passed)),
            )
        };
        assert_eq!(jump(3600, 3600), None);
        assert_eq!(jump(3660, 3600), None);
        assert_eq!(jump(3661, 3600), Some(Duration::from_secs(61)));
        assert_eq!(jump(3500, 3600), None);
        let back = (day - Duration::from_secs(9999), steady);
        assert_eq!(jump_ahead((day, steady), back), None);
    }
}
