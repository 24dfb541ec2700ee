//! The histories of several sessions.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use crate::checker::check;
use crate::operation::{Action, Operation, Outcome};
use crate::violation::Violation;

/// What the clients of a store did, with all sessions.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The operations, in no particular order.
    pub operations: Vec<Operation>,
}

/// How much was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The number of sessions.
    pub sessions: usize,
    /// The number of operations on them, without loads that got no answer.
    pub operations: usize,
    /// The number of operations that changed a session.
    pub changes: usize,
    /// The number of operations other than loads whose outcome is unknown.
    pub unknown: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} operations on {} sessions, {} of them changes, and {} with an unknown outcome",
            self.operations, self.sessions, self.changes, self.unknown
        )
    }
}

impl History {
    /// Checks the history of each session.
    ///
    /// # Errors
    ///
    /// The first violation.
    pub fn check(&self) -> Result<Summary, Violation> {
        let sessions = self.by_session();
        for history in &sessions {
            check(history)?;
        }
        let count =
            |is_counted: fn(&&Operation) -> bool| self.operations.iter().filter(is_counted).count();
        Ok(Summary {
            sessions: sessions.len(),
            operations: count(|operation| {
                !operation.is_unknown() || operation.action != Action::Load
            }),
            changes: count(|operation| is_change(&operation.outcome)),
            unknown: count(|operation| operation.is_unknown() && operation.action != Action::Load),
        })
    }

    /// Checks the history, and prints what it consists of.
    ///
    /// # Panics
    ///
    /// If there is no order of the operations of a session.
    pub fn assert_linearizable(&self) {
        match self.check() {
            Ok(summary) => println!("{summary}"),
            Err(violation) => panic!("{violation}"),
        }
    }

    /// Returns the history of each session.
    pub fn by_session(&self) -> Vec<Vec<Operation>> {
        let mut sessions = BTreeMap::<_, Vec<_>>::new();
        for operation in &self.operations {
            let history = sessions.entry(operation.session).or_default();
            history.push(operation.clone());
        }
        sessions.into_values().collect()
    }

    /// Forgets when sessions expire, for a store that may lose touches.
    pub fn without_expiry(mut self) -> Self {
        for operation in &mut self.operations {
            match &mut operation.action {
                Action::Create { expires, .. }
                | Action::Save { expires, .. }
                | Action::Touch { expires, .. } => *expires = 0,
                Action::Load | Action::Delete => {}
            }
            if let Outcome::Loaded(Some(content)) = &mut operation.outcome {
                content.expires = 0;
            }
        }
        self
    }

    /// Forgets touches, and when sessions expire, for a store whose touches say nothing about
    /// what is safe.
    pub fn without_touches(mut self) -> Self {
        let is_touch = |operation: &Operation| matches!(operation.action, Action::Touch { .. });
        self.operations.retain(|operation| !is_touch(operation));
        self.without_expiry()
    }

    /// Takes the changes that returned within a range of times for ones of which the clients do not
    /// know whether they took effect, for a failover that may have lost them.
    pub fn with_doubts(mut self, times: Range<u64>) -> Self {
        for operation in &mut self.operations {
            if times.contains(&operation.returned) && is_change(&operation.outcome) {
                operation.outcome = Outcome::Unknown;
            }
        }
        self
    }

    /// Forgets the operations that changed nothing and returned before a time, for a store that
    /// may show a change before it is safe.
    pub fn without_reads_before(mut self, time: u64) -> Self {
        self.operations.retain(|operation| {
            let is_kept = is_change(&operation.outcome) || operation.is_unknown();
            is_kept || operation.returned >= time
        });
        self
    }
}

fn is_change(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Made(_) | Outcome::Touched | Outcome::Deleted(true)
    )
}
