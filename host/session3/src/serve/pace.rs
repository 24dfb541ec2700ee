//! The pace of a client that sends or takes a body.

use std::time::Duration;

use tokio::time::Instant;

/// The number of bytes that a client has to send or take in each period.
pub const PACE: u64 = 16 << 10;
/// The longest period if there is little memory for more bodies.
pub const CROWDED_PACE: Duration = Duration::from_secs(2);

/// How many periods a client may have in reserve. The buffers of the systems between server and
/// client take megabytes at once, and then nothing for a while, however steady the client is.
const MAX_RESERVE: u32 = 3;

/// Whether a client keeps up the [pace](PACE), in the time in which it is waited for.
pub struct Pace {
    period: Duration,
    /// How long the client may be waited for from `since` on.
    reserve: Duration,
    /// Since when the client is waited for.
    since: Option<Instant>,
    /// When the client last sent or took something, or when it was first waited for.
    last_step: Option<Instant>,
}

impl Pace {
    /// Begins with one period, in which the client is not waited for yet.
    pub fn new(period: Duration) -> Self {
        Self {
            period,
            reserve: period,
            since: None,
            last_step: None,
        }
    }

    /// Notes that the client is waited for.
    pub fn wait(&mut self) {
        if self.since.is_none() {
            let now = Instant::now();
            (self.since, self.last_step) = (Some(now), Some(now));
        }
    }

    /// Notes that the client is not waited for any more.
    pub fn stop_waiting(&mut self) {
        if let Some(since) = self.since.take() {
            self.reserve = self.reserve.saturating_sub(since.elapsed());
        }
        self.last_step = None;
    }

    /// Notes that the client has taken all that there is, so that it owes nothing.
    pub fn settle(&mut self) {
        self.stop_waiting();
        self.reserve = self.reserve.max(self.period);
    }

    /// Notes that the client has sent or taken bytes.
    pub fn note(&mut self, bytes: u64) {
        let is_waited_for = self.since.is_some();
        self.stop_waiting();
        let earned = self.period.mul_f64(bytes as f64 / PACE as f64);
        self.reserve = (self.reserve + earned).min(self.period * MAX_RESERVE);
        if is_waited_for {
            self.wait();
        }
    }

    /// Returns how long the client may still take; `None` if it is too slow.
    pub fn left(&self) -> Option<Duration> {
        let waited = self.since.map(|since| since.elapsed()).unwrap_or_default();
        let left = self.reserve.checked_sub(waited)?;
        (!left.is_zero()).then_some(left)
    }

    /// Returns how long the client was waited for since it last sent or took something.
    pub fn waited(&self) -> Duration {
        let last_step = self.last_step.map(|last| last.elapsed());
        last_step.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, pause};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_client_has_to_keep_up_the_pace() {
        pause();
        let mut pace = Pace::new(10 * SECOND);
        advance(90 * SECOND).await;
        assert_eq!(pace.left(), Some(10 * SECOND), "nobody waits for it");
        pace.wait();
        advance(4 * SECOND).await;
        assert_eq!(pace.waited(), 4 * SECOND);
        pace.note(PACE / 2);
        assert_eq!(pace.waited(), Duration::ZERO);
        assert_eq!(pace.left(), Some(11 * SECOND));
        pace.stop_waiting();
        advance(90 * SECOND).await;
        pace.wait();
        advance(10 * SECOND).await;
        assert_eq!(pace.left(), Some(SECOND));
        advance(SECOND).await;
        assert_eq!(pace.left(), None);
    }

    #[tokio::test]
    async fn a_fast_client_has_some_reserve() {
        pause();
        let mut pace = Pace::new(10 * SECOND);
        pace.wait();
        pace.note(100 * PACE);
        advance(29 * SECOND).await;
        assert_eq!(pace.left(), Some(SECOND));
        advance(SECOND).await;
        assert_eq!(pace.left(), None);
        pace.settle();
        assert_eq!(pace.left(), Some(10 * SECOND));
    }
}
