//! Several processes, concurrent sweeps, and crashes of the server.

use std::env;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use session3_store::{SessionState, SessionStore, StoreError};
use session3_store_redis::{Options, RedisStore};
use session3_test_support::dice::Dice;
use session3_test_support::{block_on, id, random, state};

use crate::faults::assert_index_is_exact;
use crate::servers::{Server, wait_for, wait_until};

/// The variable of the environment that tells a child process the URL of its store.
const CHILD: &str = "SESSION3_TEST_CHILD";

async fn open(url: &str) -> Arc<RedisStore> {
    let options = Options::default().create(true);
    Arc::new(RedisStore::open(url, options).await.unwrap())
}

#[test]
fn acknowledged_saves_survive_a_kill_of_the_server() {
    let mut dice = Dice::new(random::seed());
    let options = [
        "--save",
        "",
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
    ];
    let server = Server::start_with(&options);
    block_on(async {
        let store = open(&server.url()).await;
        let mut versions = [1_u64; 16];
        for number in 0..16 {
            let id = id(number << 120 | 1);
            store.create_session(&id, &state("1")).await.unwrap();
        }
        for _ in 0..5 {
            let writing: Vec<_> = versions
                .iter()
                .enumerate()
                .map(|(number, version)| {
                    let (store, mut version) = (store.clone(), *version);
                    tokio::spawn(async move {
                        let id = id((number as u128) << 120 | 1);
                        loop {
                            let user = Some((version % 3).to_string());
                            let new = SessionState {
                                user,
                                expires: u64::MAX,
                                data: (version + 1).to_string().into_bytes(),
                            };
                            match store.save_session(&id, &new, version).await {
                                Ok(next) => version = next,
                                Err(StoreError::Unavailable(_)) => return version,
                                other => panic!("{other:?}"),
                            }
                        }
                    })
                })
                .collect();
            tokio::time::sleep(Duration::from_millis(100 + dice.below(100) as u64)).await;
            server.kill();
            for (number, writer) in writing.into_iter().enumerate() {
                versions[number] = writer.await.unwrap();
            }
            server.restart();
            for (number, version) in versions.iter_mut().enumerate() {
                let id = id((number as u128) << 120 | 1);
                wait_for("recovery", async || store.load_session(&id).await.is_ok()).await;
                let loaded = store.load_session(&id).await.unwrap().unwrap();
                let acknowledged = *version;
                assert!(
                    (acknowledged..=acknowledged + 1).contains(&loaded.version),
                    "{acknowledged} was acknowledged, {} is there",
                    loaded.version
                );
                assert_eq!(loaded.state.data, loaded.version.to_string().into_bytes());
                *version = loaded.version;
            }
        }
        println!("{} saves were acknowledged", versions.iter().sum::<u64>());
        assert_index_is_exact(&*store).await;
    });
}

#[test]
fn sweeps_of_two_programs_delete_each_old_session_once() {
    block_on(async {
        let server = Server::start();
        let stores = [open(&server.url()).await, open(&server.url()).await];
        for number in 0..1000_u128 {
            let old = SessionState {
                user: Some((number % 3).to_string()),
                expires: u64::from(number % 10 == 0) * u64::MAX,
                data: Vec::new(),
            };
            let id = id(number << 118 | number);
            stores[0].create_session(&id, &old).await.unwrap();
        }
        let sweeping = stores.clone().map(|store| {
            tokio::spawn(async move {
                let (mut deleted, mut is_complete) = (0, false);
                while !is_complete {
                    let limit = Some(Duration::ZERO);
                    match store.delete_old_sessions(u32::MAX, limit).await {
                        Ok(report) => {
                            (deleted, is_complete) = (deleted + report.deleted, report.complete);
                        }
                        Err(StoreError::Busy) => {}
                        other => panic!("{other:?}"),
                    }
                }
                deleted
            })
        });
        let mut deleted = 0;
        for sweep in sweeping {
            deleted += sweep.await.unwrap();
        }
        assert_eq!(deleted, 900);
        assert_index_is_exact(&*stores[0]).await;
    });
}

