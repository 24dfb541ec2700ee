//! The time that an application has for a request.
//!
//! The time in which the application waits for its client does not count: a client that
//! uploads or downloads slowly is served. How slow it may be, the bodies and the connection
//! decide.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// How long an application may wait for a client that does almost nothing while other requests
/// wait for an instance.
const SHORT_WAIT: Duration = Duration::from_secs(1);
/// How many bytes a client has to send or take in that time. One byte would not be enough: a
/// client that sends one every now and then could keep an instance.
const MIN_PROGRESS: u64 = 4 << 10;

/// The limits for the time of a request.
pub struct Limits {
    /// How long the application may take, without the time in which it waits for its client.
    pub application: Duration,
    /// How long the request may take in all.
    pub response: Duration,
    /// The requests that wait for an instance.
    pub waiting: Waiting,
}

/// The number of requests that wait for an instance.
#[derive(Clone, Default)]
pub struct Waiting(Arc<AtomicUsize>);

/// A request that waits for an instance, until this is dropped.
pub struct WaitingRequest(Waiting);

impl Waiting {
    /// Adds a request.
    pub fn add(&self) -> WaitingRequest {
        self.0.fetch_add(1, Relaxed);
        WaitingRequest(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl Drop for WaitingRequest {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

/// Why an application got no more time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Late {
    /// It took longer than it may, or the whole request did.
    TooLong,
    /// It waited for a client that did almost nothing, and other requests wait for an instance.
    SlowClient,
}

impl fmt::Display for Late {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TooLong => "it exceeded the time limit",
            Self::SlowClient => {
                "its client did almost nothing, and other requests wait for an instance"
            }
        })
    }
}

/// What an application exchanges with its client.
#[derive(Clone, Default)]
pub struct Exchange(Arc<State>);

#[derive(Default)]
struct State {
    waits_for_request: AtomicBool,
    waits_for_room: AtomicBool,
    /// The number of bytes that the client has sent and taken.
    progress: AtomicU64,
}

impl Exchange {
    /// Notes whether the application waits for the body of the request.
    pub fn wait_for_request(&self, waits: bool) {
        self.0.waits_for_request.store(waits, Relaxed);
    }

    /// Notes whether the application waits until the client has taken a part of the response.
    pub fn wait_for_room(&self, waits: bool) {
        self.0.waits_for_room.store(waits, Relaxed);
    }

    /// Notes that the client has sent or taken so many bytes.
    pub fn note_progress(&self, bytes: u64) {
        self.0.progress.fetch_add(bytes, Relaxed);
    }

    fn is_waiting(&self) -> bool {
        self.0.waits_for_request.load(Relaxed) || self.0.waits_for_room.load(Relaxed)
    }
}

/// Measures the time of an application.
pub struct TimeLimit {
    /// When the application has used up its time. This moves on while it waits for its
    /// client.
    deadline: Instant,
    /// When the whole request has used up its time.
    last_deadline: Instant,
    exchange: Exchange,
    /// Since when the application waits, while its time stands still.
    waits_since: Option<Instant>,
    /// How long the application has waited since the client last did something, or since that
    /// was last found to keep no other request waiting; without the wait that goes on. What the
    /// application does in between does not count: it may yield at any time.
    idle: Duration,
    /// Since when the wait that goes on adds to that.
    idle_since: Instant,
    /// The number of bytes that the client had sent and taken when `idle` was zero.
    progress: u64,
    waiting: Waiting,
    timer: Pin<Box<Sleep>>,
}

impl TimeLimit {
    /// Begins to measure, now.
    pub fn new(limits: &Limits, exchange: Exchange) -> Self {
        let now = Instant::now();
        let deadline = now + limits.application;
        Self {
            deadline,
            last_deadline: now + limits.response,
            exchange,
            waits_since: None,
            idle: Duration::ZERO,
            idle_since: now,
            progress: 0,
            waiting: limits.waiting.clone(),
            timer: Box::pin(sleep_until(deadline)),
        }
    }

    /// Notes that the application goes on.
    pub fn go_on(&mut self) {
        if let Some(since) = self.waits_since.take() {
            self.deadline += since.elapsed();
            self.idle += self.idle_since.elapsed();
        }
    }

    /// Returns why the application gets no more time, once that is so. Until then, the task
    /// is woken when it may be so.
    pub fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<Late> {
        self.note_waiting();
        loop {
            let until = self.next_check();
            if self.timer.deadline() != until {
                self.timer.as_mut().reset(until);
            }
            // The clock decides, since a timer is never ready for a task that has used up its
            // turn, as a guest can make its task do each time.
            let now = Instant::now();
            if now < until {
                // If it is ready, the time has come meanwhile.
                if self.timer.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                continue;
            }
            if self.waits_since.is_none() || now >= self.last_deadline {
                return Poll::Ready(Late::TooLong);
            }
            if self.waiting.count() > 0 {
                return Poll::Ready(Late::SlowClient);
            }
            self.begin_idle_time();
        }
    }

