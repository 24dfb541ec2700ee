//! The store's clock, passed in so that tests own it.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Timestamp;

/// Tells a store what time it is.
pub trait Clock: Send + Sync {
    /// The time, in milliseconds since 1970.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock before 1970 is not set: as good as 1970.
        since.map_or(0, |since| since.as_millis().try_into().unwrap_or(u64::MAX))
    }
}

impl<F: Fn() -> Timestamp + Send + Sync> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}
