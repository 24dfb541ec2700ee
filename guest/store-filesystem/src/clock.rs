//! The clocks of the host, and sleeping.

use std::time::Duration;

use session3_store::Timestamp;

use crate::bindings::wasi::clocks::{monotonic_clock, wall_clock};

/// Returns the time, in milliseconds since 1970.
pub fn now() -> Timestamp {
    let now = wall_clock::now();
    let seconds = now.seconds.saturating_mul(1000);
    seconds.saturating_add(u64::from(now.nanoseconds / 1_000_000))
}

/// A point in time by the monotonic clock, which no change of the wall clock affects.
#[derive(Clone, Copy)]
pub struct Start(monotonic_clock::Instant);

impl Start {
    /// Returns the current point in time.
    pub fn now() -> Self {
        Self(monotonic_clock::now())
    }

    /// Returns the time since this point.
    pub fn elapsed(self) -> Duration {
        Duration::from_nanos(monotonic_clock::now().saturating_sub(self.0))
    }
}

/// Blocks this instance for this time.
pub fn sleep(time: Duration) {
    let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    monotonic_clock::subscribe_duration(time).block();
}
