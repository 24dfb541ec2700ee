//! The search for an order that explains a history.
//!
//! This is the algorithm of Wing and Gong ("Testing and verifying concurrent objects", 1993)
//! with Lowe's memo of what was tried before: two orders of the same operations that lead to
//! the same session need only one continuation. Operations with unknown outcomes are what makes
//! a search long, so an order that needs more of them than another one is not continued.

use std::collections::HashMap;

use crate::model::apply;
use crate::operation::{Action, Content, Operation, Outcome};
use crate::violation::Violation;

/// The largest number of operations of a history: they are the bits of a number.
const MAX_OPERATIONS: usize = 128;
/// The number of a state that no load returned.
const UNSEEN: u64 = u64::MAX;

/// Checks that the history of one session is linearizable. The session is absent before it.
///
/// # Errors
///
/// The violation, if there is no order of the operations that respects real time and explains
/// each result. An operation whose outcome is unknown may be at any place after its call, or
/// missing.
///
/// # Panics
///
/// If there are more than 128 operations.
pub fn check(history: &[Operation]) -> Result<(), Violation> {
    Search::new(history).run()
}

/// Operations in some order, and the session that they lead to.
#[derive(Clone, Copy)]
struct Step {
    /// The operations that were done, one bit for each.
    done: u128,
    session: Option<Content>,
}

impl Step {
    fn has(&self, index: usize) -> bool {
        self.done >> index & 1 == 1
    }

    /// Returns the step after one more operation.
    fn then(&self, index: usize, session: Option<Content>) -> Self {
        let done = self.done | 1 << index;
        Self { done, session }
    }
}

/// The search, with all that it has tried.
pub struct Search {
    /// Sorted by their calls.
    operations: Vec<Operation>,
    /// The operations whose results are known: all of them must be done.
    known: u128,
    /// For each set of operations with known results and the session after them: the sets of
    /// those with unknown outcomes that were done beside them.
    tried: HashMap<(u128, Option<Content>), Vec<u128>>,
    /// The step with the most operations whose results are known.
    furthest: Step,
}

impl Search {
    /// Prepares the search.
    pub fn new(history: &[Operation]) -> Self {
        let mut operations = useful(history);
        assert!(
            operations.len() <= MAX_OPERATIONS,
            "the history is too long"
        );
        operations.sort_by_key(|operation| operation.called);
        let is_known = |(_, operation): &(usize, &Operation)| !operation.is_unknown();
        let known = operations.iter().enumerate().filter(is_known);
        Self {
            known: known.fold(0, |known, (index, _)| known | 1 << index),
            operations,
            tried: HashMap::new(),
            furthest: Step {
                done: 0,
                session: None,
            },
        }
    }

    /// Returns how many steps were tried.
    #[cfg(test)]
    pub fn cost(&self) -> usize {
        self.tried.values().map(Vec::len).sum()
    }

    /// Tries all orders.
    pub fn run(&mut self) -> Result<(), Violation> {
        let mut steps = vec![self.furthest];
        while let Some(step) = steps.pop() {
            let step = self.without_effect(step);
            if step.done & self.known == self.known {
                return Ok(());
            }
            if self.is_new(step) {
                self.note_progress(step);
                self.push_next(step, &mut steps);
            }
        }
        Err(self.violation())
    }

    /// Notes a step. Returns false if one was tried that leads as far: with the same session,
    /// and with some of the same operations whose outcomes are unknown.
    fn is_new(&mut self, step: Step) -> bool {
        let tried = (step.done & self.known, step.session);
        let tried = self.tried.entry(tried).or_default();
        let unknown = step.done & !self.known;
        if tried.iter().any(|fewer| fewer & !unknown == 0) {
            return false;
        }
        tried.push(unknown);
        true
    }

