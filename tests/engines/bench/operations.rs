//! Benchmarks of single operations, each with every contestant in turn.

use std::time::Instant;

use session3_test_support::thousands;
use tokio::runtime::Runtime;

use crate::contest::{Batch, Contestant, Operation, Use};
use crate::disk::fdatasync;
use crate::engine::Engine;
use crate::sessions::{id, state};
use crate::table;
use crate::targets::Targets;
use crate::{Plan, TASKS, median};

use Operation::{Create, Delete, Load, Save, Touch};

/// The operations, in an order in which each session can go through all of them, and the version
/// that a session has before each.
const ALL: [(Operation, u64); 5] = [(Create, 0), (Load, 1), (Save, 1), (Touch, 2), (Delete, 2)];

/// The largest quotient of the times of a store and of its floor.
const BOUND: f64 = 1.15;

/// The index of the first peer among the contestants.
const PEERS: usize = 2;

/// The name of the table.
const TABLE: &str = "few";

/// The rounds that are measured whatever their time.
const MIN_ROUNDS: usize = 5;

/// The times of one operation, at one degree of concurrency.
pub struct Times {
    /// The microseconds of the floor.
    pub floor: f64,
    /// The microseconds of the store.
    pub ours: f64,
    /// The median of the quotients of neighbouring slices of the store and of the floor.
    pub ratio: f64,
    /// Whether the quotient is within its bound.
    pub is_met: bool,
    /// The microseconds of the peers that have the operation, in the order of [`Line::peers`].
    pub peers: Vec<f64>,
}

/// The times of one operation.
pub struct Line {
    /// The name of the engine.
    pub engine: &'static str,
    /// The name of the operation.
    pub name: String,
    /// The names of the peers.
    pub peers: Vec<&'static str>,
    /// The times with one operation at a time, and with [`TASKS`].
    pub times: [Times; 2],
}

/// Measures the operations of all engines, and prints their table.
pub fn measure(
    plan: &Plan,
    runtime: &Runtime,
    engines: &[Engine],
    targets: &mut Targets,
) -> Vec<Line> {
    table::print_operations_head();
    let (mut lines, mut flushes) = (Vec::new(), Vec::new());
    for engine in engines {
        let before = fdatasync();
        let measured = measure_engine(plan, runtime, engine, targets);
        flushes.push((engine.name, [before, fdatasync()]));
        measured.iter().for_each(table::print_operation);
        lines.extend(measured);
    }
    table::print_flushes(&flushes);
    lines
}

fn measure_engine(
    plan: &Plan,
    runtime: &Runtime,
    engine: &Engine,
    targets: &mut Targets,
) -> Vec<Line> {
    let store = engine.open(TABLE);
    runtime.block_on(async {
        for number in 0..plan.few {
            store
                .create_session(&id(number), &state(false))
                .await
                .unwrap();
        }
    });
    let mut contestants = vec![engine.floor(TABLE), engine.ours(&store)];
    let mut names = Vec::new();
    for peer in engine.peers() {
        names.push(peer.name);
        contestants.push(Box::new(peer));
    }
    let scale = if plan.is_short { 1 } else { engine.scale() };
    let mut lines = Vec::new();
    for has_user in [false, true] {
        let [alone, together] = [0, 1].map(|index| {
            let case = Case {
                tasks: [1, TASKS][index],
                batch: plan.batches[index] * scale,
                has_user,
            };
            case.measure(plan, &mut contestants)
        });
        for ((operation, alone), (_, together)) in alone.into_iter().zip(together) {
            let user = if has_user { ", a user's" } else { "" };
            let name = format!("{operation}{user}");
            let times = [(alone, 1), (together, TASKS)].map(|(slices, tasks)| {
                let what = format!("ratio of {}, {name}, {tasks} at a time", engine.name);
                slices.times(&what, targets)
            });
            lines.push(Line {
                engine: engine.name,
                name,
                peers: names.clone(),
                times,
            });
        }
    }
    if let Some(share) = engine.hot_share(&store) {
        let what = format!("HOT updates in %, {} sessions", thousands(plan.few));
        targets.at_least(&what, share, 90.0);
    }
    lines
}

/// A way of using the stores.
struct Case {
    tasks: usize,
    batch: usize,
    has_user: bool,
}

/// The microseconds of each slice of each contestant. Slices of the same round have the same index.
struct Slices(Vec<Vec<f64>>);

impl Slices {
    fn times(self, what: &str, targets: &mut Targets) -> Times {
        let mut contestants = self.0.into_iter();
        let mut next = || contestants.next().unwrap();
        let (floor, ours) = (next(), next());
        let ratios = ours.iter().zip(&floor).map(|(ours, floor)| ours / floor);
        let ratio = median(ratios.collect());
        Times {
            floor: median(floor),
            ours: median(ours),
            ratio,
            is_met: targets.at_most(what, ratio, BOUND),
            peers: contestants
                .filter(|peer| !peer.is_empty())
                .map(median)
                .collect(),
        }
    }
}

impl Case {
    fn measure(
        &self,
        plan: &Plan,
        contestants: &mut [Box<dyn Contestant>],
    ) -> Vec<(Operation, Slices)> {
        let wanted = |operation: &Operation| {
            // A user makes a difference only for the index.
            !self.has_user || matches!(operation, Create | Delete)
        };
        let slices = || Slices(vec![Vec::new(); contestants.len()]);
        let mut all = ALL.map(|(operation, _)| (operation, slices()));
        let start = Instant::now();
        // The first round only warms up.
        for round in 0..=plan.rounds {
            if round > MIN_ROUNDS && start.elapsed() >= plan.budget {
                break;
            }
            for (index, (operation, version)) in ALL.into_iter().enumerate() {
                if !wanted(&operation) {
                    continue;
                }
                let can = |index: &usize| contestants[*index].can(operation, self.has_user);
                let mut able: Vec<_> = (0..contestants.len()).filter(can).collect();
                // Each contestant is the first one equally often.
                let first = round % able.len();
                able.rotate_left(first);
                for contestant in able {
                    // After a create, a session that was neither saved nor touched is deleted.
                    let batch = self.batch_of(plan, operation, version, contestant);
                    let time = contestants[contestant].run(&batch);
                    if round > 0 {
                        let micros = time.as_secs_f64() * 1e6 / batch.uses.len() as f64;
                        all[index].1.0[contestant].push(micros);
                    }
                }
            }
        }
        all.into_iter()
            .filter(|(operation, _)| wanted(operation))
            .collect()
    }

    /// Returns the number of sessions in a slice of a contestant. That of a peer is small, since it
    /// may be slow and has no bound.
    fn size(&self, contestant: usize) -> usize {
        match contestant {
            PEERS.. => (self.batch / 8).max(self.tasks),
            _ => self.batch,
        }
    }

    /// Returns a batch of sessions after those that stay, of which each contestant has its own.
    fn batch_of(
        &self,
        plan: &Plan,
        operation: Operation,
        version: u64,
        contestant: usize,
    ) -> Batch {
        let first = plan.few + (contestant * self.batch) as u64;
        let numbers = first..first + self.size(contestant) as u64;
        Batch {
            operation,
            tasks: self.tasks,
            has_user: self.has_user,
            uses: numbers.map(|number| Use { number, version }).collect(),
        }
    }
}
