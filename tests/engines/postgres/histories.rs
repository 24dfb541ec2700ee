//! Histories, which must be linearizable whatever happens to the connections and the server,
//! unless a failover loses what was acknowledged.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use session3_store_postgres::{Options, PostgresStore};
use session3_test_engines::proxy::Proxy;
use session3_test_history::{History, Plan, Recorder, Subject, record};
use session3_test_support::dice::Dice;
use session3_test_support::{block_on, random};

use crate::server::{
    PASSWORD, Server, as_user, client, directory, give, new_table, program, shared, table,
};

/// The number of stores that the clients of a test share, as if each was a process.
const STORES: usize = 3;

/// The longest time of a call.
const TIMEOUT: Duration = Duration::from_millis(500);

async fn open(url: &str) -> Arc<dyn Subject> {
    let options = Options::default().create(true).timeout(TIMEOUT);
    Arc::new(PostgresStore::open(url, options).await.unwrap())
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
        let stores = open_all(&new_table(shared())).await;
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
        let url = |port| format!("{}?table={table}", shared().url_at(port));
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
        let mut server = Server::start(&["max_connections = 100"]);
        let stores = open_all(&server.url()).await;
        let history = record(plan(seed), stores, async |recorder| {
            let mut dice = Dice::new(seed);
            for _ in 0..rounds(5) {
                recorder.progress(100 + dice.below(300) as u64).await;
                server.kill();
                server.restart();
            }
            recorder.progress(300).await;
        });
        // A crash may undo touches.
        assert_linearizable(&history.await.without_expiry());
    });
}

/// A primary and a standby, whose connection a test can interrupt.
struct Pair {
    primary: Server,
    standby: Server,
    between: Proxy,
}

impl Pair {
    /// Starts a primary with these lines in its configuration, and a standby.
    async fn start(settings: &[&str]) -> Self {
        let primary = Server::start(settings);
        let between = Proxy::new(primary.port).await;
        let standby = tokio::task::block_in_place(|| start_standby(between.port));
        let pair = Self {
            primary,
            standby,
            between,
        };
        pair.wait_for_standbys(1).await;
        pair
    }

    async fn wait_for_standbys(&self, count: i64) {
        let client = client(&self.primary).await;
        let statement = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        let start = std::time::Instant::now();
        loop {
            let found: i64 = client.query_one(statement, &[]).await.unwrap().get(0);
            if found == count {
                return;
            }
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "{found} standbys"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Replaces the primary by the standby, after `before` has happened. Returns the history,
    /// without the touches, which wait for no standby, and the time at which the clients went
    /// over.
    async fn fail_over(mut self, seed: u64, is_parted: bool) -> (History, u64) {
        let mut time = 0;
        let stores = open_all(&self.primary.url()).await;
        let history = record(Plan::new(seed), stores, async |recorder| {
            recorder.progress(500).await;
            if is_parted {
                self.between.refuse();
                self.wait_for_standbys(0).await;
                recorder.progress(100).await;
            }
            self.primary.kill();
            let client = client(&self.standby).await;
            client.query_one("SELECT pg_promote()", &[]).await.unwrap();
            time = recorder.go_on_with(open_all(&self.standby.url()).await);
            recorder.progress(300).await;
        });
        (history.await.without_touches(), time)
    }
}

/// Starts a standby of the server that is reached at this port.
fn start_standby(primary: u16) -> Server {
    let directory = directory();
    let data = directory.join("data");
    let from = format!("host=127.0.0.1 port={primary} user=postgres password={PASSWORD}");
    let copied = as_user(&program("pg_basebackup"))
        .args(["--checkpoint=fast", "--no-sync", "--dbname", &from])
        .arg("--pgdata")
        .arg(&data)
        .output()
        .unwrap();
    assert!(copied.status.success(), "{copied:?}");
    let signal = data.join("standby.signal");
    File::create(&signal).unwrap();
    give(&signal);
    Server::start_in(directory, &[&format!("primary_conninfo = '{from}'")])
}

/// Fails over while the replication is interrupted, until a history has a violation. Most of
/// the first ones have: some session that was changed meanwhile is still in use afterwards.
async fn loss(
    seed: u64,
    settings: &[&str],
    checked: fn(History, u64) -> History,
) -> (History, u64) {
    for seed in (0..5).map(|round| seed.wrapping_add(round)) {
        let pair = Pair::start(settings).await;
        let (history, time) = pair.fail_over(seed, true).await;
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
        loss(seed, &[], History::without_reads_before).await;
    });
}

#[test]
fn a_failover_to_a_synchronous_standby_undoes_no_acknowledged_change() {
    let seed = random::seed();
    for seed in (0..rounds(2)).map(|round| seed.wrapping_add(round)) {
        block_on(async {
            let pair = Pair::start(&["synchronous_standby_names = '*'"]).await;
            let (history, _) = pair.fail_over(seed, false).await;
            assert_linearizable(&history);
        });
    }
}

// A statement that waits for a standby and is cancelled has changed the session on the primary.

#[test]
fn changes_that_no_standby_confirmed_are_shown_and_may_be_lost() {
    let seed = random::seed();
    block_on(async {
        let settings = ["synchronous_standby_names = '*'"];
        let (history, time) = loss(seed, &settings, |history, _| history).await;
        assert_linearizable(&history.without_reads_before(time));
    });
}
