//! A Cluster of six nodes.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use session3_store::{Finding, Maintenance, SessionId, SessionState, SessionStore};
use session3_store_redis::{OpenError, Options, RedisStore};
use session3_store_tests::{Given, conformance_suite};
use session3_test_engines::failovers::{measure, wait_for_recovery};
use session3_test_support::{block_on, id, state};

use crate::conformance::{given, session_key};
use crate::faults::assert_index_is_exact;
use crate::losses::Deployment;
use crate::maintenance::check;
use crate::servers::{Server, Shared, new_prefix, wait_for, wait_for_replicas, wait_until};

pub struct Cluster {
    nodes: Vec<Server>,
    /// The index of the replica of the first node.
    replica: usize,
}

impl Cluster {
    /// Starts three primaries with a replica each.
    fn start() -> Self {
        let options = [
            "--save",
            "",
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "1000",
        ];
        let nodes: Vec<_> = (0..6).map(|_| Server::start_with(&options)).collect();
        let mut cluster = Self { nodes, replica: 0 };
        let hosts: Vec<_> = cluster.nodes.iter().map(host).collect();
        let mut arguments = vec!["--cluster", "create"];
        arguments.extend(hosts.iter().map(String::as_str));
        arguments.extend(["--cluster-replicas", "1", "--cluster-yes"]);
        command_line(&arguments);
        wait_until("the Cluster", || cluster.nodes.iter().all(is_ready));
        wait_for_replicas(&cluster.nodes);
        let primary = format!("master_port:{}", cluster.nodes[0].port);
        let replicates = |node: &Server| node.text(&["INFO"]).contains(&primary);
        cluster.replica = cluster.nodes.iter().position(replicates).unwrap();
        cluster
    }

    fn url(&self) -> String {
        // One of the named nodes is a replica.
        let hosts = [host(&self.nodes[0]), host(&self.nodes[5])];
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// Returns the nodes that are primaries.
    fn primaries(&self) -> Vec<&Server> {
        let is_primary = |node: &&Server| node.text(&["INFO"]).contains("role:master");
        self.nodes.iter().filter(is_primary).collect()
    }
}

impl Deployment for Cluster {
    fn start() -> Self {
        Self::start()
    }

    fn url(&self) -> String {
        self.url()
    }

    fn primary(&self) -> &Server {
        &self.nodes[0]
    }

    fn replica(&self) -> &Server {
        &self.nodes[self.replica]
    }

    fn has_taken_over(&self) -> bool {
        let info = self.replica().text(&["INFO", "replication"]);
        info.contains("role:master")
    }

    fn rejoin(&self) {
        self.primary().restart();
    }
}

async fn open(url: &str) -> RedisStore {
    let options = Options::default().create(true);
    RedisStore::open(url, options).await.unwrap()
}

/// Returns whether a node knows all others, and replicates if it is a replica.
fn is_ready(node: &Server) -> bool {
    let info = node.text(&["CLUSTER", "INFO"]);
    let replication = node.text(&["INFO", "replication"]);
    let slots: Vec<redis::Value> =
        redis::from_redis_value(node.command(&["CLUSTER", "SLOTS"])).unwrap();
    info.contains("cluster_state:ok")
        && info.contains("cluster_known_nodes:6")
        && slots.len() == 3
        && (replication.contains("connected_slaves:1")
            || replication.contains("master_link_status:up"))
}

fn host(server: &Server) -> String {
    format!("127.0.0.1:{}", server.port)
}

fn command_line(arguments: &[&str]) {
    if let Err(text) = try_command_line(arguments) {
        panic!("{arguments:?}: {text}");
    }
}

/// Runs `redis-cli`. The error is what it printed.
fn try_command_line(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("redis-cli")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("install Debian's package redis-tools");
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stdout).into_owned()),
    }
}

static SHARED: Shared<Cluster> = Shared::new();

async fn of_six_nodes() -> Given {
    let cluster = SHARED.get(Cluster::start);
    let damaged = cluster.clone();
    let damage = move |key: &str| {
        for node in damaged.primaries() {
            let words = ["HSET", key, "e", "never"];
            let _ = crate::servers::try_command(node.port, &words);
        }
    };
    given(&cluster.url(), |options| options, damage)
        .await
        .keep(cluster)
}

conformance_suite!(of_six_nodes);

#[test]
fn the_url_must_name_the_right_kind_of_server() {
    block_on(async {
        let cluster = SHARED.get(Cluster::start);
        let options = Options::default().create(true);
        let single = cluster.primaries()[0].url();
        let error = RedisStore::open(&single, options.clone())
            .await
            .err()
            .unwrap();
        assert!(matches!(error, OpenError::WrongKind(..)), "{error}");
        let server = Server::start();
        let url = server.url().replace("redis:", "redis+cluster:");
        let error = RedisStore::open(&url, options).await.err().unwrap();
        assert!(!error.to_string().contains('\n'), "{error}");
    });
}

