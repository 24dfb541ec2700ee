//! The checker against one that tries every order, on short random histories.

use session3_test_support::dice::Dice;
use session3_test_support::random;

use super::{create, operation, save, touch};
use crate::checker::check;
use crate::model::apply;
use crate::operation::{Action, Content, Operation, Outcome};

/// Returns whether some order of the operations explains them, without any cleverness.
fn has_order(left: &[Operation], session: Option<Content>) -> bool {
    if left.iter().all(Operation::is_unknown) {
        return true;
    }
    let known = left.iter().filter(|operation| !operation.is_unknown());
    let end = known.map(|operation| operation.returned).min();
    (0..left.len()).any(|index| {
        let mut rest = left.to_vec();
        let next = rest.remove(index);
        let (outcome, after) = apply(next.action, session);
        let is_possible = next.is_unknown() || next.outcome == outcome;
        Some(next.called) < end && is_possible && has_order(&rest, after)
    })
}

/// Returns a session that earlier operations may have left.
fn some_session(dice: &mut Dice) -> Option<Content> {
    let state = 100 + dice.below(3) as u64;
    let content = Content {
        version: 1 + dice.below(2) as u64,
        state,
        expires: state,
    };
    dice.percent(70).then_some(content)
}

/// Returns a history whose results often fit some order, but not always.
fn random_history(dice: &mut Dice) -> Vec<Operation> {
    let mut session = None;
    let count = 2 + dice.below(6);
    (0..count as u64)
        .map(|number| {
            let new = 100 + number;
            let version = 1 + dice.below(2) as u64;
            let load = Action::Load;
            let actions = [
                create(new),
                load,
                load,
                save(new, version),
                save(new, version),
            ];
            let actions = [&actions[..], &[touch(new, version), Action::Delete]].concat();
            let action = *dice.pick(&actions);
            let (mut outcome, after) = apply(action, session);
            match dice.below(10) {
                0 | 1 => outcome = Outcome::Unknown,
                // The change is lost.
                2 => {}
                3 => outcome = apply(action, some_session(dice)).0,
                _ => session = after,
            }
            let called = 20 * number.saturating_sub(dice.below(3) as u64) + 2 * number;
            operation(called, 20 * number + 19, action, outcome)
        })
        .collect()
}

#[test]
fn the_checker_says_what_trying_every_order_says() {
    let mut dice = Dice::new(random::seed());
    let cases = if random::is_long() { 300_000 } else { 10_000 };
    let mut valid = 0;
    for _ in 0..cases {
        let history = random_history(&mut dice);
        let found = check(&history);
        assert_eq!(found.is_ok(), has_order(&history, None), "{history:#?}");
        valid += usize::from(found.is_ok());
    }
    println!("{valid} of {cases} histories were linearizable");
    assert!(valid > cases / 10 && valid < cases * 9 / 10, "{valid}");
}
