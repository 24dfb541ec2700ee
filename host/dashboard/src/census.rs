//! Counts the sessions of the store in the background, a page at a time.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use session3::store::{Clock, Figure, Maintenance, SessionId, StoreError, Timestamp};
use session3::{Administration, SessionError};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::busiest::Busiest;
use crate::counts::{Contents, Counts};

/// The number of sessions that are in memory at a time.
const PAGE: u32 = 500;
/// The number of users that are shown.
const TOP_USERS: usize = 10;
/// The number of damaged sessions that are kept with their reason.
const MAX_DAMAGED: usize = 100;
/// The age from which figures are counted again when an operator looks at them.
const MIN_AGE: Duration = Duration::from_secs(30);
/// How many times longer than a pass its figures are good for, so that counting takes at most
/// this part of the time.
const REST: u32 = 10;
/// How often a page that is locked is tried again, and how long the pass waits before.
const RETRIES: u32 = 10;
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Counts the sessions of a store when it is asked to.
pub struct Census {
    state: RwLock<State>,
    wanted: Notify,
}

#[derive(Default)]
struct State {
    figures: Option<Arc<Figures>>,
    progress: Option<Progress>,
    problem: Option<String>,
}

/// What one pass has counted.
#[derive(Clone)]
pub struct Figures {
    /// The counts of what the store knows of sessions.
    pub counts: Counts,
    /// The counts of what the session manager knows of them.
    pub contents: Contents,
    /// The users with the most sessions, in descending order.
    pub busiest: Vec<(String, u64)>,
    /// The number of sessions up to which a user may be missing among these.
    pub missed: u64,
    /// The first damaged sessions, with the reason.
    pub damaged: Vec<(SessionId, String)>,
    /// What the engine of the store says about it, as far as it answers.
    pub engine: Vec<Figure>,
    /// What an operator should change about the place of the store.
    pub warnings: Vec<String>,
    /// The time at which the pass began.
    pub at: Timestamp,
    /// How long the pass took.
    pub took: Duration,
    began: Instant,
}

/// How far a pass is.
#[derive(Clone, Copy)]
pub struct Progress {
    /// The number of sessions that were counted.
    pub visited: u64,
    /// The number that the last pass has found, if there was one.
    pub expected: Option<u64>,
}

/// What is known at a moment.
pub struct Look {
    /// The figures of the last pass.
    pub figures: Option<Arc<Figures>>,
    /// The pass that is running.
    pub progress: Option<Progress>,
    /// Why the last pass failed.
    pub problem: Option<String>,
}

impl Census {
    /// Starts the task that counts. It ends with the runtime. The clock gives the time of a
    /// store whose server has none.
    pub fn start(
        store: Arc<dyn Maintenance>,
        administration: Administration,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let census = Arc::new(Self {
            state: RwLock::default(),
            wanted: Notify::new(),
        });
        tokio::spawn(census.clone().run(store, administration, clock));
        census
    }

    /// Returns what is known, and lets the sessions be counted if that is too old.
    pub fn look(&self) -> Look {
        let state = self.state.read();
        let is_fresh = state
            .figures
            .as_ref()
            .is_some_and(|figures| is_fresh(figures.began, figures.took));
        if state.progress.is_none() && !is_fresh {
            self.wanted.notify_one();
        }
        Look {
            figures: state.figures.clone(),
            progress: state.progress,
            problem: state.problem.clone(),
        }
    }

    /// Lets the sessions be counted, however fresh the figures are.
    pub fn count_again(&self) {
        if self.state.read().progress.is_none() {
            self.wanted.notify_one();
        }
    }

    async fn run(
        self: Arc<Self>,
        store: Arc<dyn Maintenance>,
        administration: Administration,
        clock: Arc<dyn Clock>,
    ) {
        loop {
            self.wanted.notified().await;
            let expected = self
                .state
                .read()
                .figures
                .as_ref()
                .map(|figures| figures.counts.sessions + figures.counts.damaged);
            self.advance(0, expected);
            let pass = Pass::new(now(&*store, &*clock).await);
            let result = pass.run(&*store, &administration, |visited| {
                self.advance(visited, expected);
            });
            let result = result.await;
            let mut state = self.state.write();
            state.progress = None;
            match result {
                Ok(figures) => {
                    state.figures = Some(Arc::new(figures));
                    state.problem = None;
                }
                Err(error) => state.problem = Some(error.to_string()),
            }
        }
    }

    fn advance(&self, visited: u64, expected: Option<u64>) {
        self.state.write().progress = Some(Progress { visited, expected });
    }
}

