//! Tests of the checker and of the recorder.

mod checker;
mod every_order;
mod faulty;
mod mutations;
mod unknown;

use session3_store::{SessionId, Version};

use crate::operation::{Action, Content, Operation, Outcome, create, save, touch};

/// Returns an operation of a test's history.
fn operation(called: u64, returned: u64, action: Action, outcome: Outcome) -> Operation {
    Operation {
        client: 0,
        session: SessionId::from(1),
        called,
        returned,
        action,
        outcome,
    }
}

/// Returns a history whose operations came one after the other.
fn in_turn(operations: impl IntoIterator<Item = (Action, Outcome)>) -> Vec<Operation> {
    let numbered = operations.into_iter().zip(0..);
    numbered
        .map(|((action, outcome), number)| operation(2 * number, 2 * number + 1, action, outcome))
        .collect()
}

/// Returns the result of a load of a session that was not touched since its save.
fn loaded(version: Version, state: u64) -> Outcome {
    touched(version, state, state)
}

fn touched(version: Version, state: u64, expires: u64) -> Outcome {
    Outcome::Loaded(Some(Content {
        version,
        state,
        expires,
    }))
}
