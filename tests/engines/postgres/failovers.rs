//! Histories, which must be linearizable whatever happens to the connections and the server,
//! unless a failover loses what was acknowledged.

use std::fs::File;
use std::time::Duration;

use session3_test_engines::histories::open_all;
use session3_test_engines::proxy::Proxy;
use session3_test_history::{History, Plan, amount, record};
use session3_test_support::{block_on, random};

use crate::server::{Engine, PASSWORD, Server, as_user, client, directory, give, program};

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
        let stores = open_all::<Engine>(&self.primary.url()).await;
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
            time = recorder.go_on_with(open_all::<Engine>(&self.standby.url()).await);
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
    for seed in (0..amount(2)).map(|round| seed.wrapping_add(round)) {
        block_on(async {
            let pair = Pair::start(&["synchronous_standby_names = '*'"]).await;
            let (history, _) = pair.fail_over(seed, false).await;
            history.assert_linearizable();
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
        history.without_reads_before(time).assert_linearizable();
    });
}
