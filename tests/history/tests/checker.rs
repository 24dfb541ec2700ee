//! Histories that are linearizable, and each way in which one is not.

use super::{create, in_turn, loaded, operation, save, touch, touched};
use crate::checker::check;
use crate::operation::{Action, Operation, Outcome};

const LOAD: Action = Action::Load;
const DELETE: Action = Action::Delete;
const MADE: Outcome = Outcome::Made(1);
const GONE: Outcome = Outcome::Loaded(None);
const UNKNOWN: Outcome = Outcome::Unknown;

#[track_caller]
fn assert_valid(history: &[Operation]) {
    if let Err(violation) = check(history) {
        panic!("{violation}");
    }
}

#[track_caller]
fn assert_violation(history: &[Operation]) {
    assert!(check(history).is_err(), "{history:#?}");
}

#[test]
fn what_the_contract_says_is_valid() {
    assert_valid(&[]);
    assert_valid(&in_turn([
        (LOAD, GONE),
        (save(1, 1), Outcome::Absent),
        (touch(2, 1), Outcome::Absent),
        (DELETE, Outcome::Deleted(false)),
        (create(3), MADE),
        (create(4), Outcome::Exists),
        (LOAD, loaded(1, 3)),
        (save(5, 1), Outcome::Made(2)),
        (save(6, 1), Outcome::Conflict(2)),
        (touch(7, 1), Outcome::Conflict(2)),
        (touch(8, 2), Outcome::Touched),
        (LOAD, touched(2, 5, 8)),
        (DELETE, Outcome::Deleted(true)),
        (LOAD, GONE),
        (create(9), MADE),
        (LOAD, loaded(1, 9)),
    ]));
}

#[test]
fn operations_at_the_same_time_may_come_in_either_order() {
    for (outcome, again) in [(GONE, true), (loaded(1, 1), true), (loaded(1, 2), false)] {
        let history = [
            operation(0, 3, create(1), MADE),
            operation(1, 2, LOAD, outcome),
        ];
        assert_eq!(check(&history).is_ok(), again);
    }
    // The load sees the later one of two saves, the earlier one or none.
    for outcome in [loaded(1, 1), loaded(2, 2), loaded(3, 3)] {
        assert_valid(&[
            operation(0, 1, create(1), MADE),
            operation(2, 10, LOAD, outcome),
            operation(3, 4, save(2, 1), Outcome::Made(2)),
            operation(5, 6, save(3, 2), Outcome::Made(3)),
        ]);
    }
}

#[test]
fn a_lost_update_is_found() {
    assert_violation(&in_turn([
        (create(1), MADE),
        (save(2, 1), Outcome::Made(2)),
        (LOAD, loaded(1, 1)),
    ]));
    // The state was overwritten without a save that is known.
    assert_violation(&in_turn([
        (create(1), MADE),
        (save(2, 1), Outcome::Made(2)),
        (LOAD, loaded(2, 1)),
    ]));
    assert_violation(&in_turn([
        (create(1), MADE),
        (touch(2, 1), Outcome::Touched),
        (LOAD, loaded(1, 1)),
    ]));
}

#[test]
fn a_stale_read_is_found_also_between_two_clients() {
    assert_violation(&[
        operation(0, 1, create(1), MADE),
        // While the save is under way, a load that follows one that saw it must see it, too.
        operation(2, 9, save(2, 1), Outcome::Made(2)),
        operation(3, 4, LOAD, loaded(2, 2)),
        operation(5, 6, LOAD, loaded(1, 1)),
    ]);
}

#[test]
fn a_read_of_a_state_that_comes_later_is_found() {
    assert_violation(&[
        operation(0, 1, create(1), MADE),
        operation(2, 3, LOAD, loaded(2, 2)),
        operation(4, 5, save(2, 1), Outcome::Made(2)),
    ]);
}

#[test]
fn a_revived_session_is_found() {
    assert_violation(&in_turn([
        (create(1), MADE),
        (DELETE, Outcome::Deleted(true)),
        (LOAD, loaded(1, 1)),
    ]));
    assert_violation(&in_turn([
        (create(1), MADE),
        (DELETE, Outcome::Deleted(true)),
        (save(2, 1), Outcome::Made(2)),
    ]));
}

#[test]
fn two_creates_that_both_succeed_are_found() {
    assert_violation(&[
        operation(0, 3, create(1), MADE),
        operation(1, 2, create(2), MADE),
    ]);
}

#[test]
fn two_saves_of_one_version_that_both_succeed_are_found() {
    assert_violation(&[
        operation(0, 1, create(1), MADE),
        operation(2, 5, save(2, 1), Outcome::Made(2)),
        operation(3, 4, save(3, 1), Outcome::Made(2)),
    ]);
}

