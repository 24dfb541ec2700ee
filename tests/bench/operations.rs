//! Benchmarks of single operations, each with every contestant in turn.

use std::fmt;
use std::time::{Duration, Instant};

use session3_store_directory::{Durability, Options};
use tokio::runtime::Runtime;

use crate::floor::Bare;
use crate::native::Native;
use crate::peers;
use crate::sessions::{Sessions, USER};
use crate::table::Table;
use crate::{Plan, median};

/// The factor by which a round has fewer sessions if each operation is flushed.
const FLUSHED: usize = 5;
/// The smallest number of sessions for which the case [`Kept::Others`] is measured. With fewer
/// sessions, nearly all of their files would be in the cache.
const MANY: u64 = 10_000;

/// The index of the bare system calls among the contestants.
const BARE: usize = 0;
/// The index of the directory store among the contestants.
const OURS: usize = 1;

/// An operation of a session store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operation {
    /// Creates a session.
    Create,
    /// Loads a session.
    Load,
    /// Replaces the state of a session.
    Save,
    /// Updates the times of a session.
    Touch,
    /// Deletes a session.
    Delete,
}

/// A store, or a substitute for one, whose operations are measured.
pub trait Contestant {
    /// Returns whether the contestant has this operation.
    fn can(&self, operation: Operation) -> bool;

    /// Performs the operation on each of these sessions, and returns the time for all of them.
    fn run(&mut self, operation: Operation, numbers: &[u64]) -> Duration;
}

/// The sessions whose files are in the file descriptor cache.
#[derive(Clone, Copy, PartialEq)]
enum Kept {
    /// The store has no cache.
    None,
    /// Other sessions, so that each operation also closes a file.
    Others,
    /// Exactly the sessions that are used.
    These,
}

/// A way of using the stores.
struct Case {
    /// The text that the case adds to the name of an operation.
    name: &'static str,
    kept: Kept,
    durability: Durability,
    /// Whether the sessions have a user, and so an entry in the index.
    has_user: bool,
    operations: &'static [Operation],
}

use Durability::{Disk, Process};
use Operation::{Create, Delete, Load, Save, Touch};

const CASES: [Case; 6] = [
    Case {
        name: "",
        kept: Kept::None,
        durability: Process,
        has_user: false,
        operations: &[Create, Load, Save, Touch, Delete],
    },
    Case {
        name: ", a user's",
        kept: Kept::None,
        durability: Process,
        has_user: true,
        operations: &[Create, Delete],
    },
    Case {
        name: ", others kept open",
        kept: Kept::Others,
        durability: Process,
        has_user: false,
        operations: &[Load, Save],
    },
    Case {
        name: ", kept open",
        kept: Kept::These,
        durability: Process,
        has_user: false,
        operations: &[Load, Save, Touch],
    },
    Case {
        name: ", disk",
        kept: Kept::None,
        durability: Disk,
        has_user: false,
        operations: &[Create, Save, Touch, Delete],
    },
    Case {
        name: ", disk, kept open",
        kept: Kept::These,
        durability: Disk,
        has_user: false,
        operations: &[Save, Touch],
    },
];

/// How the times of loads and saves grow with the number of sessions.
const GROWTH: Case = Case {
    name: "",
    kept: Kept::None,
    durability: Process,
    has_user: false,
    operations: &[Load, Save],
};

/// Measures loads and saves only, beside the bare system calls.
pub fn measure_growth(plan: &Plan, runtime: &Runtime, sessions: &Sessions, table: &mut Table) {
    let contest = Contest::new(&GROWTH, plan, sessions);
    let (bare, native) = (contest.bare(), contest.native(runtime));
    let mut contestants: [Box<dyn Contestant + '_>; 2] = [Box::new(bare), native];
    let medians = contest.medians(&mut contestants, plan);
    for (operation, medians) in GROWTH.operations.iter().zip(medians) {
        table.times(&operation.to_string(), &medians);
    }
}

/// Measures all cases.
pub fn measure(plan: &Plan, runtime: &Runtime, sessions: &Sessions, table: &mut Table) {
    for case in &CASES {
        if case.kept == Kept::Others && sessions.count < MANY {
            continue;
        }
        let contest = Contest::new(case, plan, sessions);
        let (bare, native) = (contest.bare(), contest.native(runtime));
        let mut contestants: Vec<Box<dyn Contestant + '_>> = vec![Box::new(bare), native];
        if case.name.is_empty() {
            contestants.extend(peers::start(sessions));
        }
        let all = contest.medians(&mut contestants, plan);
        for (operation, medians) in case.operations.iter().zip(all) {
            table.times(&format!("{operation}{}", case.name), &medians);
            case.hold(*operation, &medians, sessions, table);
        }
    }
}

impl Case {
    /// Adds the targets of one line of the case.
    fn hold(
        &self,
        operation: Operation,
        medians: &[Option<f64>],
        sessions: &Sessions,
        table: &mut Table,
    ) {
        let (Some(bare), Some(ours)) = (medians[BARE], medians[OURS]) else {
            return;
        };
        let name = table.full_name(&format!("{operation}{}", self.name));
        let targets = &mut table.targets;
        match (operation, self.kept, self.durability) {
            (Load, Kept::These, _) => targets.at_most(&format!("µs to {name}"), ours, 1.5),
            (Save, Kept::These, Process) => targets.at_most(&format!("µs to {name}"), ours, 6.0),
            (_, Kept::These, Process) => {}
            _ => targets.at_most(&format!("ratio of {name}"), ours / bare, 1.25),
        }
        if operation == Save && sessions.is_journaled {
            for ((peer, bound), time) in peers::NAMES
                .iter()
                .zip([5.0, 2.5, 2.5])
                .zip(&medians[OURS + 1..])
            {
                if let Some(time) = time {
                    targets.at_least(&format!("{peer}'s times ours, {name}"), time / ours, bound);
                }
            }
        }
    }
}

/// A case, and the sessions with which it is measured.
struct Contest<'a> {
    case: &'a Case,
    sessions: &'a Sessions,
    batch: usize,
    /// The sessions that are used in every round, if these must be the same: so that their files
    /// are in the cache, or so that their files are durable and a flush only writes the change.
    same: Option<Vec<u64>>,
}

