//! How many increments of one session get lost when several requests make them at once.

use std::sync::Arc;

use session3_store::{Maintenance, StoreError};
use tokio::runtime::Runtime;

use crate::Plan;
use crate::engine::Engine;
use crate::sessions::{id, state};
use crate::table;
use crate::targets::Targets;

/// The number of tasks that increment the counter.
const TASKS: u64 = 8;
/// How often each task increments it.
const ROUNDS: u64 = 200;

/// Counts the lost increments of all engines, and prints them.
pub fn measure(plan: &Plan, runtime: &Runtime, engines: &[Engine], targets: &mut Targets) {
    let rounds = if plan.is_short { 20 } else { ROUNDS };
    let all = TASKS * rounds;
    table::print_increments_head(TASKS, rounds);
    for engine in engines {
        let store = engine.open("counter");
        let ours = all - runtime.block_on(increment(&store, rounds));
        let peer = all - engine.peer().increment(TASKS, rounds);
        table::print_row(&[engine.name.into(), ours.to_string(), peer.to_string()]);
        let what = format!("lost increments, {}", engine.name);
        targets.at_most(&what, ours as f64, 0.0);
    }
}

/// Increments the counter of a session, and returns it. A save that another one preceded is
/// repeated with the newer state.
async fn increment(store: &Arc<dyn Maintenance>, rounds: u64) -> u64 {
    let id = id(0);
    let mut first = state(false);
    first.data.splice(..8, 0_u64.to_le_bytes());
    store.create_session(&id, &first).await.unwrap();
    let spawn = |_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut round = 0;
            while round < rounds {
                let mut session = store.load_session(&id).await.unwrap().unwrap();
                let next = counter(&session.state.data) + 1;
                session.state.data.splice(..8, next.to_le_bytes());
                let saved = store.save_session(&id, &session.state, session.version);
                match saved.await {
                    Ok(_) => round += 1,
                    Err(StoreError::Conflict(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        })
    };
    let tasks: Vec<_> = (0..TASKS).map(spawn).collect();
    for task in tasks {
        task.await.unwrap();
    }
    let session = store.load_session(&id).await.unwrap().unwrap();
    counter(&session.state.data)
}

fn counter(data: &[u8]) -> u64 {
    u64::from_le_bytes(data[..8].try_into().unwrap())
}
