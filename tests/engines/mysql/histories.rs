//! Histories, which must be linearizable whatever happens to the connections and the server.

use std::sync::Arc;
use std::time::Duration;

use session3_store_mysql::{MysqlStore, Options};
use session3_test_engines::proxy::Proxy;
use session3_test_history::{History, Plan, Recorder, Subject, record};
use session3_test_support::dice::Dice;
use session3_test_support::{block_on, random};

use crate::server::{Server, new_shared_url, shared, table};

/// The number of stores that the clients of a test share, as if each was a process.
const STORES: usize = 3;

/// The longest time of a call.
const TIMEOUT: Duration = Duration::from_millis(500);

async fn open(url: &str) -> Arc<dyn Subject> {
    let options = Options::default().create(true).timeout(TIMEOUT);
    Arc::new(MysqlStore::open(url, options).await.unwrap())
}

async fn open_all(url: &str) -> Vec<Arc<dyn Subject>> {
    let mut stores = Vec::new();
    for _ in 0..STORES {
        stores.push(open(url).await);
    }
    stores
}

fn assert_linearizable(history: &History) {
    match history.check() {
        Ok(summary) => println!("{summary}"),
        Err(violation) => panic!("{violation}"),
    }
}

/// Returns the plan for clients whose answers may be lost. A lost delete is repeated.
fn plan(seed: u64) -> Plan {
    Plan {
        recreates: false,
        ..Plan::new(seed)
    }
}

/// Returns how often a test repeats its fault.
fn rounds(short: u64) -> u64 {
    if random::is_long() { 30 * short } else { short }
}

#[test]
fn what_clients_of_several_stores_see_has_an_order() {
    let seed = random::seed();
    block_on(async {
        let plan = Plan {
            drops: 5,
            ..Plan::new(seed)
        };
        let stores = open_all(&new_shared_url()).await;
        let history = record(plan, stores, async |recorder| {
            recorder.progress(rounds(5000)).await;
        });
        assert_linearizable(&history.await);
    });
}

#[test]
fn what_clients_see_has_an_order_although_connections_are_lost_and_silent() {
    let seed = random::seed();
    block_on(async {
        let proxy = Proxy::new(shared().port).await;
        let table = table();
        let url = |port| {
            let url = shared().url_at(port);
            format!("{url}?durability=off&table={table}")
        };
        let mut stores = open_all(&url(proxy.port)).await;
        stores.push(open(&url(shared().port)).await);
        let history = record(plan(seed), stores, async |recorder| {
            let mut dice = Dice::new(seed);
            for _ in 0..rounds(60) {
                disturb(&proxy, recorder, &mut dice).await;
            }
        });
        // A touch that is repeated may undo another one.
        assert_linearizable(&history.await.without_expiry());
    });
}

/// Disturbs the connections once, in a random way.
async fn disturb(proxy: &Proxy, recorder: &Recorder, dice: &mut Dice) {
    match dice.below(10) {
        // The clients of the store without the proxy go on.
        0 => proxy.set_silent(true),
        1 => proxy.refuse(),
        2 => proxy.close_all(),
        _ => proxy.cut_replies(1 + dice.below(2)),
    }
    recorder.progress(20 + dice.below(100) as u64).await;
    proxy.set_silent(false);
    proxy.accept();
    recorder.progress(20 + dice.below(50) as u64).await;
}

#[test]
fn what_clients_see_has_an_order_although_the_server_is_killed() {
    let seed = random::seed();
    block_on(async {
        let mut server = Server::start(&[]);
        let stores = open_all(&server.url()).await;
        let mut killed = 0;
        let history = record(plan(seed), stores, async |recorder| {
            let mut dice = Dice::new(seed);
            for _ in 0..rounds(5) {
                recorder.progress(100 + dice.below(300) as u64).await;
                server.kill();
                killed = recorder.now();
                server.restart();
            }
            recorder.progress(300).await;
        });
        // InnoDB shows a change before it is on the disk, and acknowledges it afterwards. A touch
        // that is repeated may undo another one.
        let history = history.await.without_expiry();
        assert_linearizable(&history.without_reads_before(killed));
    });
}
