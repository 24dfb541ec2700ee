//! Histories, which must be linearizable whatever happens to the connections and the server,
//! unless a failover loses what was acknowledged.

use std::sync::Arc;
use std::time::Duration;

use session3_store_redis::{Options, RedisStore};
use session3_test_history::{History, Plan, Recorder, Subject, amount, record};
use session3_test_support::dice::Dice;
use session3_test_support::{block_on, random};

use crate::proxy::{Cut, Mode, Proxy};
use crate::servers::{Server, wait_until};

/// The number of stores that the clients of a test share, as if each was a process.
const STORES: usize = 3;

/// The longest time of a call.
const TIMEOUT: Duration = Duration::from_millis(500);

async fn open(port: u16, parameters: &str) -> Arc<dyn Subject> {
    let options = Options::default().create(true).timeout(TIMEOUT);
    let url = format!("redis://127.0.0.1:{port}/0{parameters}");
    Arc::new(RedisStore::open(&url, options).await.unwrap())
}

async fn open_all(port: u16, parameters: &str) -> Vec<Arc<dyn Subject>> {
    let mut stores = Vec::new();
    for _ in 0..STORES {
        stores.push(open(port, parameters).await);
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
        let history = record(plan, open_all(server.port, "").await, async |recorder| {
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
        let mut stores = open_all(proxy.port, "").await;
        stores.push(open(server.port, "").await);
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
        let stores = open_all(server.port, "").await;
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

/// A primary and a replica, whose connection a test can interrupt.
struct Pair {
    primary: Server,
    replica: Server,
    between: Proxy,
}

impl Pair {
    async fn start() -> Self {
        let primary = Server::start_with(&["--save", "", "--repl-diskless-sync-delay", "0"]);
        let between = Proxy::start(primary.port).await;
        let port = between.port.to_string();
        let replica = Server::start_with(&["--save", "", "--replicaof", "127.0.0.1", &port]);
        let pair = Self {
            primary,
            replica,
            between,
        };
        pair.wait_for_link("up");
        pair
    }

    fn wait_for_link(&self, state: &str) {
        let expected = format!("master_link_status:{state}");
        tokio::task::block_in_place(|| {
            wait_until("the replication", || {
                self.replica
                    .text(&["INFO", "replication"])
                    .contains(&expected)
            });
        });
    }

    /// Replaces the primary by the replica, after `before` has happened. Returns the history,
    /// and the time at which the clients went over.
    async fn fail_over(
        &self,
        seed: u64,
        parameters: &str,
        before: impl AsyncFnOnce(&Recorder),
    ) -> (History, u64) {
        let stores = open_all(self.primary.port, parameters).await;
        let mut time = 0;
        let history = record(Plan::new(seed), stores, async |recorder| {
            recorder.progress(500).await;
            before(recorder).await;
            self.primary.kill();
            self.replica.command(&["REPLICAOF", "NO", "ONE"]);
            // The new primary has no replica that could confirm anything.
            time = recorder.go_on_with(open_all(self.replica.port, "").await);
            recorder.progress(300).await;
        });
        (history.await, time)
    }

    /// Interrupts the replication, and waits until the clients have got more answers.
    async fn part(&self, recorder: &Recorder) {
        self.between.set(Mode::Refuse);
        self.wait_for_link("down");
        recorder.progress(100).await;
    }
}

/// Fails over while the replication is interrupted, until a history has a violation. Most of
/// the first ones have: some session that was changed meanwhile is still in use afterwards.
async fn loss(seed: u64, parameters: &str, checked: fn(History, u64) -> History) -> (History, u64) {
    for seed in (0..5).map(|round| seed.wrapping_add(round)) {
        let pair = Pair::start().await;
        let parting = async |recorder: &Recorder| pair.part(recorder).await;
        let (history, time) = pair.fail_over(seed, parameters, parting).await;
        if let Err(violation) = checked(history.clone(), time).check() {
            println!("{violation}");
            return (history, time);
        }
    }
    panic!("what was lost was not found");
}

#[test]
fn a_failover_that_loses_acknowledged_changes_is_a_violation() {
    let seed = random::seed();
    block_on(async {
        loss(seed, "", History::without_reads_before).await;
    });
}

// With `wait`, the primary shows a change before a replica has confirmed it. If it ends now, the
// change is lost, but was not acknowledged.

#[test]
fn a_failover_undoes_no_change_that_a_replica_confirmed() {
    let seed = random::seed();
    for seed in (0..amount(2)).map(|round| seed.wrapping_add(round)) {
        block_on(async {
            let pair = Pair::start().await;
            let (history, time) = pair.fail_over(seed, "?wait=1", async |_| {}).await;
            history.without_reads_before(time).assert_linearizable();
        });
    }
}

#[test]
fn changes_that_no_replica_confirmed_are_shown_and_may_be_lost() {
    let seed = random::seed();
    block_on(async {
        let (history, time) = loss(seed, "?wait=1", |history, _| history).await;
        history.without_reads_before(time).assert_linearizable();
    });
}
