//! Histories, which must be linearizable whatever happens to the connections and the server.

use std::sync::Arc;
use std::time::Duration;

use session3_store_redis::{Options, RedisStore};
use session3_test_history::{Plan, Recorder, Subject, amount, record};
use session3_test_support::dice::Dice;
use session3_test_support::{block_on, random};

use crate::proxy::{Cut, Mode, Proxy};
use crate::servers::Server;

/// The number of stores that the clients of a test share, as if each was a process.
const STORES: usize = 3;

/// The longest time of a call.
const TIMEOUT: Duration = Duration::from_millis(500);

async fn open(url: &str) -> Arc<dyn Subject> {
    let options = Options::default().create(true).timeout(TIMEOUT);
    Arc::new(RedisStore::open(url, options).await.unwrap())
}

/// Opens the stores that the clients of a test share.
pub async fn open_all(url: &str) -> Vec<Arc<dyn Subject>> {
    let mut stores = Vec::new();
    for _ in 0..STORES {
        stores.push(open(url).await);
    }
    stores
}

#[test]
fn what_clients_of_several_stores_see_has_an_order() {
    let seed = random::seed();
    block_on(async {
        let server = Server::start();
        let plan = Plan {
            drops: 5,
            ..Plan::new(seed)
        };
        let history = record(plan, open_all(&server.url()).await, async |recorder| {
            recorder.progress(amount(10_000)).await;
        });
        history.await.assert_linearizable();
    });
}

#[test]
fn what_clients_see_has_an_order_although_connections_are_lost_and_silent() {
    let seed = random::seed();
    block_on(async {
        let server = Server::start();
        let proxy = Proxy::start(server.port).await;
        let mut stores = open_all(&format!("redis://127.0.0.1:{}", proxy.port)).await;
        stores.push(open(&server.url()).await);
        let history = record(Plan::with_lost_answers(seed), stores, async |recorder| {
            let mut dice = Dice::new(seed);
            for _ in 0..amount(60) {
                disturb(&proxy, recorder, &mut dice).await;
            }
        });
        history.await.assert_linearizable();
    });
}

/// Disturbs the connections once, in a random way.
async fn disturb(proxy: &Proxy, recorder: &Recorder, dice: &mut Dice) {
    let command = *dice.pick(&[&b"EVALSHA"[..], b"EVALSHA", b"HMGET"]);
    match dice.below(10) {
        // The clients of the store without the proxy go on.
        0 => proxy.set(Mode::HalfOpen),
        1 => proxy.set(Mode::Refuse),
        2 => proxy.set(Mode::Delay(Duration::from_millis(3))),
        3..6 => proxy.cut_next(Cut::BeforeRequest, command),
        _ => proxy.cut_next(Cut::BeforeAnswer, command),
    }
    recorder.progress(20 + dice.below(100) as u64).await;
    proxy.set(Mode::Pass);
    recorder.progress(20 + dice.below(50) as u64).await;
}

#[test]
fn what_clients_see_has_an_order_although_the_server_is_killed() {
    let seed = random::seed();
    block_on(async {
        let durable = [
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ];
        let server = Server::start_with(&durable);
        let stores = open_all(&server.url()).await;
        let history = record(Plan::with_lost_answers(seed), stores, async |recorder| {
            let mut dice = Dice::new(seed);
            for _ in 0..amount(5) {
                recorder.progress(100 + dice.below(300) as u64).await;
                server.kill();
                server.restart();
            }
            recorder.progress(300).await;
        });
        history.await.assert_linearizable();
    });
}
