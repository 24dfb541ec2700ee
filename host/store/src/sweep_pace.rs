//! The pace of a sweep: short steps with long pauses between them.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How long a sweep pauses after a step, as a multiple of the time of the step. Where a step
/// keeps all requests waiting, requests then take at most 1/32 longer on average.
const PAUSE: u32 = 32;
/// The longest pause. It is shorter than the leases of sweeps.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The pace of a sweep in a store whose server, or whose only writer, works for requests as
/// well.
///
/// ```
/// use std::time::Duration;
///
/// use session3_store::SweepPace;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut pace = SweepPace::start(Some(Duration::from_millis(10)));
/// let mut steps = 0;
/// loop {
///     // Look at some sessions, and delete the old ones.
///     steps += 1;
///     if !pace.allows_another_step().await {
///         break;
///     }
/// }
/// assert!(steps > 0);
/// # }
/// ```
#[derive(Debug)]
pub struct SweepPace {
    /// When the sweep has to stop.
    deadline: Option<Instant>,
    /// When the step began that is under way.
    step_began: Instant,
}

impl SweepPace {
    /// Begins a sweep, whose first step may begin at once, and which stops after `limit`.
    pub fn start(limit: Option<Duration>) -> Self {
        let now = Instant::now();
        Self {
            deadline: limit.and_then(|limit| now.checked_add(limit)),
            step_began: now,
        }
    }

    /// Pauses after a step, at most until the limit. Returns whether another step may begin.
    pub async fn allows_another_step(&mut self) -> bool {
        let now = Instant::now();
        let pause = ((now - self.step_began) * PAUSE).min(MAX_PAUSE);
        let end = self
            .deadline
            .map_or(now + pause, |deadline| deadline.min(now + pause));
        sleep_until(end).await;
        self.step_began = Instant::now();
        self.deadline
            .is_none_or(|deadline| self.step_began < deadline)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const STEP: Duration = Duration::from_millis(10);

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_a_multiple_of_the_step_before_it() {
        let mut pace = SweepPace::start(None);
        for step in [STEP, STEP * 3] {
            advance(step).await;
            let before = Instant::now();
            assert!(pace.allows_another_step().await);
            assert_eq!(before.elapsed(), step * PAUSE);
        }
        advance(Duration::from_secs(60)).await;
        let before = Instant::now();
        assert!(pace.allows_another_step().await);
        assert_eq!(before.elapsed(), MAX_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sweep_ends_at_its_limit_even_during_a_pause() {
        let start = Instant::now();
        let mut pace = SweepPace::start(Some(STEP * PAUSE * 2));
        advance(STEP).await;
        assert!(pace.allows_another_step().await);
        advance(STEP).await;
        assert!(!pace.allows_another_step().await);
        assert_eq!(start.elapsed(), STEP * PAUSE * 2);
        let mut pace = SweepPace::start(Some(Duration::ZERO));
        assert!(!pace.allows_another_step().await);
    }
}
