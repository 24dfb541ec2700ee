//! Stores with a fault, which the checker must find.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use session3_store::{MemoryStore, SessionId};
use session3_test_support::dice::Dice;
use session3_test_support::{block_on, random};

use crate::model::apply;
use crate::operation::{Action, Content, Outcome};
use crate::recorder::{Plan, record};
use crate::subject::Subject;
use crate::violation::Violation;

/// What a store does wrong now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It acknowledges a save and forgets it.
    DropsSave,
    /// It acknowledges a touch and forgets it.
    DropsTouch,
    /// A load returns what an earlier load returned.
    ReturnsOldState,
    /// It acknowledges a delete, and the session returns.
    Revives,
    /// It creates a session that exists.
    CreatesTwice,
    /// A save does not look at the version.
    IgnoresVersion,
    /// A save whose answer was lost is made again.
    SavesTwice,
    /// A delete answers that there was no session.
    DeniesDelete,
    /// A load finds no session.
    FindsNothing,
    /// None: the clients only do not get some answers.
    LosesAnswer,
}

/// A store in memory with a fault.
struct Faulty {
    fault: Fault,
    store: MemoryStore,
    old: Mutex<HashMap<SessionId, Content>>,
    dice: Mutex<Dice>,
}

impl Faulty {
    fn new(fault: Fault, seed: u64) -> Self {
        Self {
            fault,
            store: MemoryStore::default(),
            old: Mutex::default(),
            dice: Mutex::new(Dice::new(seed)),
        }
    }

    async fn session(&self, session: &SessionId) -> Option<Content> {
        match self.store.answer(session, Action::Load).await {
            Outcome::Loaded(content) => content,
            other => panic!("{other}"),
        }
    }

    /// Returns the answer to an action that may not change anything.
    async fn pretend(&self, session: &SessionId, action: Action) -> Outcome {
        apply(action, self.session(session).await).0
    }

    async fn load_old(&self, session: &SessionId) -> Outcome {
        let now = self.store.answer(session, Action::Load).await;
        let mut old = self.old.lock();
        match (&now, old.remove(session)) {
            (_, Some(old)) => Outcome::Loaded(Some(old)),
            (Outcome::Loaded(Some(content)), None) => {
                old.insert(*session, *content);
                now
            }
            _ => now,
        }
    }

    async fn save_any(&self, session: &SessionId, mut action: Action) -> Outcome {
        if let Action::Save { expected, .. } = &mut action {
            *expected = self.session(session).await.map_or(1, |it| it.version);
        }
        self.store.answer(session, action).await
    }

    async fn save_twice(&self, session: &SessionId, action: Action) -> Outcome {
        let saved = self.store.answer(session, action).await;
        if let Outcome::Made(_) = saved {
            self.save_any(session, action).await;
        }
        saved
    }
}

#[async_trait]
impl Subject for Faulty {
    async fn answer(&self, session: &SessionId, action: Action) -> Outcome {
        let is_faulty = self.dice.lock().percent(5);
        let answer = self.store.answer(session, action);
        match (self.fault, action) {
            _ if !is_faulty => answer.await,
            (Fault::DropsSave, Action::Save { .. })
            | (Fault::DropsTouch, Action::Touch { .. })
            | (Fault::Revives, Action::Delete) => self.pretend(session, action).await,
            (Fault::ReturnsOldState, Action::Load) => self.load_old(session).await,
            (Fault::CreatesTwice, Action::Create { .. }) => Outcome::Made(1),
            (Fault::IgnoresVersion, Action::Save { .. }) => self.save_any(session, action).await,
            (Fault::SavesTwice, Action::Save { .. }) => self.save_twice(session, action).await,
            (Fault::DeniesDelete, Action::Delete) => Outcome::Deleted(false),
            (Fault::FindsNothing, Action::Load) => Outcome::Loaded(None),
            (Fault::LosesAnswer, _) => {
                if self.dice.lock().percent(50) {
                    answer.await;
                }
                Outcome::Unknown
            }
            _ => answer.await,
        }
    }
}

fn violation(fault: Fault, seed: u64) -> Option<Violation> {
    let store: Arc<dyn Subject> = Arc::new(Faulty::new(fault, seed));
    let recording = record(Plan::new(seed), vec![store], async |recorder| {
        recorder.progress(1000).await;
    });
    block_on(recording).check().err()
}

#[test]
fn every_fault_is_found_within_some_seeds() {
    let seed = random::seed();
    for fault in [
        Fault::DropsSave,
        Fault::DropsTouch,
        Fault::ReturnsOldState,
        Fault::Revives,
        Fault::CreatesTwice,
        Fault::IgnoresVersion,
        Fault::SavesTwice,
        Fault::DeniesDelete,
        Fault::FindsNothing,
    ] {
        let mut seeds = seed..seed.saturating_add(10);
        let found = seeds.find_map(|seed| violation(fault, seed));
        let found = found.unwrap_or_else(|| panic!("{fault:?} was not found"));
        if fault == Fault::DropsSave {
            println!("{found}");
        }
    }
}

#[test]
fn lost_answers_are_no_violation() {
    let seed = random::seed();
    for seed in seed..seed.saturating_add(5) {
        if let Some(violation) = violation(Fault::LosesAnswer, seed) {
            panic!("{violation}");
        }
    }
}
