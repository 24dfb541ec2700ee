//! The cost of operations whose outcomes are unknown.

use std::time::{Duration, Instant};

use session3_test_support::dice::Dice;
use session3_test_support::random;

use super::{create, operation, save, touch};
use crate::checker::Search;
use crate::model::apply;
use crate::operation::{Action, Content, Operation, Outcome};

/// How many steps a search may take: about a tenth of a second.
const MAX_COST: usize = 50_000;
const OPERATIONS: u64 = 100;
const UNKNOWN: usize = 12;

/// Returns a history of 100 operations of eight clients. The outcomes of a dozen changes are
/// unknown; some of these come much later.
fn history(dice: &mut Dice) -> Vec<Operation> {
    let mut session = None;
    let (mut late, mut unknown) = (Vec::new(), 0);
    let mut history = Vec::new();
    for number in 0..OPERATIONS {
        if !late.is_empty() && dice.percent(20) {
            let index = dice.below(late.len());
            session = apply(late.swap_remove(index), session).1;
        }
        let action = action(number, session, dice);
        let (mut outcome, after) = apply(action, session);
        let is_change = !matches!(action, Action::Load | Action::Touch { .. });
        if is_change && dice.percent(25) && unknown < UNKNOWN {
            unknown += 1;
            late.push(action);
            outcome = Outcome::Unknown;
        } else {
            session = after;
        }
        // The call of the next one but six comes before the return of this one.
        let called = 2 * (10 * number - dice.below(70).min(10 * number as usize) as u64);
        let returned = 20 * number + 1;
        history.push(operation(called, returned, action, outcome));
    }
    history
}

fn action(number: u64, session: Option<Content>, dice: &mut Dice) -> Action {
    let new = 1000 + number;
    let version = session.map_or(1, |content| content.version);
    match dice.below(100) {
        0..10 => create(new),
        10..30 => Action::Load,
        30..80 => save(new, version),
        80..92 => touch(new, version),
        _ => Action::Delete,
    }
}

/// Checks a history, and returns the number of steps that were tried and the time.
fn cost(history: &[Operation]) -> (usize, Duration, bool) {
    let start = Instant::now();
    let mut search = Search::new(history);
    let is_valid = search.run().is_ok();
    (search.cost(), start.elapsed(), is_valid)
}

#[test]
fn a_hundred_operations_with_a_dozen_unknown_outcomes_are_checked_fast() {
    let mut dice = Dice::new(random::seed());
    let cases = if random::is_long() { 2000 } else { 100 };
    let (mut valid, mut invalid) = ((0, Duration::ZERO), (0, Duration::ZERO));
    for _ in 0..cases {
        let mut history = history(&mut dice);
        let (steps, time, is_valid) = cost(&history);
        assert!(is_valid);
        valid = (valid.0.max(steps), valid.1.max(time));
        // Nothing explains the last load, and the search must try everything.
        history.push(operation(5000, 5001, Action::Load, Outcome::Conflict(1)));
        let (steps, time, is_valid) = cost(&history);
        assert!(!is_valid);
        invalid = (invalid.0.max(steps), invalid.1.max(time));
    }
    println!("at most {valid:?} for a valid history, {invalid:?} for another one");
    assert!(valid.0 < MAX_COST && invalid.0 < MAX_COST);
}