#[test]
fn a_check_and_the_figures_reach_all_primaries() {
    block_on(async {
        let cluster = SHARED.get(Cluster::start);
        let prefix = new_prefix();
        let url = format!("{}?prefix={prefix}", cluster.url());
        let options = Options::default().create(true);
        let store = RedisStore::open(&url, options).await.unwrap();
        let sessions: Vec<_> = (0..64)
            .map(|number| SessionId::from(number << 122 | 1))
            .collect();
        for id in &sessions {
            let new = SessionState {
                user: Some("alice".into()),
                ..state("a")
            };
            store.create_session(id, &new).await.unwrap();
        }
        let (report, findings) = check(&store, false).await;
        assert_eq!((report.sessions, findings), (64, vec![]));
        for (node, id) in cluster
            .primaries()
            .iter()
            .flat_map(|node| sessions.iter().map(move |id| (node, id)))
        {
            let key = session_key(&prefix, id).replace(&format!("s:{id}"), "u");
            // Only one node has the slot.
            let _ = crate::servers::try_command(node.port, &["DEL", &key]);
        }
        let missing: Vec<_> = sessions.iter().map(|id| Finding::Missing(*id)).collect();
        assert_eq!(check(&store, true).await.1, missing);
        assert_eq!(check(&store, true).await.1, []);
        let figures = store.figures().await.unwrap();
        let entries = figures.iter().find(|figure| figure.name == "index entries");
        assert_eq!(entries.unwrap().value, 64);
        assert_eq!(store.warnings().await.unwrap().len(), 3);
        assert_eq!(store.has_unfinished_sweep().await, Ok(false));
    });
}

#[test]
fn the_store_follows_a_failover() {
    for wait in ["", "?wait=1"] {
        block_on(async {
            let cluster = Cluster::start();
            let url = format!("{}{wait}", cluster.url());
            let store = Arc::new(open(&url).await);
            let losses = measure(store.clone(), async || {
                cluster.primary().kill();
                wait_for("a new primary", async || cluster.has_taken_over()).await;
                // The new primary needs a replica that confirms.
                cluster.rejoin();
                wait_for_recovery(&*store).await;
            });
            let losses = losses.await;
            assert_index_is_exact(&*store).await;
            println!("Cluster, primary killed, {wait:?}: {losses}");
            if !wait.is_empty() {
                assert_eq!((losses.lost_saves, losses.returned), (0, 0));
            }
        });
    }
}

#[test]
fn a_failover_by_an_operator_loses_nothing() {
    block_on(async {
        let cluster = Cluster::start();
        let store = Arc::new(open(&cluster.url()).await);
        let losses = measure(store.clone(), async || {
            cluster.replica().command(&["CLUSTER", "FAILOVER"]);
            wait_for("a new primary", async || cluster.has_taken_over()).await;
            wait_for_recovery(&*store).await;
        });
        let losses = losses.await;
        assert_index_is_exact(&*store).await;
        println!("Cluster, failover by an operator: {losses}");
        assert_eq!((losses.lost_saves, losses.returned), (0, 0));
    });
}

#[test]
fn resharding_reaches_no_request() {
    block_on(async {
        let cluster = Cluster::start();
        let options = Options::default().create(true);
        let store = Arc::new(RedisStore::open(&cluster.url(), options).await.unwrap());
        for number in 0..2000_u128 {
            let new = SessionState {
                user: Some((number % 3).to_string()),
                expires: u64::MAX,
                data: vec![7; 100],
            };
            store
                .create_session(&id(number << 117 | 9), &new)
                .await
                .unwrap();
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let using: Vec<_> = (0..16_u128)
            .map(|number| {
                let (store, is_over) = (store.clone(), is_over.clone());
                tokio::spawn(async move {
                    let mut count = 0_u128;
                    while !is_over.load(Ordering::SeqCst) {
                        // The first digits go around, so that all slots are used.
                        let id = id(number << 124 | (count & 0xfff) << 112 | count << 1 | 1);
                        assert_eq!(store.create_session(&id, &state("a")).await, Ok(1));
                        assert_eq!(store.save_session(&id, &state("b"), 1).await, Ok(2));
                        assert_eq!(store.touch_session(&id, u64::MAX, 2).await, Ok(()));
                        let loaded = store.load_session(&id).await.unwrap().unwrap();
                        assert_eq!(loaded.state.data, b"b");
                        assert_eq!(store.delete_session(&id).await, Ok(true));
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let primaries = cluster.primaries();
        let name = |node: &Server| node.text(&["CLUSTER", "MYID"]);
        let (from, to) = (name(primaries[0]), name(primaries[1]));
        let any = host(primaries[2]);
        let moving = tokio::task::spawn_blocking(move || {
            for (from, to) in [(&from, &to), (&to, &from)] {
                // `redis-cli` moves nothing before all nodes have the same map.
                wait_until("the nodes to agree", || {
                    try_command_line(&["--cluster", "check", &any]).is_ok()
                });
                command_line(&[
                    "--cluster",
                    "reshard",
                    &any,
                    "--cluster-from",
                    from,
                    "--cluster-to",
                    to,
                    "--cluster-slots",
                    "2500",
                    "--cluster-yes",
                ]);
            }
        });
        let moved = moving.await;
        is_over.store(true, Ordering::SeqCst);
        let mut count = 0;
        for using in using {
            count += using.await.unwrap();
        }
        moved.unwrap();
        println!("{count} sessions were created, saved, touched, loaded and deleted");
        assert_index_is_exact(&*store).await;
        let users = ["0", "1", "2"].map(async |user| store.sessions_of_user(user).await);
        let mut sessions = 0;
        for user in users {
            sessions += user.await.unwrap().len();
        }
        assert_eq!(sessions, 2000);
    });
}
