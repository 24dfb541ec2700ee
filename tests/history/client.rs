//! A client that uses a few sessions as its dice say.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use session3_store::{SessionId, Version};
use session3_test_support::dice::Dice;

use crate::operation::{Action, Outcome, create, save, touch};
use crate::recorder::Recorder;

/// How long a client waits for a store that does not answer, before it asks again.
const PAUSE: Duration = Duration::from_millis(5);

/// One of the clients of a store.
pub struct Client {
    number: usize,
    recorder: Arc<Recorder>,
    dice: Dice,
    /// The version of each session that this client knows.
    versions: HashMap<SessionId, Version>,
}

impl Client {
    /// Creates a client.
    pub fn new(number: usize, recorder: Arc<Recorder>, seed: u64) -> Self {
        Self {
            number,
            recorder,
            dice: Dice::new(seed),
            versions: HashMap::new(),
        }
    }

    /// Calls the store until the recorder says that it is enough.
    pub async fn work(mut self) {
        while !self.recorder.is_over() {
            let session = self.recorder.pick(&mut self.dice);
            let mut action = self.action(session);
            if !self.recorder.allows(session, action) {
                action = Action::Load;
            }
            let outcome = self.call(session, action).await;
            if outcome == Outcome::Unknown {
                self.find_out(session).await;
            }
            // Others may come first, also if the store never waits.
            if self.dice.percent(25) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Loads a session until the store answers, so that not every outcome is unknown while the
    /// store is away.
    async fn find_out(&mut self, session: SessionId) {
        while !self.recorder.is_over() {
            if self.call(session, Action::Load).await != Outcome::Unknown {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn call(&mut self, session: SessionId, action: Action) -> Outcome {
        let is_dropped = self.dice.percent(self.recorder.plan.drops);
        let polls = is_dropped.then(|| 1 + self.dice.below(4));
        let outcome = self
            .recorder
            .call(self.number, session, action, polls)
            .await;
        self.learn(session, &outcome);
        outcome
    }

    /// Chooses what to do next.
    fn action(&mut self, session: SessionId) -> Action {
        let new = self.recorder.tick();
        let Some(known) = self.versions.get(&session).copied() else {
            return self.action_on_unknown(new);
        };
        let expected = match self.dice.below(20) {
            0 => known.saturating_sub(1),
            1 => known + 1,
            _ => known,
        };
        // A session that cannot be created again should live for a while.
        let deletes = if self.recorder.plan.recreates { 8 } else { 2 };
        match self.dice.below(92 + deletes) {
            0..5 => create(new),
            5..25 => Action::Load,
            25..75 => save(new, expected),
            75..92 => touch(new, expected),
            _ => Action::Delete,
        }
    }

    /// Chooses what to do with a session that does not exist, as far as this client knows.
    fn action_on_unknown(&mut self, new: u64) -> Action {
        match self.dice.below(100) {
            0..45 => create(new),
            45..80 => Action::Load,
            80..88 => save(new, 1),
            88..97 => touch(new, 1),
            _ => Action::Delete,
        }
    }

    fn learn(&mut self, session: SessionId, outcome: &Outcome) {
        let version = match outcome {
            Outcome::Made(version) | Outcome::Conflict(version) => Some(*version),
            Outcome::Loaded(content) => content.map(|content| content.version),
            Outcome::Deleted(_) | Outcome::Absent => None,
            Outcome::Touched | Outcome::Exists | Outcome::Unknown | Outcome::Forbidden(_) => return,
        };
        match version {
            Some(version) => self.versions.insert(session, version),
            None => self.versions.remove(&session),
        };
    }
}
