//! A primary that Sentinels watch.

use std::fs;
use std::sync::Arc;

use session3_store_redis::{OpenError, Options, RedisStore};
use session3_store_tests::{Given, conformance_suite};
use session3_test_engines::failovers::{measure, wait_for_recovery};
use session3_test_support::block_on;

use crate::conformance::given;
use crate::faults::assert_index_is_exact;
use crate::losses::Deployment;
use crate::servers::{
    Server, Shared, free_port, try_command, wait_for, wait_for_replicas, wait_until,
};

pub struct Watched {
    servers: Vec<Server>,
    sentinels: Vec<Server>,
}

impl Watched {
    /// Starts a primary with this many replicas, and Sentinels.
    fn start(replicas: usize, sentinels: usize) -> Self {
        let primary = Server::start();
        let port = primary.port.to_string();
        let options = ["--save", "", "--replicaof", "127.0.0.1", &port];
        let mut servers = vec![primary];
        servers.extend((0..replicas).map(|_| Server::start_with(&options)));
        wait_until("replication", || {
            servers[1..].iter().all(|replica| {
                replica
                    .text(&["INFO", "replication"])
                    .contains("master_link_status:up")
            })
        });
        wait_for_replicas(&servers);
        let quorum = sentinels / 2 + 1;
        let sentinels: Vec<_> = (0..sentinels)
            .map(|_| start_sentinel(servers[0].port, quorum))
            .collect();
        let watched = Self { servers, sentinels };
        watched.wait_until_known(replicas);
        watched
    }

    /// Waits until all Sentinels know each other and all replicas.
    fn wait_until_known(&self, replicas: usize) {
        let others = self.sentinels.len() - 1;
        let expected = format!("slaves={replicas},sentinels={}", others + 1);
        wait_until("the Sentinels", || {
            let knows = |sentinel: &Server| sentinel.text(&["INFO"]).contains(&expected);
            self.sentinels.iter().all(knows)
        });
    }

    fn url(&self) -> String {
        let hosts: Vec<_> = self.sentinels.iter().map(host).collect();
        format!("redis+sentinel://{}/main/0", hosts.join(","))
    }

    /// Returns the port of the primary that the Sentinels know.
    fn known_primary(&self) -> u16 {
        let command = ["SENTINEL", "get-master-addr-by-name", "main"];
        let address: (String, u16) =
            redis::from_redis_value(self.sentinels[0].command(&command)).unwrap();
        address.1
    }
}

/// A primary and a replica.
impl Deployment for Watched {
    fn start() -> Self {
        Self::start(1, 1)
    }

    fn url(&self) -> String {
        self.url()
    }

    fn primary(&self) -> &Server {
        &self.servers[0]
    }

    fn replica(&self) -> &Server {
        &self.servers[1]
    }

    fn has_taken_over(&self) -> bool {
        let replica = self.replica();
        self.known_primary() == replica.port && replica.text(&["INFO"]).contains("role:master")
    }

    fn rejoin(&self) {
        // As a primary, it would be empty, and the Sentinels leave it so for some seconds.
        self.primary().restart_as_replica(self.replica().port);
    }
}

async fn open(url: &str) -> RedisStore {
    let options = Options::default().create(true);
    RedisStore::open(url, options).await.unwrap()
}

fn host(server: &Server) -> String {
    format!("127.0.0.1:{}", server.port)
}

fn start_sentinel(primary: u16, quorum: usize) -> Server {
    let port = free_port();
    let directory = tempfile::tempdir().unwrap();
    // A Sentinel asks once a second. With a shorter time than that, it takes a server that is in
    // order for one that is down, and promotes a replica that has not got anything yet.
    let configuration = format!(
        "port {port}\nsentinel monitor main 127.0.0.1 {primary} {quorum}\n\
        sentinel down-after-milliseconds main 2000\nsentinel failover-timeout main 3000\n"
    );
    fs::write(directory.path().join("sentinel.conf"), configuration).unwrap();
    let arguments = vec!["sentinel.conf".into()];
    let sentinel = Server::run_in(directory, "redis-sentinel", arguments, port);
    sentinel.wait_until_ready();
    sentinel
}

static SHARED: Shared<Watched> = Shared::new();

async fn behind_sentinels() -> Given {
    let watched = SHARED.get(|| Watched::start(0, 1));
    let damaged = watched.clone();
    let damage = move |key: &str| {
        damaged.servers[0].command(&["HSET", key, "m", "-1"]);
    };
    given(&watched.url(), |options| options, damage)
        .await
        .keep(watched)
}

conformance_suite!(behind_sentinels);

#[test]
fn a_primary_that_no_sentinel_knows_is_named() {
    block_on(async {
        let watched = Watched::start(0, 1);
        let url = format!("redis+sentinel://{}/other", host(&watched.sentinels[0]));
        let error = RedisStore::open(&url, Options::default())
            .await
            .err()
            .unwrap();
        assert!(matches!(error, OpenError::Connect(..)));
        assert!(
            error.to_string().contains("knows no primary other"),
            "{error}"
        );
        // The first of two Sentinels is away.
        let url = watched
            .url()
            .replace("//", &format!("//127.0.0.1:{},", free_port()));
        let options = Options::default().create(true);
        assert!(RedisStore::open(&url, options).await.is_ok());
    });
}

#[test]
fn the_store_follows_a_failover() {
    for wait in ["", "?wait=1"] {
        block_on(async {
            let watched = Watched::start(2, 3);
            let url = format!("{}{wait}", watched.url());
            let store = Arc::new(open(&url).await);
            let losses = measure(store.clone(), async || {
                let old = watched.known_primary();
                watched.servers[0].kill();
                wait_for("a new primary", async || watched.known_primary() != old).await;
                wait_for_recovery(&*store).await;
            });
            let losses = losses.await;
            assert_index_is_exact(&*store).await;
            println!("Sentinel, primary killed, {wait:?}: {losses}");
            if !wait.is_empty() {
                assert_eq!((losses.lost_saves, losses.returned), (0, 0));
            }
        });
    }
}

#[test]
fn a_change_that_no_replica_confirms_is_not_acknowledged() {
    block_on(async {
        use session3_store::SessionStore;
        use session3_test_support::{id, state};

        let watched = Watched::start(1, 1);
        let url = format!("{}?wait=1&timeout=1", watched.url());
        let options = Options::default().create(true);
        let store = RedisStore::open(&url, options).await.unwrap();
        assert_eq!(store.create_session(&id(1), &state("a")).await, Ok(1));
        watched.servers[1].kill();
        wait_for("a save without confirmation", async || {
            let saved = store.save_session(&id(1), &state("b"), 1).await;
            let why = saved.unwrap_err().to_string();
            why.contains("0 instead of 1 replicas confirmed it")
                || why.contains("its version is now 2")
        })
        .await;
        let primary = watched.servers[0].port;
        assert!(try_command(primary, &["PING"]).is_ok());
    });
}
