//! How many increments of one session get lost when several requests make them at once.

use std::sync::Arc;

use session3_store::{Maintenance, StoreError};
use tokio::runtime::Runtime;

use crate::Plan;
use crate::engine::Engine;
use crate::peer::Peer;
use crate::sessions::{id, state};
use crate::targets::Targets;

/// The number of tasks that increment the counter.
const TASKS: u64 = 8;
/// How often each task increments it.
const ROUNDS: u64 = 200;

/// How many increments of an engine got lost.
pub struct Lost {
    /// The number of all increments.
    pub all: u64,
    /// The number of those that session3 lost.
    pub ours: u64,
    /// The numbers of those that the peers lost.
    pub peers: Vec<u64>,
}

/// Counts the lost increments of each engine.
pub fn measure(
    plan: &Plan,
    runtime: &Runtime,
    engines: &[Engine],
    targets: &mut Targets,
) -> Vec<Lost> {
    let rounds = if plan.is_short { 20 } else { ROUNDS };
    let all = TASKS * rounds;
    let count = |engine: &Engine| {
        let store = engine.open("counter");
        let ours = all - runtime.block_on(increment(&store, rounds));
        let what = format!("lost increments, {}", engine.name);
        targets.at_most(&what, ours as f64, 0.0);
        let lost = |mut peer: Peer| all - peer.increment(TASKS, rounds);
        let peers = engine.peers().into_iter().map(lost).collect();
        Lost { all, ours, peers }
    };
    engines.iter().map(count).collect()
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
