//! Fair shares of the processors. Applications that compute for long take turns, so that a
//! request that is answered quickly does not wait for a slice of each of them.

use std::num::NonZero;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// How long an application may compute for a request before it takes turns. Most requests need
/// less than that.
const SHORT: Duration = Duration::from_millis(20);

/// The turns of a server, of which there are as many at a time as processors.
#[derive(Clone)]
pub struct Turns(Arc<Semaphore>);

impl Turns {
    /// Creates the turns for the processors of this machine.
    pub fn new() -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self(Arc::new(Semaphore::new(processors)))
    }
}

/// What an application has computed for a request, and its place among those that wait for
/// their turn.
pub struct Turn {
    turns: Turns,
    computed: Duration,
    waiting: Option<Waiting>,
}

type Waiting = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

impl Turn {
    /// Creates the turn of an application that has computed nothing yet.
    pub fn new(turns: Turns) -> Self {
        Self {
            turns,
            computed: Duration::ZERO,
            waiting: None,
        }
    }

    /// Lets the application compute until it yields. One that has computed for long first waits
    /// for its turn.
    pub fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        compute: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let turn = match self.computed > SHORT {
            true => Some(ready!(self.poll_turn(context))),
            false => None,
        };
        let start = Instant::now();
        let result = compute(context);
        self.computed += start.elapsed();
        drop(turn);
        result
    }

    fn poll_turn(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<OwnedSemaphorePermit, AcquireError>> {
        let turns = &self.turns.0;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(turns.clone().acquire_owned()));
        // The semaphore is never closed.
        let turn = ready!(waiting.as_mut().poll(context));
        self.waiting = None;
        Poll::Ready(turn)
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    fn context() -> Context<'static> {
        Context::from_waker(std::task::Waker::noop())
    }

    fn compute(turn: &mut Turn, time: Duration) -> Poll<()> {
        turn.poll(&mut context(), |_| {
            sleep(time);
            Poll::Ready(())
        })
    }

    #[test]
    fn only_those_that_have_computed_for_long_wait_for_a_turn() {
        let turns = Turns(Arc::new(Semaphore::new(1)));
        let taken = turns.0.clone().try_acquire_owned();
        let [mut long, mut short] = [(); 2].map(|()| Turn::new(turns.clone()));
        assert!(compute(&mut long, SHORT * 2).is_ready());
        assert!(compute(&mut long, SHORT).is_pending());
        assert!(compute(&mut short, Duration::ZERO).is_ready());
        drop(taken);
        assert!(compute(&mut long, Duration::ZERO).is_ready());
        assert_eq!(turns.0.available_permits(), 1, "its turn is over");
    }

    #[test]
    fn a_turn_is_lost_by_nobody_who_gives_up() {
        let turns = Turns(Arc::new(Semaphore::new(1)));
        let taken = turns.0.clone().try_acquire_owned();
        let [mut first, mut second] = [(); 2].map(|()| Turn::new(turns.clone()));
        for turn in [&mut first, &mut second] {
            turn.computed = SHORT * 2;
            assert!(compute(turn, Duration::ZERO).is_pending());
        }
        drop(taken);
        drop(first);
        assert!(compute(&mut second, Duration::ZERO).is_ready());
    }
}
