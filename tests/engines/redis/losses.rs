//! Histories of clients while a primary is killed and its replica takes over, behind Sentinels and
//! in a Cluster: what is lost is what the replica had not got, and nothing else.

use session3_test_history::{Failover, Plan, Recorder, amount, first_loss, record};
use session3_test_support::{block_on, random};

use crate::cluster::Cluster;
use crate::histories::open_all;
use crate::sentinel::Watched;
use crate::servers::{Server, wait_for};

/// Servers of which a replica takes over when its primary is killed.
pub trait Deployment {
    fn start() -> Self;

    fn url(&self) -> String;

    /// Returns the primary that is killed.
    fn primary(&self) -> &Server;

    /// Returns its only replica.
    fn replica(&self) -> &Server;

    /// Returns whether the replica is a primary now, also for those who ask where it is.
    fn has_taken_over(&self) -> bool;

    /// Starts the server that was killed again, as a replica of the other one.
    fn rejoin(&self);
}

/// The number of sessions that are in use, of which some are on the primary that is killed.
const SESSIONS: usize = 9;

/// Kills the primary, whose connection to the replica is interrupted before if `is_parted`.
async fn fail_over<D: Deployment>(seed: u64, parameters: &str, is_parted: bool) -> Failover {
    let servers = tokio::task::block_in_place(D::start);
    let stores = open_all(&format!("{}{parameters}", servers.url())).await;
    let plan = Plan {
        sessions: SESSIONS,
        ..Plan::with_lost_answers(seed)
    };
    let (mut safe, mut time) = (0, 0);
    let history = record(plan, stores, async |recorder| {
        recorder.progress(500).await;
        safe = recorder.now();
        wait_for_replication(&servers).await;
        if is_parted {
            part(&servers, recorder).await;
        }
        servers.primary().kill();
        wait_for("a new primary", async || servers.has_taken_over()).await;
        time = recorder.now();
        tokio::task::block_in_place(|| servers.rejoin());
        recorder.progress(500).await;
    });
    Failover {
        history: history.await,
        safe,
        time,
    }
}

/// Waits until the replica has everything that the primary has now.
async fn wait_for_replication(servers: &impl Deployment) {
    let now: u64 = servers.primary().replication("master_repl_offset");
    wait_for("the replication", async || {
        servers.replica().replication::<u64>("slave_repl_offset") >= now
    })
    .await;
}

/// Interrupts the replication, and waits until the clients have got more answers.
async fn part(servers: &impl Deployment, recorder: &Recorder) {
    // The primary refuses a password that it does not have.
    let wrong = ["CONFIG", "SET", "masterauth", "wrong"];
    servers.replica().command(&wrong);
    servers
        .primary()
        .command(&["CLIENT", "KILL", "TYPE", "replica"]);
    wait_for("the end of the replication", async || {
        let info = servers.replica().text(&["INFO", "replication"]);
        info.contains("master_link_status:down")
    })
    .await;
    // With `wait`, each change takes long now, and Sentinel promotes no replica that was without
    // its primary for more than five seconds.
    recorder.progress(100).await;
}

fn a_failover_loses_what_the_replica_had_not_got_and_nothing_else<D: Deployment>() {
    let seed = random::seed();
    block_on(async {
        let fail_over = async |seed| fail_over::<D>(seed, "", true).await;
        let failover = first_loss(seed, fail_over, Failover::without_early_reads).await;
        failover.without_losses().assert_linearizable();
    });
}

// With `wait`, the primary shows a change before a replica has confirmed it. If it ends now, the
// change is lost, but was not acknowledged.

fn a_failover_undoes_no_change_that_a_replica_confirmed<D: Deployment>() {
    let seed = random::seed();
    for seed in (0..amount(2)).map(|round| seed.wrapping_add(round)) {
        block_on(async {
            let failover = fail_over::<D>(seed, "?wait=1", false).await;
            failover.without_early_reads().assert_linearizable();
        });
    }
}

fn changes_that_no_replica_confirmed_are_shown_and_may_be_lost<D: Deployment>() {
    let seed = random::seed();
    block_on(async {
        let fail_over = async |seed| fail_over::<D>(seed, "?wait=1", true).await;
        let failover = first_loss(seed, fail_over, Failover::with_early_reads).await;
        failover.without_early_reads().assert_linearizable();
    });
}

macro_rules! tests {
    ($name:ident, $deployment:ty) => {
        mod $name {
            use super::*;

            #[test]
            fn a_failover_loses_what_the_replica_had_not_got_and_nothing_else() {
                super::a_failover_loses_what_the_replica_had_not_got_and_nothing_else::<
                    $deployment,
                >();
            }

            #[test]
            fn a_failover_undoes_no_change_that_a_replica_confirmed() {
                super::a_failover_undoes_no_change_that_a_replica_confirmed::<$deployment>();
            }

            #[test]
            fn changes_that_no_replica_confirmed_are_shown_and_may_be_lost() {
                super::changes_that_no_replica_confirmed_are_shown_and_may_be_lost::<$deployment>();
            }
        }
    };
}

tests!(sentinel, Watched);
tests!(cluster, Cluster);