    /// Notes whether the application waits from now on, and whether its client does something.
    fn note_waiting(&mut self) {
        if !self.exchange.is_waiting() {
            return;
        }
        if self.waits_since.is_none() {
            let now = Instant::now();
            (self.waits_since, self.idle_since) = (Some(now), now);
        }
        let progress = self.exchange.0.progress.load(Relaxed) - self.progress;
        if progress >= MIN_PROGRESS {
            self.begin_idle_time();
        }
    }

    /// Begins to measure how long the client does almost nothing.
    fn begin_idle_time(&mut self) {
        (self.idle, self.idle_since) = (Duration::ZERO, Instant::now());
        self.progress = self.exchange.0.progress.load(Relaxed);
    }

    /// Returns when the application may be late.
    fn next_check(&self) -> Instant {
        let until = match self.waits_since {
            None => self.deadline,
            Some(_) => self.idle_since + SHORT_WAIT.saturating_sub(self.idle),
        };
        until.min(self.last_deadline)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{advance, pause};

    use super::*;

    fn limits() -> Limits {
        Limits {
            application: Duration::from_secs(10),
            response: Duration::from_secs(100),
            waiting: Waiting::default(),
        }
    }

    /// Returns whether and after how many seconds an application is late that does the same
    /// all the time.
    async fn late(limit: &mut TimeLimit) -> (Late, u64) {
        let start = Instant::now();
        let late = poll_fn(|context| limit.poll_late(context)).await;
        (late, start.elapsed().as_secs())
    }

    /// Lets the application do the same for some seconds, in which it is not late.
    async fn pass(limit: &mut TimeLimit, seconds: u64) {
        let is_in_time = |limit: &mut TimeLimit| {
            let mut context = Context::from_waker(std::task::Waker::noop());
            limit.poll_late(&mut context).is_pending()
        };
        assert!(is_in_time(limit));
        advance(Duration::from_secs(seconds)).await;
        assert!(is_in_time(limit));
        limit.go_on();
    }

    #[tokio::test]
    async fn an_application_has_its_time() {
        pause();
        let mut limit = TimeLimit::new(&limits(), Exchange::default());
        assert_eq!(late(&mut limit).await, (Late::TooLong, 10));
    }

    #[tokio::test]
    async fn the_time_in_which_it_waits_for_its_client_does_not_count() {
        pause();
        let exchange = Exchange::default();
        let mut limit = TimeLimit::new(&limits(), exchange.clone());
        for wait in [Exchange::wait_for_request, Exchange::wait_for_room] {
            pass(&mut limit, 2).await;
            wait(&exchange, true);
            pass(&mut limit, 20).await;
            wait(&exchange, false);
        }
        assert_eq!(late(&mut limit).await, (Late::TooLong, 6));
    }

    #[tokio::test]
    async fn the_whole_request_has_a_limit() {
        pause();
        let exchange = Exchange::default();
        let mut limit = TimeLimit::new(&limits(), exchange.clone());
        exchange.wait_for_room(true);
        assert_eq!(late(&mut limit).await, (Late::TooLong, 100));
    }

    #[tokio::test]
    async fn an_idle_client_gives_way_to_requests_that_wait() {
        pause();
        let (limits, exchange) = (limits(), Exchange::default());
        exchange.wait_for_room(true);
        let mut limit = TimeLimit::new(&limits, exchange.clone());
        pass(&mut limit, 5).await;
        let _waiting = limits.waiting.add();
        exchange.note_progress(MIN_PROGRESS);
        assert_eq!(late(&mut limit).await, (Late::SlowClient, 1));
    }

    #[tokio::test]
    async fn a_client_that_does_almost_nothing_gives_way_too() {
        pause();
        let (limits, exchange) = (limits(), Exchange::default());
        let _waiting = limits.waiting.add();
        exchange.wait_for_request(true);
        let mut limit = TimeLimit::new(&limits, exchange.clone());
        let poll_late = |limit: &mut TimeLimit| {
            limit.poll_late(&mut Context::from_waker(std::task::Waker::noop()))
        };
        for bytes in [MIN_PROGRESS, MIN_PROGRESS, 1] {
            assert!(poll_late(&mut limit).is_pending());
            advance(Duration::from_millis(900)).await;
            exchange.note_progress(bytes);
            limit.go_on();
            // The application takes some time for what came.
            exchange.wait_for_request(false);
            assert!(poll_late(&mut limit).is_pending());
            limit.go_on();
            exchange.wait_for_request(true);
        }
        assert!(poll_late(&mut limit).is_pending());
        advance(Duration::from_millis(100)).await;
        assert_eq!(poll_late(&mut limit), Poll::Ready(Late::SlowClient));
    }

    #[tokio::test]
    async fn an_application_that_computes_does_not_give_way() {
        pause();
        let limits = limits();
        let _waiting = limits.waiting.add();
        let mut limit = TimeLimit::new(&limits, Exchange::default());
        assert_eq!(late(&mut limit).await, (Late::TooLong, 10));
    }
}