#[test]
fn a_sweep_leaves_what_is_saved_or_touched_meanwhile() {
    block_on(async {
        let server = Server::start();
        let store = open(&server.url()).await;
        let ids: Vec<_> = (0..64_u128).map(|number| id(number << 122 | 5)).collect();
        let is_done = Arc::new(AtomicBool::new(false));
        for id in &ids {
            store.create_session(id, &state("1")).await.unwrap();
        }
        // Each session is old until its user comes back, and no user who did may lose it.
        let using = {
            let (store, ids, is_done) = (store.clone(), ids.clone(), is_done.clone());
            tokio::spawn(async move {
                let mut kept = Vec::new();
                for (number, id) in ids.into_iter().enumerate() {
                    let used = match number % 2 {
                        0 => store.touch_session(&id, u64::MAX, 1).await,
                        _ => {
                            let new = SessionState {
                                user: Some("1".into()),
                                expires: u64::MAX,
                                data: Vec::new(),
                            };
                            store.save_session(&id, &new, 1).await.map(drop)
                        }
                    };
                    match used {
                        Ok(()) => kept.push(id),
                        Err(StoreError::Absent) => {}
                        other => panic!("{other:?}"),
                    }
                }
                is_done.store(true, Ordering::SeqCst);
                kept
            })
        };
        let mut deleted = 0;
        while !is_done.load(Ordering::SeqCst) {
            let report = store.delete_old_sessions(u32::MAX, None).await.unwrap();
            deleted += report.deleted;
        }
        deleted += store
            .delete_old_sessions(u32::MAX, None)
            .await
            .unwrap()
            .deleted;
        let kept = using.await.unwrap();
        assert_eq!(deleted as usize + kept.len(), ids.len());
        for id in &kept {
            assert!(store.load_session(id).await.unwrap().is_some());
        }
        assert_index_is_exact(&*store).await;
    });
}

/// Not a test of its own: what the child process of the next test does.
#[test]
fn child_that_holds_a_lock() {
    let Ok(url) = env::var(CHILD) else { return };
    block_on(async {
        let store = open(&url).await;
        let _lock = store
            .lock_session(&id(1), Duration::from_secs(2))
            .await
            .unwrap();
        store
            .create_session(&id(1), &state("locked"))
            .await
            .unwrap();
        std::future::pending::<()>().await;
    });
}

#[test]
fn a_lease_whose_holder_was_killed_ends_at_its_deadline() {
    let server = Server::start();
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "several::child_that_holds_a_lock"])
        .env(CHILD, server.url())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    block_on(async {
        let store = open(&server.url()).await;
        wait_for("the child", async || {
            store.load_session(&id(1)).await.unwrap().is_some()
        })
        .await;
        let started = Instant::now();
        child.kill().unwrap();
        child.wait().unwrap();
        let lock = store.lock_session(&id(1), Duration::from_secs(9)).await;
        assert!(lock.is_ok());
        assert!(started.elapsed() < Duration::from_secs(4));
    });
}

#[test]
fn a_sweep_that_was_killed_keeps_others_away_for_a_minute_at_most() {
    block_on(async {
        let server = Server::start();
        let store = open(&server.url()).await;
        server.command(&["SET", "{s3}:sweep:l", "of a killed process", "PX", "300"]);
        let busy = store.delete_old_sessions(1, None).await;
        assert_eq!(busy, Err(StoreError::Busy));
        wait_for("the end of the lease", async || {
            store.delete_old_sessions(1, None).await.is_ok()
        })
        .await;
        // The lease of a sweep is gone with the sweep.
        wait_until("the end of the lease", || {
            let left: i64 =
                redis::from_redis_value(server.command(&["EXISTS", "{s3}:sweep:l"])).unwrap();
            left == 0
        });
    });
}

#[test]
fn the_time_is_the_servers() {
    block_on(async {
        let server = Server::start();
        let store = open(&server.url()).await;
        let time = || {
            let time: (u64, u64) = redis::from_redis_value(server.command(&["TIME"])).unwrap();
            time.0 * 1000 + time.1 / 1000
        };
        let before = time();
        store.create_session(&id(1), &state("a")).await.unwrap();
        let created = store.load_session(&id(1)).await.unwrap().unwrap();
        store
            .touch_session(&id(1), time() + 60_000, 1)
            .await
            .unwrap();
        let touched = store.load_session(&id(1)).await.unwrap().unwrap();
        let after = time();
        assert!(before <= created.modified && created.modified <= touched.modified);
        assert!(touched.modified <= after);
        let report = store.delete_old_sessions(1, None).await.unwrap();
        assert_eq!((report.deleted, report.remaining), (0, 1));
        wait_for("a session that was idle", async || {
            store.delete_old_sessions(0, None).await.unwrap().deleted == 1
        })
        .await;
    });
}
