//! Histories, which must be linearizable whatever happens to the connections and the server,
//! unless a failover loses what was acknowledged.

use std::fs::File;
use std::sync::Arc;

use session3_test_engines::calls::eventually;
use session3_test_engines::failovers::{measure, wait_for_recovery};
use session3_test_engines::histories::open_all;
use session3_test_engines::proxy::Proxy;
use session3_test_history::{Failover, Plan, amount, first_loss, record};
use session3_test_support::{block_on, random};

use crate::server::{Engine, PASSWORD, Server, as_user, client, directory, give, open, program};

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
        eventually("the standby", async || {
            let row = client.query_one(statement, &[]).await.unwrap();
            row.get::<_, i64>(0) == count
        })
        .await;
    }

    async fn promote(&self) {
        let client = client(&self.standby).await;
        client.query_one("SELECT pg_promote()", &[]).await.unwrap();
    }

    /// Waits until the standby has everything that the primary has now.
    async fn wait_for_replay(&self) {
        let client = client(&self.primary).await;
        let position = "SELECT pg_current_wal_insert_lsn()::text";
        let position: String = client.query_one(position, &[]).await.unwrap().get(0);
        let has_all =
            format!("SELECT bool_or(replay_lsn >= '{position}') FROM pg_stat_replication");
        eventually("the standby to have all", async || {
            let row = client.query_one(&has_all, &[]).await.unwrap();
            row.get::<_, Option<bool>>(0) == Some(true)
        })
        .await;
    }

    /// Replaces the primary by the standby, whose connection is interrupted before if `is_parted`.
    /// The history has no touches, which wait for no standby.
    async fn fail_over(mut self, seed: u64, is_parted: bool) -> Failover {
        let (mut safe, mut time) = (0, 0);
        let stores = open_all::<Engine>(&self.primary.url()).await;
        let history = record(Plan::new(seed), stores, async |recorder| {
            recorder.progress(500).await;
            safe = recorder.now();
            self.wait_for_replay().await;
            if is_parted {
                self.between.refuse();
                self.wait_for_standbys(0).await;
                recorder.progress(100).await;
            }
            self.primary.kill();
            self.promote().await;
            time = recorder.go_on_with(open_all::<Engine>(&self.standby.url()).await);
            recorder.progress(300).await;
        });
        Failover {
            history: history.await.without_touches(),
            safe,
            time,
        }
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

#[test]
fn a_failover_loses_what_the_standby_had_not_got_and_nothing_else() {
    let seed = random::seed();
    block_on(async {
        let fail_over = async |seed| Pair::start(&[]).await.fail_over(seed, true).await;
        let failover = first_loss(seed, fail_over, Failover::without_early_reads).await;
        failover.without_losses().assert_linearizable();
    });
}

#[test]
fn a_failover_to_a_synchronous_standby_undoes_no_acknowledged_change() {
    let seed = random::seed();
    for seed in (0..amount(2)).map(|round| seed.wrapping_add(round)) {
        block_on(async {
            let pair = Pair::start(&["synchronous_standby_names = '*'"]).await;
            let failover = pair.fail_over(seed, false).await;
            failover.history.assert_linearizable();
        });
    }
}

#[test]
fn the_store_follows_a_failover() {
    for settings in [&[][..], &["synchronous_standby_names = '*'"]] {
        block_on(async {
            let mut pair = Pair::start(settings).await;
            let ports = (pair.primary.port, pair.standby.port);
            let hosts = format!("127.0.0.1:{},127.0.0.1:{}", ports.0, ports.1);
            let host = format!("127.0.0.1:{}", ports.0);
            let store = Arc::new(open(&pair.primary.url().replace(&host, &hosts)).await);
            let losses = measure(store.clone(), async || {
                pair.primary.kill();
                pair.promote().await;
                wait_for_recovery(&*store).await;
            });
            let losses = losses.await;
            println!("PostgreSQL, primary killed and standby promoted, {settings:?}: {losses}");
            if !settings.is_empty() {
                assert_eq!((losses.lost_saves, losses.returned), (0, 0));
            }
        });
    }
}

// A statement that waits for a standby and is cancelled has changed the session on the primary.

#[test]
fn changes_that_no_standby_confirmed_are_shown_and_may_be_lost() {
    let seed = random::seed();
    block_on(async {
        let settings = ["synchronous_standby_names = '*'"];
        let fail_over = async |seed| Pair::start(&settings).await.fail_over(seed, true).await;
        let failover = first_loss(seed, fail_over, Failover::with_early_reads).await;
        failover.without_early_reads().assert_linearizable();
    });
}
