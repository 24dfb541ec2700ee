//! What operators do with a store: checks, figures and warnings.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use session3_store::{
    CheckObserver, CheckReport, Figure, Finding, Maintenance, SessionId, SessionState,
    SessionStore, StoreError, Unit,
};
use session3_store_postgres::PostgresStore;
use session3_test_engines::calls::eventually;
use session3_test_support::{block_on, id, state};

use crate::server::{PASSWORD, Server, client, new_table, open, shared, table};

/// What a check reports.
#[derive(Default)]
struct Observed {
    findings: Vec<Finding>,
    progress: Vec<f64>,
}

impl CheckObserver for Observed {
    fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn progress(&mut self, done: f64) {
        self.progress.push(done);
    }
}

async fn check(store: &PostgresStore) -> (CheckReport, Vec<Finding>) {
    let mut observed = Observed::default();
    let report = store.check(false, &mut observed).await.unwrap();
    assert!(observed.progress.is_sorted());
    assert!(
        observed
            .progress
            .iter()
            .all(|done| (0.0..=1.0).contains(done))
    );
    let mut repaired = Observed::default();
    let again = store.check(true, &mut repaired).await.unwrap();
    assert_eq!((again, &repaired.findings), (report, &observed.findings));
    (report, observed.findings)
}

fn counts(sessions: u64, damaged: u64) -> CheckReport {
    CheckReport {
        sessions,
        damaged,
        ..CheckReport::default()
    }
}

#[test]
fn a_check_counts_all_sessions_and_names_damaged_rows() {
    block_on(async {
        let table = table();
        let store = open(&format!("{}?table={table}", shared().url())).await;
        assert_eq!(check(&store).await, (counts(0, 0), vec![]));
        for number in 0..300 {
            let id = SessionId::from(number << 118);
            store.create_session(&id, &state("a")).await.unwrap();
        }
        let _lock = store.lock_session(&id(1), Duration::ZERO).await.unwrap();
        assert_eq!(check(&store).await, (counts(300, 0), vec![]));
        let client = client(shared()).await;
        let damaged = SessionId::from(5 << 118);
        let sql = format!("UPDATE {table} SET usr = '\\xff' WHERE id = '{damaged}'");
        client.batch_execute(&sql).await.unwrap();
        let (report, findings) = check(&store).await;
        assert_eq!(report, counts(299, 1));
        let [Finding::Damaged(id, why)] = &findings[..] else {
            panic!("{findings:?}");
        };
        assert!(*id == damaged && why.contains("UTF-8"), "{why}");
    });
}

#[test]
fn a_session_on_a_damaged_block_is_damaged_and_the_others_are_read() {
    block_on(async {
        let mut server = Server::start(&[]);
        let store = open(&server.url()).await;
        for number in 0..10 {
            store
                .create_session(&id(number), &state("a"))
                .await
                .unwrap();
        }
        // Random, so that it is stored outside of the table without compression.
        let large = SessionState {
            data: (0..100_000).map(|_| rand::random()).collect(),
            ..state("")
        };
        store.create_session(&id(3 << 64), &large).await.unwrap();
        let client = client(&server).await;
        let statement = "SELECT pg_relation_filepath(reltoastrelid) FROM pg_class \
                         WHERE relname = 'session3'";
        let path: String = client.query_one(statement, &[]).await.unwrap().get(0);
        client.batch_execute("CHECKPOINT").await.unwrap();
        drop(client);
        server.kill();
        let file = OpenOptions::new()
            .write(true)
            .open(server.data().join(path));
        file.unwrap().write_all_at(&[1; 100], 4000).unwrap();
        server.restart();
        eventually("the server", async || {
            store.load_session(&id(1)).await.is_ok()
        })
        .await;
        let loaded = store.load_session(&id(3 << 64)).await;
        assert!(matches!(loaded, Err(StoreError::Corrupt(_))), "{loaded:?}");
        let (report, findings) = check(&store).await;
        assert_eq!(report, counts(10, 1));
        let [Finding::Damaged(damaged, why)] = &findings[..] else {
            panic!("{findings:?}");
        };
        assert_eq!(*damaged, id(3 << 64));
        assert!(why.contains("invalid page") && !why.contains('\n'), "{why}");
    });
}

#[test]
fn a_table_on_a_damaged_block_is_unreadable() {
    block_on(async {
        let mut server = Server::start(&[]);
        let store = open(&server.url()).await;
        store.create_session(&id(1), &state("a")).await.unwrap();
        let client = client(&server).await;
        let statement = "SELECT pg_relation_filepath('session3')";
        let path: String = client.query_one(statement, &[]).await.unwrap().get(0);
        client.batch_execute("CHECKPOINT").await.unwrap();
        drop(client);
        server.kill();
        let file = OpenOptions::new()
            .write(true)
            .open(server.data().join(path));
        file.unwrap().write_all_at(&[1; 100], 4000).unwrap();
        server.restart();
        eventually("the server", async || {
            matches!(
                store.load_session(&id(1)).await,
                Err(StoreError::Corrupt(_))
            )
        })
        .await;
        let (report, findings) = check(&store).await;
        assert_eq!(report, counts(0, 0));
        let [Finding::Unreadable(name, why)] = &findings[..] else {
            panic!("{findings:?}");
        };
        assert!(
            name == "table session3" && why.contains("invalid page"),
            "{name}: {why}"
        );
    });
}