/// A pass through all sessions.
struct Pass {
    counts: Counts,
    contents: Contents,
    busiest: Busiest,
    damaged: Vec<(SessionId, String)>,
    now: Timestamp,
    began: Instant,
}

impl Pass {
    fn new(now: Timestamp) -> Self {
        Self {
            counts: Counts::default(),
            contents: Contents::default(),
            busiest: Busiest::default(),
            damaged: Vec::new(),
            now,
            began: Instant::now(),
        }
    }

    async fn run(
        mut self,
        store: &dyn Maintenance,
        administration: &Administration,
        advance: impl Fn(u64),
    ) -> Result<Figures, SessionError> {
        let mut cursor: Option<String> = None;
        let mut retries = 0;
        loop {
            let page = match store.iter_sessions(cursor.as_deref(), PAGE).await {
                Err(StoreError::Busy) if retries < RETRIES => {
                    retries += 1;
                    tokio::time::sleep(RETRY_PAUSE).await;
                    continue;
                }
                page => page.map_err(|error| SessionError::Store(error.to_string()))?,
            };
            // The same page, as the session manager decodes it. A session that has changed
            // meanwhile can be missing in one of them.
            let decoded = administration.sessions(cursor.as_deref(), PAGE).await?;
            retries = 0;
            for session in &page.sessions {
                self.counts.add(session, self.now);
                if let Some(user) = &session.state.user {
                    self.busiest.add(user);
                }
            }
            for session in &decoded.sessions {
                self.contents.add(session, self.now);
            }
            self.add_damaged(page.damaged, decoded.damaged);
            advance(self.counts.sessions + self.counts.damaged);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(self.finish(store).await);
            }
        }
    }

    /// Counts the sessions whose records the store cannot read. Those that only the session
    /// manager cannot decode are listed, but they are among the sessions of the store already.
    fn add_damaged(
        &mut self,
        of_store: Vec<(SessionId, String)>,
        of_manager: Vec<(String, String)>,
    ) {
        self.counts.damaged += of_store.len() as u64;
        let known: HashSet<_> = of_store.iter().map(|(id, _)| *id).collect();
        let of_manager = of_manager.into_iter();
        let others = of_manager.filter_map(|(id, why)| Some((id.parse().ok()?, why)));
        let others = others.filter(|(id, _)| !known.contains(id));
        let room = MAX_DAMAGED.saturating_sub(self.damaged.len());
        let all: Vec<_> = of_store.iter().cloned().chain(others).collect();
        self.damaged.extend(all.into_iter().take(room));
    }

    async fn finish(self, store: &dyn Maintenance) -> Figures {
        let missed = self.busiest.missed();
        let mut busiest = self.busiest.top(TOP_USERS);
        for (user, count) in &mut busiest {
            // The index has the exact number; without it, the lower bound remains.
            if let Ok(ids) = store.sessions_of_user(user).await {
                *count = ids.len() as u64;
            }
        }
        busiest.retain(|(_, count)| *count > missed);
        busiest.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Figures {
            counts: self.counts,
            contents: self.contents,
            busiest,
            missed,
            damaged: self.damaged,
            engine: store.figures().await.unwrap_or_default(),
            warnings: store.warnings().await.unwrap_or_default(),
            at: self.now,
            took: self.began.elapsed(),
            began: self.began,
        }
    }
}

/// Returns whether the figures of a pass that began then, and took this long, are still good.
fn is_fresh(began: Instant, took: Duration) -> bool {
    began.elapsed() < took + MIN_AGE.max(took * REST)
}

/// Returns the time by the clock of the store's server, or by `clock` if it has none.
pub async fn now(store: &dyn Maintenance, clock: &dyn Clock) -> Timestamp {
    let now = store.now().await.ok().flatten();
    now.unwrap_or_else(|| clock.now())
}

#[cfg(test)]
mod tests {
    use session3::store::MemoryStore;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn figures_are_good_for_half_a_minute_or_for_ten_times_what_counting_took() {
        for (took, good_for) in [(1, 31), (3, 33), (20, 220)] {
            let began = Instant::now();
            advance(Duration::from_millis(good_for * 1000 - 1)).await;
            assert!(is_fresh(began, Duration::from_secs(took)), "{took}");
            advance(Duration::from_millis(1)).await;
            assert!(!is_fresh(began, Duration::from_secs(took)), "{took}");
        }
    }

    #[tokio::test]
    async fn the_clock_gives_the_time_of_a_store_that_has_none() {
        assert_eq!(now(&MemoryStore::default(), &|| 5_u64).await, 5);
    }
}
