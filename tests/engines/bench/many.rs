//! Benchmarks with many sessions: their size, and loads and saves beside those with few sessions.

use std::sync::Arc;
use std::time::Instant;

use session3_store::{Maintenance, Version};
use session3_test_support::thousands;
use tokio::runtime::Runtime;

use crate::contest::{Batch, Contestant, Operation, Use};
use crate::disk::fdatasync;
use crate::engine::Engine;
use crate::sessions::{Order, id, is_old, old_state, state};
use crate::targets::Targets;
use crate::{Plan, median, sweep, table};

/// How many sessions are created at the same time.
const FILLERS: u64 = 64;
/// The rounds that are measured whatever their time.
const MIN_ROUNDS: usize = 5;

/// A store with sessions, whose numbers begin at 0.
pub struct Sessions {
    /// The store.
    pub store: Arc<dyn Maintenance>,
    /// The version of each session, which the next save expects.
    versions: Vec<Version>,
    order: Order,
}

impl Sessions {
    /// Creates `count` sessions, of which each second one is old.
    fn create(runtime: &Runtime, engine: &Engine, table: &str, count: u64) -> Self {
        engine.set_waiting(false);
        let filled = engine.open_to_fill(table);
        let fill = |task| {
            let store = filled.clone();
            tokio::spawn(async move {
                let states = [state(false), old_state()];
                for number in (task..count).step_by(FILLERS as usize) {
                    let state = &states[usize::from(is_old(number))];
                    store.create_session(&id(number), state).await.unwrap();
                }
            })
        };
        runtime.block_on(async {
            let tasks: Vec<_> = (0..FILLERS).map(fill).collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        drop(filled);
        engine.set_waiting(true);
        Self {
            store: engine.open(table),
            versions: vec![1; usize::try_from(count).unwrap()],
            order: Order::default(),
        }
    }

    /// Returns a batch of random sessions. Old ones are only loaded, since a save would give them a
    /// new expiry.
    pub fn batch(&mut self, operation: Operation, count: usize) -> Batch {
        let uses = (0..count).map(|_| {
            let number = self.order.below(self.versions.len() as u64);
            let is_spared = is_old(number) && operation != Operation::Load;
            let number = if is_spared { number - 1 } else { number };
            let next = &mut self.versions[usize::try_from(number).unwrap()];
            let version = *next;
            if operation == Operation::Save {
                *next += 1;
            }
            Use { number, version }
        });
        Batch {
            operation,
            tasks: 1,
            has_user: false,
            uses: uses.collect(),
        }
    }
}

/// Measures all engines, and prints their table.
pub fn measure(plan: &Plan, runtime: &Runtime, engines: &[Engine], targets: &mut Targets) {
    table::print_many_head(plan);
    let mut flushes = Vec::new();
    for engine in engines {
        let before = fdatasync();
        measure_engine(plan, runtime, engine, targets);
        flushes.push((engine.name, [before, fdatasync()]));
    }
    table::print_flushes(&flushes);
}

fn measure_engine(plan: &Plan, runtime: &Runtime, engine: &Engine, targets: &mut Targets) {
    let few = Sessions::create(runtime, engine, "thousand", plan.few);
    let before = engine.bytes(&engine.open("many"));
    let many = Sessions::create(runtime, engine, "many", plan.sessions);
    engine.analyze("many");
    let bytes = engine.bytes(&many.store).saturating_sub(before) / plan.sessions;

    let mut both = [few, many];
    let mut row = vec![engine.name.to_owned(), bytes.to_string()];
    for operation in [Operation::Load, Operation::Save] {
        let [few, many, growth] = compare(plan, engine, operation, &mut both);
        let what = format!("growth of {operation}, {}", engine.name);
        let is_met = targets.at_most(&what, growth, engine.growth());
        row.extend([few, many].map(|time| format!("{time:.1}")));
        row.push(table::marked(growth, is_met));
    }
    let [_, many] = both;
    let hot = engine.hot_share(&many.store);
    row.push(match hot {
        Some(share) => {
            let what = format!("HOT updates in %, {}", thousands(plan.sessions));
            table::marked(share, targets.at_least(&what, share, 90.0))
        }
        None => String::new(),
    });
    row.extend(sweep::measure(plan, runtime, engine, many, targets));
    table::print_row(&row);
}

/// Returns the median microseconds of an operation with few and with many sessions, and the median
/// of the quotients of neighbouring slices.
fn compare(
    plan: &Plan,
    engine: &Engine,
    operation: Operation,
    both: &mut [Sessions; 2],
) -> [f64; 3] {
    let mut contestants: [Box<dyn Contestant>; 2] =
        [0, 1].map(|index| engine.ours(&both[index].store));
    let mut times = [Vec::new(), Vec::new()];
    let count = plan.batches[0];
    let start = Instant::now();
    // The first round only warms up.
    for round in 0..=plan.rounds {
        if round > MIN_ROUNDS && start.elapsed() >= plan.budget {
            break;
        }
        for turn in 0..2 {
            let index = (turn + round) % 2;
            let batch = both[index].batch(operation, count);
            let time = contestants[index].run(&batch);
            if round > 0 {
                times[index].push(time.as_secs_f64() * 1e6 / count as f64);
            }
        }
    }
    let [few, many] = times;
    let growth = many.iter().zip(&few).map(|(many, few)| many / few);
    let growth = median(growth.collect());
    [median(few), median(many), growth]
}
