//! The pace of a client that sends or takes a body.

use std::time::Duration;

use tokio::time::Instant;

/// The number of bytes that a client has to send or take in each period.
pub const PACE: u64 = 16 << 10;
/// The longest period if there is little memory for more bodies.
pub const CROWDED_PACE: Duration = Duration::from_secs(2);

/// Whether a client keeps up the [pace](PACE), in the time in which it is waited for.
pub struct Pace {
    period: Duration,
    /// How long the client was waited for in this period, before `since`.
    waited: Duration,
    /// Since when the client is waited for.
    since: Option<Instant>,
    /// The number of bytes in this period.
    bytes: u64,
}

impl Pace {
    /// Begins the first period, in which the client is not waited for yet.
    pub fn new(period: Duration) -> Self {
        Self {
            period,
            waited: Duration::ZERO,
            since: None,
            bytes: 0,
        }
    }

    /// Notes that the client is waited for.
    pub fn wait(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// Notes that the client is not waited for any more.
    pub fn stop_waiting(&mut self) {
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Notes that the client has sent or taken bytes.
    pub fn note(&mut self, bytes: u64) {
        self.bytes += bytes;
        if self.bytes >= PACE {
            (self.bytes, self.waited) = (0, Duration::ZERO);
            self.since = self.since.map(|_| Instant::now());
        }
    }

    /// Returns how long the client may still take; `None` if it is too slow.
    pub fn left(&self) -> Option<Duration> {
        let left = self.period.checked_sub(self.waited())?;
        (!left.is_zero()).then_some(left)
    }

    /// Returns how long the client was waited for in this period.
    pub fn waited(&self) -> Duration {
        let waiting = self.since.map(|since| since.elapsed());
        self.waited + waiting.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, pause};

    use super::*;

    #[tokio::test]
    async fn a_client_has_to_keep_up_the_pace() {
        pause();
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(10 * second);
        advance(90 * second).await;
        assert_eq!(pace.left(), Some(10 * second), "nobody waits for it");
        pace.wait();
        advance(4 * second).await;
        pace.note(PACE - 1);
        pace.stop_waiting();
        advance(90 * second).await;
        pace.wait();
        advance(5 * second).await;
        assert_eq!(pace.left(), Some(second));
        pace.note(1);
        assert_eq!(pace.left(), Some(10 * second));
        advance(10 * second).await;
        assert_eq!(pace.left(), None);
    }
}
