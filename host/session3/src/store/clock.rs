//! The clock of a store's server, for a machine whose own clock is wrong.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use session3_store::{Clock, Maintenance, SystemClock, Timestamp};

/// How far the clocks may differ before that of the server counts, in milliseconds. Clocks that
/// are set by NTP differ by much less, and so does a measurement.
const TOLERANCE: i64 = 5_000;

/// How often the clocks are compared.
const INTERVAL: Duration = Duration::from_secs(60);

/// The clock of this machine, unless it differs from that of the store's server by more than 5
/// seconds: then the server's.
///
/// The session manager says when a session expires, and several machines use the session. So
/// a machine whose clock is wrong would end the sessions of others early, or let them live too
/// long.
pub struct StoreClock {
    /// How far the server's clock is ahead, in milliseconds; zero within the tolerance.
    ahead: AtomicI64,
}

impl StoreClock {
    /// Compares the clocks, and then once a minute in a task, for as long as the store exists. A
    /// difference beyond the tolerance is a line in the log.
    ///
    /// Returns `None` for a store without a clock of its own, such as a directory.
    pub async fn follow(store: &Arc<dyn Maintenance>) -> Option<Arc<Self>> {
        let clock = Arc::new(Self {
            ahead: AtomicI64::new(0),
        });
        match measure(&**store).await {
            Measured::NoClock => return None,
            Measured::Unknown => {}
            Measured::Ahead(ahead) => clock.set(ahead),
        }
        tokio::spawn(follow(Arc::downgrade(store), Arc::downgrade(&clock)));
        Some(clock)
    }

    fn set(&self, ahead: i64) {
        let ahead = if ahead.abs() > TOLERANCE { ahead } else { 0 };
        let before = self.ahead.swap(ahead, Ordering::Relaxed);
        if (ahead - before).abs() <= TOLERANCE {
            return;
        }
        match ahead {
            0 => tracing::info!("the clocks of this machine and of the store's server agree again"),
            _ => tracing::warn!(
                "the clock of this machine is {} seconds {} that of the store's server, which \
                 counts: set it right",
                ahead.unsigned_abs() / 1000,
                if ahead < 0 { "ahead of" } else { "behind" }
            ),
        }
    }
}

impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead.load(Ordering::Relaxed);
        SystemClock.now().saturating_add_signed(ahead)
    }
}

async fn follow(store: Weak<dyn Maintenance>, clock: Weak<StoreClock>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let (Some(store), Some(clock)) = (store.upgrade(), clock.upgrade()) else {
            return;
        };
        if let Measured::Ahead(ahead) = measure(&*store).await {
            clock.set(ahead);
        }
    }
}

enum Measured {
    /// How far the server's clock is ahead, in milliseconds.
    Ahead(i64),
    /// The server did not answer.
    Unknown,
    /// The store has no clock of its own.
    NoClock,
}

/// Asks the server for its time, which was that in the middle of the call.
async fn measure(store: &dyn Maintenance) -> Measured {
    let before = SystemClock.now();
    let found = store.now().await;
    let after = SystemClock.now();
    match found {
        Ok(Some(now)) => {
            let middle = before.midpoint(after);
            Measured::Ahead(now.cast_signed().saturating_sub(middle.cast_signed()))
        }
        Ok(None) => Measured::NoClock,
        Err(_) => Measured::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock_with(ahead: i64) -> StoreClock {
        let clock = StoreClock {
            ahead: AtomicI64::new(0),
        };
        clock.set(ahead);
        clock
    }

    #[test]
    fn the_servers_time_counts_only_if_the_clocks_differ_much() {
        for ahead in [0, TOLERANCE, -TOLERANCE] {
            assert_eq!(clock_with(ahead).ahead.load(Ordering::Relaxed), 0);
        }
        for ahead in [3_600_000, -3_600_000] {
            let now = clock_with(ahead).now().cast_signed();
            let expected = SystemClock.now().cast_signed() + ahead;
            assert!((now - expected).abs() < 1_000);
        }
        let clock = clock_with(3_600_000);
        clock.set(100);
        assert!(clock.now() <= SystemClock.now());
    }

    #[tokio::test]
    async fn a_store_without_a_clock_has_none_to_follow() {
        let store: Arc<dyn Maintenance> = Arc::new(session3_store::MemoryStore::default());
        assert!(StoreClock::follow(&store).await.is_none());
    }
}
