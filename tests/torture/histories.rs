//! Histories of processes that are killed while they use the same sessions.

use std::sync::Arc;
use std::time::Duration;

use session3_test_history::{Remote, Subject, record};

use crate::child::{Job, Role, SETUPS, command};
use crate::plan::Plan;

/// The number of processes. Each has one client.
const PROCESSES: usize = 6;

/// Kills random processes again and again, with each setup. What their clients saw must be
/// linearizable.
pub fn kill(plan: &Plan) {
    for (durability, layer) in SETUPS {
        let directory = tempfile::tempdir().unwrap();
        let job = Job {
            directory: directory.path().to_owned(),
            durability,
            layer,
            sessions: 0,
            processes: 0,
            me: 0,
            duration: Duration::ZERO,
            seed: 0,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(kill_of(&job, plan));
    }
}

async fn kill_of(job: &Job, plan: &Plan) {
    let start = |_| {
        let job = job.clone();
        Arc::new(Remote::start(move || command(Role::Serve, &job)))
    };
    let processes: Vec<_> = (0..PROCESSES).map(start).collect();
    let clients = processes
        .iter()
        .map(|process| process.clone() as Arc<dyn Subject>);
    let mut random = plan.random();
    let recorded = session3_test_history::Plan {
        clients: PROCESSES,
        ..session3_test_history::Plan::new(random.number())
    };
    let history = record(recorded, clients.collect(), async |recorder| {
        for _ in 0..plan.kills() {
            recorder.progress(20 + random.below(100)).await;
            processes[random.below(PROCESSES as u64) as usize].kill();
        }
    });
    match history.await.check() {
        Ok(summary) => println!(
            "  {:?}, {:?}: {} kills, {summary}",
            job.durability,
            job.layer,
            plan.kills()
        ),
        Err(violation) => panic!("{violation}"),
    }
}
