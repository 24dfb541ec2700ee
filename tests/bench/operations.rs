//! One operation after the other, each contestant in turn.

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

/// How many times fewer sessions where each is flushed.
const FLUSHED: usize = 5;
/// With fewer sessions, nearly all of their files are still open.
const MANY: u64 = 10_000;

/// Where these two are among the contestants.
const BARE: usize = 0;
const OURS: usize = 1;

/// What a session store does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operation {
    /// Makes a session.
    Create,
    /// Reads it.
    Load,
    /// Replaces its state.
    Save,
    /// Moves its times.
    Touch,
    /// Ends it.
    Delete,
}

/// Whoever does it.
pub trait Contestant {
    /// Whether it has such an operation.
    fn can(&self, operation: Operation) -> bool;

    /// Does it with each of these sessions; how long all of them took.
    fn run(&mut self, operation: Operation, numbers: &[u64]) -> Duration;
}

/// Whose files are kept open.
#[derive(Clone, Copy, PartialEq)]
enum Kept {
    None,
    /// Of other sessions, so that each one closes another's.
    Others,
    /// Of just the sessions that are used.
    These,
}

/// A way of using the stores.
struct Case {
    /// What it adds to the operations' names.
    name: &'static str,
    kept: Kept,
    durability: Durability,
    /// Whether the sessions are a user's, and in the index.
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

/// All of them.
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
    /// The targets of one of its lines.
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

/// A case with some sessions.
struct Contest<'a> {
    case: &'a Case,
    sessions: &'a Sessions,
    batch: usize,
    /// What is to be kept open has to be the same each time; and to be on the
    /// medium, so that a flush has no more to do than this save.
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

    /// Of each operation, what each contestant needs: microseconds.
    fn medians(
        &self,
        contestants: &mut [Box<dyn Contestant + '_>],
        plan: &Plan,
    ) -> Vec<Vec<Option<f64>>> {
        let operations = self.case.operations;
        let mut times = vec![vec![Vec::new(); contestants.len()]; operations.len()];
        let start = Instant::now();
        // The first round is to warm up.
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
                        // A session in use is one that was used just before.
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

    /// Of each operation, which sessions each contestant is to use.
    fn uses(&self, contestants: usize) -> Vec<(Operation, Vec<Vec<u64>>)> {
        let all = |operation| {
            let numbers = |contestant| self.numbers(operation, contestant);
            (operation, (0..contestants).map(numbers).collect())
        };
        self.case.operations.iter().copied().map(all).collect()
    }

    /// Brings to the page cache what will be used of files and inodes; a system
    /// may have taken it from there after some seconds. What is measured is not
    /// the medium. Beside the peers, little of it is left in the processor's
    /// caches by then.
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
                // Ours are the same files as the bare calls', and would stay open.
                let user = if index == OURS { BARE } else { index };
                if contestants[user].can(*operation) {
                    contestants[user].run(*operation, numbers);
                }
            }
        }
    }

    /// Which sessions a contestant is to use, in random order.
    fn numbers(&self, operation: Operation, contestant: usize) -> Vec<u64> {
        let Sessions { order, count, .. } = self.sessions;
        let mut numbers = match (operation, &self.same) {
            // Beyond those that stay, and not another contestant's.
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