    /// Does all operations that leave the session as it is and are explained now. Another order
    /// cannot explain more: they may be moved to here from any later place.
    fn without_effect(&self, mut step: Step) -> Step {
        let is_free = |step: &Step, index: usize| {
            let operation = &self.operations[index];
            let answer = apply(operation.action, step.session);
            answer == (operation.outcome.clone(), step.session)
        };
        while let Some(index) = self.possible(step).find(|index| is_free(&step, *index)) {
            step = step.then(index, step.session);
        }
        step
    }

    /// Returns the operations that may be the next one: those that are not done and were called
    /// before any of the others returned.
    fn possible(&self, step: Step) -> impl Iterator<Item = usize> {
        let end = self.end(step);
        (0..self.operations.len())
            .take_while(move |index| self.operations[*index].called < end)
            .filter(move |index| !step.has(*index))
    }

    /// Returns the time at which the first operation that is not done returned.
    fn end(&self, step: Step) -> u64 {
        let waiting = self.known & !step.done;
        let returns = (0..self.operations.len())
            .filter(|index| waiting >> index & 1 == 1)
            .map(|index| self.operations[index].returned);
        returns.min().unwrap_or(u64::MAX)
    }

    /// Adds the steps that follow. Those whose operation has a known result are tried first.
    fn push_next(&self, step: Step, steps: &mut Vec<Step>) {
        let mut explained = Vec::new();
        for index in self.possible(step) {
            let operation = &self.operations[index];
            let (outcome, session) = apply(operation.action, step.session);
            if operation.outcome == outcome {
                explained.push(step.then(index, session));
            } else if session != step.session && self.is_first_unknown(step, index) {
                steps.push(step.then(index, session));
            }
        }
        steps.extend(explained.into_iter().rev());
    }

    /// Returns whether an operation has an unknown outcome, and none that asks for the same was
    /// called before it and is not done: that one may take its place.
    fn is_first_unknown(&self, step: Step, index: usize) -> bool {
        let operation = &self.operations[index];
        let is_same = |other: &usize| {
            let other = &self.operations[*other];
            other.is_unknown() && other.action == operation.action
        };
        let mut earlier = (0..index).filter(|other| !step.has(*other));
        operation.is_unknown() && !earlier.any(|other| is_same(&other))
    }

    fn note_progress(&mut self, step: Step) {
        let explained = |step: &Step| (step.done & self.known).count_ones();
        if explained(&step) > explained(&self.furthest) {
            self.furthest = step;
        }
    }

    fn violation(&self) -> Violation {
        let furthest = self.furthest;
        let end = self.end(furthest);
        let is_stuck = |operation: &&Operation| operation.returned == end;
        Violation {
            session: furthest.session,
            stuck: self.operations.iter().position(|it| is_stuck(&it)),
            operations: self.operations.clone(),
        }
    }
}

/// Returns the operations without those whose outcome is unknown and that no result depends on:
/// loads, and touches whose time no load returned. States that no load returned need not be
/// told apart if the outcome of their operation is unknown.
fn useful(history: &[Operation]) -> Vec<Operation> {
    let loaded: Vec<_> = history.iter().filter_map(content).collect();
    let is_time_seen = |time: u64| loaded.iter().any(|content| content.expires == time);
    let is_state_seen = |state: u64| loaded.iter().any(|content| content.state == state);
    let mut useful = history.to_vec();
    useful.retain_mut(|operation| {
        let is_known = !operation.is_unknown();
        match &mut operation.action {
            Action::Load => is_known,
            Action::Touch { expires, .. } => is_known || is_time_seen(*expires),
            Action::Create { state, expires } | Action::Save { state, expires, .. } => {
                if !is_known && !is_state_seen(*state) {
                    (*state, *expires) = (UNSEEN, UNSEEN);
                }
                true
            }
            Action::Delete => true,
        }
    });
    useful
}

fn content(operation: &Operation) -> Option<Content> {
    match operation.outcome {
        Outcome::Loaded(content) => content,
        _ => None,
    }
}
