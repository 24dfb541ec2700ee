//! The time, and waiting.

use std::time::Duration;

use crate::bindings::wasi::clocks::{monotonic_clock, wall_clock};
use crate::store::Timestamp;

/// The time of day.
pub fn now() -> Timestamp {
    let now = wall_clock::now();
    let seconds = now.seconds.saturating_mul(1000);
    seconds.saturating_add(u64::from(now.nanoseconds / 1_000_000))
}

/// Since when something is going on, whatever happens to the time of day.
#[derive(Clone, Copy)]
pub struct Start(monotonic_clock::Instant);

impl Start {
    /// Since now.
    pub fn now() -> Self {
        Self(monotonic_clock::now())
    }

    /// How long it has been.
    pub fn elapsed(self) -> Duration {
        Duration::from_nanos(monotonic_clock::now().saturating_sub(self.0))
    }
}

/// Lets others go on for so long.
pub fn sleep(time: Duration) {
    let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    monotonic_clock::subscribe_duration(time).block();
}