#[test]
fn an_invalid_index_is_unreadable_until_it_is_rebuilt() {
    block_on(async {
        let table = table();
        let store = open(&format!("{}?table={table}", shared().url())).await;
        let client = client(shared()).await;
        let invalidate = format!(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{table}_user'::regclass"
        );
        client.batch_execute(&invalidate).await.unwrap();
        let (_, findings) = check(&store).await;
        let [Finding::Unreadable(name, why)] = &findings[..] else {
            panic!("{findings:?}");
        };
        assert_eq!(*name, format!("index {table}_user"));
        let (_, command) = why.split_once("run ").unwrap();
        client.batch_execute(command).await.unwrap();
        assert_eq!(check(&store).await.1, []);
    });
}

#[test]
fn the_figures_are_those_of_the_table() {
    block_on(async {
        let store = open(&new_table(shared())).await;
        let figure = async |name: &str| -> Option<Figure> {
            let figures = store.figures().await.unwrap();
            figures.into_iter().find(|figure| figure.name == name)
        };
        assert_eq!(figure("HOT updates, %").await, None);
        for number in 0..100 {
            store
                .create_session(&id(number), &state("a"))
                .await
                .unwrap();
        }
        for number in 0..100 {
            store.touch_session(&id(number), 5, 1).await.unwrap();
        }
        for number in 0..10 {
            store.delete_session(&id(number)).await.unwrap();
        }
        let is = async |name: &str, value: u64| {
            figure(name)
                .await
                .is_some_and(|figure| figure.value == value)
        };
        // Idle connections report their statistics after a second at the latest, others later.
        eventually("the live rows", async || is("live rows", 90).await).await;
        eventually("dead rows", async || !is("dead rows", 0).await).await;
        eventually("updates", async || figure("HOT updates, %").await.is_some()).await;
        let hot = figure("HOT updates, %").await.unwrap();
        assert!((1..=100).contains(&hot.value), "{hot:?}");
        for name in ["table", "indexes"] {
            let figure = figure(name).await.unwrap();
            assert!(
                figure.unit == Unit::Bytes && figure.value >= 8192,
                "{figure:?}"
            );
        }
    });
}

#[test]
fn warnings_say_what_a_crash_loses_and_what_grows() {
    block_on(async {
        let warned = async |store: &PostgresStore, parts: &[&str]| {
            let warnings = store.warnings().await.unwrap();
            assert_eq!(warnings.len(), parts.len(), "{warnings:?}");
            for (warning, part) in warnings.iter().zip(parts) {
                assert!(
                    warning.contains(part) && warning.contains("127.0.0.1"),
                    "{warning}"
                );
                assert!(!warning.contains(PASSWORD), "{warning}");
            }
        };
        let server = Server::start(&[]);
        let store = open(&server.url()).await;
        warned(&store, &[]).await;
        let client = client(&server).await;
        let sql = "ALTER TABLE session3 SET (autovacuum_enabled = off)";
        client.batch_execute(sql).await.unwrap();
        warned(&store, &["autovacuum_enabled"]).await;
        let settings = [
            "fsync = off",
            "synchronous_commit = off",
            "autovacuum = off",
        ];
        let server = Server::start(&settings);
        let store = open(&format!("{}?durability=off", server.url())).await;
        warned(
            &store,
            &["destroy all", "out of the URL", "autovacuum is off"],
        )
        .await;
        // The URL decides about the commits of the store.
        let durable = open(&format!("{}&durability=on", new_table(shared()))).await;
        warned(&durable, &[]).await;
        let store = open(&new_table(shared())).await;
        warned(&store, &["half second"]).await;
    });
}

#[test]
fn a_sweep_that_stopped_is_unfinished_until_the_next_one_ends() {
    block_on(async {
        let store = open(&new_table(shared())).await;
        let large = SessionState {
            data: vec![7; 1500],
            expires: u64::MAX,
            user: None,
        };
        // Several ranges of blocks.
        for number in 0..1500 {
            store.create_session(&id(number), &large).await.unwrap();
        }
        assert_eq!(store.has_unfinished_sweep().await, Ok(false));
        let limit = Some(Duration::ZERO);
        let report = store.delete_old_sessions(u32::MAX, limit).await.unwrap();
        assert!(!report.complete);
        assert_eq!(store.has_unfinished_sweep().await, Ok(true));
        store.delete_old_sessions(u32::MAX, None).await.unwrap();
        assert_eq!(store.has_unfinished_sweep().await, Ok(false));
    });
}

#[test]
fn a_table_that_was_dropped_is_an_error() {
    block_on(async {
        let table = table();
        let store = open(&format!("{}?table={table}", shared().url())).await;
        let client = client(shared()).await;
        let sql = format!("DROP TABLE {table}, {table}_meta, {table}_locks");
        client.batch_execute(&sql).await.unwrap();
        let is_unavailable = |error: StoreError| {
            assert!(matches!(&error, StoreError::Unavailable(why) if why.contains(&table)));
        };
        let checked = store.check(false, &mut Observed::default()).await;
        is_unavailable(checked.unwrap_err());
        is_unavailable(store.figures().await.unwrap_err());
        is_unavailable(store.warnings().await.unwrap_err());
        is_unavailable(store.has_unfinished_sweep().await.unwrap_err());
    });
}
