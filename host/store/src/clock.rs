//! The clock of a store, which is passed in so that tests control it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::Timestamp;

/// A source of the current time, which tests replace.
pub trait Clock: Send + Sync {
    /// Returns the time, in milliseconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock that shows a time before 1970 was never set. It counts as 1970.
        since.map_or(0, |since| since.as_millis().try_into().unwrap_or(u64::MAX))
    }
}

impl<F: Fn() -> Timestamp + Send + Sync> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}
