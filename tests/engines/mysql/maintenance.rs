//! What operators ask of a store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use session3_store::{
    CheckObserver, CheckReport, Figure, Finding, Maintenance, SessionState, SessionStore, Unit,
};
use session3_store_mysql::MysqlStore;
use session3_test_support::{block_on, id, state};

use crate::server::{Server, client, new_shared_url, open, shared, shared_url, table};

/// What a check tells.
#[derive(Default)]
struct Seen {
    findings: Vec<Finding>,
    progress: Vec<f64>,
}

impl CheckObserver for Seen {
    fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn progress(&mut self, done: f64) {
        self.progress.push(done);
    }
}

async fn check(store: &MysqlStore, repair: bool) -> (CheckReport, Vec<Finding>) {
    let mut seen = Seen::default();
    let report = store.check(repair, &mut seen).await.unwrap();
    assert!(seen.progress.is_sorted(), "{:?}", seen.progress);
    assert!(seen.progress.iter().all(|done| (0.0..=1.0).contains(done)));
    (report, seen.findings)
}

fn of_user(user: &str) -> SessionState {
    SessionState {
        user: Some(user.into()),
        ..state("a")
    }
}

#[test]
fn a_check_finds_and_repairs_the_index_and_keeps_damaged_sessions() {
    block_on(async {
        let table = table();
        let store = open(&shared_url(&table)).await;
        for number in 0..600 {
            let state = if number == 3 {
                state("a")
            } else {
                of_user("alice")
            };
            store
                .create_session(&id(number << 118), &state)
                .await
                .unwrap();
        }
        let (report, findings) = check(&store, false).await;
        assert_eq!(
            (report.sessions, report.damaged, findings.len()),
            (600, 0, 0)
        );
        let mut client = client(shared()).await;
        let mut set = async |values: &str, number: u128| {
            let id = id(number << 118);
            let sql = format!("UPDATE {table} SET {values} WHERE id = x'{id}'");
            client.query_drop(sql).await.unwrap();
        };
        set("usr_hash = NULL", 1).await;
        set("usr_hash = REPEAT('x', 32)", 2).await;
        set("usr_hash = REPEAT('x', 32)", 3).await;
        set("usr = x'ff', usr_hash = UNHEX(SHA2(x'ff', 256))", 500).await;
        let expected = [
            Finding::Missing(id(1 << 118)),
            Finding::Missing(id(2 << 118)),
            Finding::Surplus(id(3 << 118).to_string()),
            Finding::Damaged(
                id(500 << 118),
                "the record is damaged: the user is not UTF-8".into(),
            ),
        ];
        for repair in [false, true] {
            let (report, findings) = check(&store, repair).await;
            assert_eq!((report.sessions, report.damaged), (599, 1));
            assert_eq!(findings, expected);
        }
        let (report, findings) = check(&store, false).await;
        assert_eq!((report.sessions, report.damaged), (599, 1));
        assert_eq!(findings, expected[3..]);
        assert_eq!(store.sessions_of_user("alice").await.unwrap().len(), 598);
    });
}

#[test]
fn a_check_beside_changes_finds_nothing() {
    block_on(async {
        let store = Arc::new(open(&new_shared_url()).await);
        let end = Arc::new(AtomicBool::new(false));
        for number in 0..300 {
            store
                .create_session(&id(number), &of_user("0"))
                .await
                .unwrap();
        }
        let (changing, until) = (store.clone(), end.clone());
        let changes = tokio::spawn(async move {
            let mut version = 1;
            while !until.load(Ordering::SeqCst) {
                for number in 0..300 {
                    let state = of_user(&version.to_string());
                    changing
                        .save_session(&id(number), &state, version)
                        .await
                        .unwrap();
                }
                version += 1;
            }
            version
        });
        for repair in [false, true].repeat(10) {
            let (report, findings) = check(&store, repair).await;
            assert_eq!((report.sessions, findings), (300, Vec::new()));
        }
        end.store(true, Ordering::SeqCst);
        assert!(changes.await.unwrap() > 1);
    });
}

#[test]
fn the_figures_are_those_of_the_table() {
    block_on(async {
        let table = table();
        let store = open(&shared_url(&table)).await;
        for number in 0..200 {
            store
                .create_session(&id(number), &of_user("alice"))
                .await
                .unwrap();
        }
        let mut client = client(shared()).await;
        let analysed = client.query_drop(format!("ANALYZE TABLE {table}"));
        analysed.await.unwrap();
        let figures = store.figures().await.unwrap();
        let value = |name: &str, unit| {
            let is_it = |figure: &&Figure| figure.name == name && figure.unit == unit;
            figures.iter().find(is_it).unwrap().value
        };
        assert_eq!(value("estimated rows", Unit::Count), 200);
        assert!(value("data", Unit::Bytes) >= 16 << 10);
        assert!(value("indexes", Unit::Bytes) >= 16 << 10);
        assert!(value("average row", Unit::Bytes) >= 16);
        value("free space", Unit::Bytes);
    });
}

#[test]
fn operators_are_warned_of_settings_that_lose_sessions() {
    block_on(async {
        let warnings = open(&new_shared_url()).await.warnings().await.unwrap();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("innodb_flush_log_at_trx_commit=0"));
        let server = Server::start(&["--log-bin=log", "--sync-binlog=1"]);
        let url = format!("{}?durability=off", server.url());
        let store = open(&url).await;
        assert_eq!(store.warnings().await, Ok(Vec::new()));
        let mut client = client(&server).await;
        for setting in ["sync_binlog = 0", "binlog_format = STATEMENT"] {
            let sql = format!("SET GLOBAL {setting}");
            client.query_drop(sql).await.unwrap();
        }
        let warnings = store.warnings().await.unwrap();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("sync_binlog=0"), "{warnings:?}");
        assert!(
            warnings[1].contains("binlog_format=STATEMENT"),
            "{warnings:?}"
        );
        // That is so for connections that are made after the change.
        let store = open(&url).await;
        let created = store.create_session(&id(1), &state("a")).await;
        assert!(created.unwrap_err().to_string().contains("STATEMENT"));
    });
}

#[test]
fn an_unfinished_sweep_is_one_that_stopped_at_its_limit() {
    block_on(async {
        let store = open(&new_shared_url()).await;
        for number in 0..600 {
            store
                .create_session(&id(number), &state("a"))
                .await
                .unwrap();
        }
        assert_eq!(store.has_unfinished_sweep().await, Ok(false));
        let stopped = store.delete_old_sessions(5, Some(Duration::ZERO)).await;
        assert!(!stopped.unwrap().complete);
        assert_eq!(store.has_unfinished_sweep().await, Ok(true));
        assert!(store.delete_old_sessions(5, None).await.unwrap().complete);
        assert_eq!(store.has_unfinished_sweep().await, Ok(false));
    });
}
