//! Histories, which must be linearizable also while processes are killed.

use std::sync::Arc;

use session3_store_sqlite::Options;
use session3_test_history::{Plan, Remote, Subject, amount, record};
use session3_test_support::dice::Dice;
use session3_test_support::{block_on, random};

use crate::processes::command;
use crate::support::{Place, url};

/// The number of processes. Each has one client.
const PROCESSES: usize = 4;

#[test]
fn what_clients_of_several_handles_see_has_an_order() {
    let seed = random::seed();
    let place = Place::new();
    block_on(async {
        let mut stores = Vec::<Arc<dyn Subject>>::new();
        for _ in 0..3 {
            stores.push(Arc::new(place.store(Options::default()).await));
        }
        let plan = Plan {
            drops: 5,
            ..Plan::new(seed)
        };
        let history = record(plan, stores, async |recorder| {
            recorder.progress(amount(5000)).await;
        });
        history.await.assert_linearizable();
    });
}

#[test]
fn what_clients_see_has_an_order_although_processes_are_killed() {
    let seed = random::seed();
    for durability in ["process", "disk"] {
        let place = Place::new();
        let url = format!("{}?durability={durability}", url(&place.path()));
        block_on(async {
            let start = |_| {
                let url = url.clone();
                Arc::new(Remote::start(move || command("serve", &url, 0, 0)))
            };
            let processes: Vec<_> = (0..PROCESSES).map(start).collect();
            let clients = processes
                .iter()
                .map(|process| process.clone() as Arc<dyn Subject>);
            let plan = Plan {
                clients: PROCESSES,
                ..Plan::new(seed)
            };
            let history = record(plan, clients.collect(), async |recorder| {
                let mut dice = Dice::new(seed);
                for _ in 0..amount(30) {
                    recorder.progress(20 + dice.below(60) as u64).await;
                    dice.pick(&processes).kill();
                }
                recorder.progress(100).await;
            });
            history.await.assert_linearizable();
        });
    }
}
