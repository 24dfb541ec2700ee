//! Histories of the store in memory, of which one result is changed.

use std::sync::Arc;

use async_trait::async_trait;
use session3_store::{MemoryStore, SessionId};
use session3_test_support::dice::Dice;
use session3_test_support::{block_on, random};

use crate::checker::check;
use crate::history::History;
use crate::operation::{Action, Content, Operation, Outcome};
use crate::recorder::{Plan, record};
use crate::subject::Subject;

/// A store in memory whose calls take some time, so that they overlap.
#[derive(Default)]
struct Slow(MemoryStore);

#[async_trait]
impl Subject for Slow {
    async fn answer(&self, session: &SessionId, action: Action) -> Outcome {
        tokio::task::yield_now().await;
        let outcome = self.0.answer(session, action).await;
        tokio::task::yield_now().await;
        outcome
    }
}

fn recorded(seed: u64, answers: u64) -> History {
    let store: Arc<dyn Subject> = Arc::new(Slow::default());
    block_on(record(Plan::new(seed), vec![store], async |recorder| {
        recorder.progress(answers).await;
    }))
}

/// Changes the result of an operation.
fn change(operation: &mut Operation, dice: &mut Dice) {
    let other = |content: Content, dice: &mut Dice| match dice.below(3) {
        0 => Content {
            version: content.version + 1,
            ..content
        },
        1 => Content {
            state: content.state ^ 1,
            ..content
        },
        _ => Content {
            version: content.version - 1,
            ..content
        },
    };
    operation.outcome = match operation.outcome.clone() {
        Outcome::Made(1) => Outcome::Exists,
        Outcome::Made(version) => match dice.below(2) {
            0 => Outcome::Conflict(version),
            _ => Outcome::Made(version + 1),
        },
        Outcome::Loaded(Some(content)) if dice.percent(70) => {
            Outcome::Loaded(Some(other(content, dice)))
        }
        Outcome::Loaded(Some(_)) => Outcome::Loaded(None),
        Outcome::Loaded(None) => Outcome::Loaded(Some(Content {
            version: 1,
            state: 0,
            expires: 0,
        })),
        Outcome::Touched => Outcome::Absent,
        Outcome::Deleted(was_there) => Outcome::Deleted(!was_there),
        Outcome::Exists => Outcome::Made(1),
        Outcome::Absent => Outcome::Conflict(7),
        Outcome::Conflict(version) => match dice.below(2) {
            0 => Outcome::Conflict(version + 1),
            _ => Outcome::Absent,
        },
        other => other,
    };
}

#[test]
fn most_changes_of_one_result_are_found() {
    let seed = random::seed();
    let mut dice = Dice::new(seed);
    let answers = if random::is_long() { 20_000 } else { 2000 };
    let history = recorded(seed, answers);
    println!("{}", history.check().unwrap());
    let (mut changed, mut found) = (0, 0);
    for session in history.by_session() {
        for index in 0..session.len() {
            let mut session = session.clone();
            change(&mut session[index], &mut dice);
            changed += 1;
            found += usize::from(check(&session).is_err());
        }
    }
    println!("{found} of {changed} changes were found");
    assert!(found * 100 > changed * 85, "{found} of {changed}");
}