#[test]
fn a_save_that_counts_twice_is_found() {
    assert_violation(&in_turn([
        (create(1), MADE),
        (save(2, 1), Outcome::Made(2)),
        (LOAD, loaded(3, 2)),
    ]));
    assert_violation(&in_turn([
        (create(1), MADE),
        (save(2, 1), Outcome::Made(3)),
    ]));
}

#[test]
fn a_delete_with_the_wrong_answer_is_found() {
    assert_violation(&in_turn([
        (create(1), MADE),
        (DELETE, Outcome::Deleted(false)),
    ]));
    assert_violation(&in_turn([(DELETE, Outcome::Deleted(true))]));
    assert_violation(&[
        operation(0, 1, create(1), MADE),
        operation(2, 5, DELETE, Outcome::Deleted(true)),
        operation(3, 4, DELETE, Outcome::Deleted(true)),
    ]);
}

#[test]
fn a_refusal_without_a_reason_is_found() {
    for (action, outcome) in [
        (create(2), MADE),
        (save(2, 1), Outcome::Absent),
        (save(2, 1), Outcome::Conflict(2)),
        (touch(2, 1), Outcome::Conflict(1)),
        (LOAD, GONE),
        (LOAD, Outcome::Forbidden("half a state".into())),
    ] {
        assert_violation(&in_turn([(create(1), MADE), (action, outcome)]));
    }
    assert_violation(&in_turn([(create(1), Outcome::Exists)]));
}

#[test]
fn an_unknown_outcome_counts_as_a_change_or_as_none() {
    for outcome in [loaded(1, 1), loaded(2, 2)] {
        assert_valid(&in_turn([
            (create(1), MADE),
            (save(2, 1), UNKNOWN),
            (LOAD, outcome),
        ]));
    }
    for outcome in [loaded(1, 1), touched(1, 1, 2)] {
        assert_valid(&in_turn([
            (create(1), MADE),
            (touch(2, 1), UNKNOWN),
            (LOAD, outcome),
        ]));
    }
    for outcome in [loaded(1, 1), GONE] {
        assert_valid(&in_turn([
            (create(1), MADE),
            (DELETE, UNKNOWN),
            (LOAD, outcome),
        ]));
    }
    for outcome in [MADE, Outcome::Exists] {
        assert_valid(&in_turn([(create(1), UNKNOWN), (create(2), outcome)]));
    }
}

#[test]
fn an_unknown_outcome_may_come_long_after_the_call_and_never_before_it() {
    let late = [
        (create(1), MADE),
        (save(2, 1), UNKNOWN),
        (LOAD, loaded(1, 1)),
        (touch(3, 1), Outcome::Touched),
        (LOAD, loaded(2, 2)),
    ];
    assert_valid(&in_turn(late));
    assert_violation(&in_turn([
        (create(1), MADE),
        (LOAD, loaded(2, 2)),
        (save(2, 1), UNKNOWN),
    ]));
}

#[test]
fn an_unknown_outcome_comes_once_and_does_not_undo_another() {
    assert_violation(&in_turn([
        (create(1), MADE),
        (save(2, 1), UNKNOWN),
        (LOAD, loaded(2, 2)),
        (LOAD, loaded(1, 1)),
    ]));
    assert_violation(&in_turn([
        (create(1), UNKNOWN),
        (LOAD, loaded(1, 1)),
        (DELETE, Outcome::Deleted(true)),
        (LOAD, loaded(1, 1)),
    ]));
    // One delete with an unknown outcome does not explain that two sessions vanished.
    assert_violation(&in_turn([
        (create(1), MADE),
        (DELETE, UNKNOWN),
        (create(2), MADE),
        (create(3), MADE),
    ]));
}

#[test]
fn a_violation_shows_the_history_and_where_every_order_fails() {
    let violation = check(&in_turn([
        (create(1), MADE),
        (save(2, 1), Outcome::Made(2)),
        (LOAD, loaded(1, 1)),
        (DELETE, UNKNOWN),
    ]))
    .unwrap_err();
    let text = violation.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[0],
        "No order explains the history of 00000000000000000000000000000001:"
    );
    assert_eq!(lines.len(), 6, "{text}");
    let stuck = "load                                       version 1 with state 1 until 1   \
                 <-- every order fails, at best after version 2 with state 2 until 2";
    assert!(lines[4].ends_with(stuck), "{text}");
    assert!(lines[5].ends_with("unknown"), "{text}");
}