impl<'a> Contest<'a> {
    fn new(case: &'a Case, plan: &Plan, sessions: &'a Sessions) -> Self {
        let (batch, is_same) = match case.durability {
            Process => (plan.batch, case.kept == Kept::These),
            Disk => (plan.batch / FLUSHED, true),
        };
        Self {
            case,
            sessions,
            batch,
            same: is_same.then(|| sessions.order.pick(sessions.count, batch)),
        }
    }

    fn bare(&self) -> Bare {
        let kept = match (self.case.kept, &self.same) {
            (Kept::These, Some(same)) => same.as_slice(),
            _ => &[],
        };
        let Case {
            durability,
            has_user,
            ..
        } = *self.case;
        Bare::new(&self.sessions.directory, kept, durability == Disk).with_index(has_user)
    }

    fn native<'b>(&self, runtime: &'b Runtime) -> Box<Native<'b>>
    where
        'a: 'b,
    {
        let options = Options::default().durability(self.case.durability);
        let options = match self.case.kept {
            Kept::None => options.max_kept_files(0),
            Kept::Others | Kept::These => options,
        };
        let user = self.case.has_user.then(|| USER.to_owned());
        Box::new(Native::new(runtime, self.sessions, options, user))
    }

    /// Returns the median time in microseconds of each contestant for each operation.
    fn medians(
        &self,
        contestants: &mut [Box<dyn Contestant + '_>],
        plan: &Plan,
    ) -> Vec<Vec<Option<f64>>> {
        let operations = self.case.operations;
        let mut times = vec![vec![Vec::new(); contestants.len()]; operations.len()];
        let start = Instant::now();
        // The first round only warms up.
        for round in 0..=plan.rounds {
            if round > 3 && start.elapsed() >= plan.budget {
                break;
            }
            let uses = self.uses(contestants.len());
            self.warm_up(&uses, contestants);
            for ((operation, uses), times) in uses.iter().zip(&mut times) {
                self.sessions.sync();
                for turn in 0..contestants.len() {
                    let index = (turn + round) % contestants.len();
                    if !contestants[index].can(*operation) {
                        continue;
                    }
                    let numbers = &uses[index];
                    if self.case.kept == Kept::These {
                        // An active session was used just before.
                        contestants[index].run(*operation, numbers);
                    }
                    let time = contestants[index].run(*operation, numbers);
                    if round > 0 {
                        times[index].push(time.as_secs_f64() * 1e6 / self.batch as f64);
                    }
                }
            }
        }
        let medians = |times: Vec<Vec<f64>>| times.into_iter().map(median_of_any).collect();
        times.into_iter().map(medians).collect()
    }

    /// Returns the sessions that each contestant uses for each operation.
    fn uses(&self, contestants: usize) -> Vec<(Operation, Vec<Vec<u64>>)> {
        let all = |operation| {
            let numbers = |contestant| self.numbers(operation, contestant);
            (operation, (0..contestants).map(numbers).collect())
        };
        self.case.operations.iter().copied().map(all).collect()
    }

    /// Brings the files and inodes that will be used into the page cache, since the benchmark does
    /// not measure the medium. A system may drop them from the cache after some seconds. The peers
    /// run in between, so the processor's caches then have little of them.
    fn warm_up(
        &self,
        uses: &[(Operation, Vec<Vec<u64>>)],
        contestants: &mut [Box<dyn Contestant + '_>],
    ) {
        let existing = uses
            .iter()
            .filter(|(operation, _)| !matches!(operation, Create | Delete));
        for (operation, uses) in existing {
            for (index, numbers) in uses.iter().enumerate() {
                // The store uses the same files as the bare calls, and would keep them open.
                let user = if index == OURS { BARE } else { index };
                if contestants[user].can(*operation) {
                    contestants[user].run(*operation, numbers);
                }
            }
        }
    }

    /// Returns the sessions that a contestant uses, in random order.
    fn numbers(&self, operation: Operation, contestant: usize) -> Vec<u64> {
        let Sessions { order, count, .. } = self.sessions;
        let mut numbers = match (operation, &self.same) {
            // New sessions after the existing ones, and different ones for each contestant.
            (Create | Delete, _) => {
                let first = count + (contestant * self.batch) as u64;
                (first..first + self.batch as u64).collect()
            }
            (_, Some(same)) => same.clone(),
            (_, None) => return order.pick(*count, self.batch),
        };
        order.shuffle(&mut numbers);
        numbers
    }
}

/// Returns the median, or `None` without times.
fn median_of_any(times: Vec<f64>) -> Option<f64> {
    (!times.is_empty()).then(|| median(times))
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Create => "create",
            Load => "load",
            Save => "save",
            Touch => "touch",
            Delete => "delete",
        })
    }
}
