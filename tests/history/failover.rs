//! Failovers, which may lose what was acknowledged.

use crate::history::History;

/// The number of failovers of [`first_loss`].
const FAILOVERS: u64 = 5;

/// What clients saw before and after a failover.
#[derive(Clone, Debug)]
pub struct Failover {
    /// What they did.
    pub history: History,
    /// A time before which the new server had got every change that was acknowledged.
    pub safe: u64,
    /// A time after the last answer of the old server.
    pub time: u64,
}

impl Failover {
    /// Forgets the operations before the failover that changed nothing, for a store that may show
    /// a change that the new server has not got, and may acknowledge none.
    pub fn without_early_reads(self) -> History {
        self.history.without_reads_before(self.time)
    }

    /// Returns the history as it is.
    pub fn with_early_reads(self) -> History {
        self.history
    }

    /// Takes the changes that the new server may not have got for ones with unknown outcomes, and
    /// forgets the touches, so that the history has an order if nothing else was lost.
    pub fn without_losses(self) -> History {
        let history = self.history.without_touches();
        let history = history.with_doubts(self.safe..self.time);
        history.without_reads_before(self.time)
    }
}

/// Fails over with seeds from this one on, until the checked part of a history has a violation,
/// and returns that failover. Most of those have one in which the new server lacks changes: some
/// session that was changed meanwhile is still in use afterwards.
///
/// # Panics
///
/// If there is none in five failovers: what was lost was not found.
pub async fn first_loss(
    seed: u64,
    mut fail_over: impl AsyncFnMut(u64) -> Failover,
    checked: fn(Failover) -> History,
) -> Failover {
    for seed in (0..FAILOVERS).map(|round| seed.wrapping_add(round)) {
        let failover = fail_over(seed).await;
        if let Err(violation) = checked(failover.clone()).check() {
            println!("{violation}");
            return failover;
        }
    }
    panic!("what was lost was not found");
}
