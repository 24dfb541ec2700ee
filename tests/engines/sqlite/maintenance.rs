//! What operators do with a store: checks, repairs, figures and warnings.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use session3_store::{
    CheckObserver, CheckReport, Finding, Maintenance, SessionState, SessionStore,
};
use session3_store_sqlite::{Options, SqliteStore};
use session3_test_support::{block_on, id, state};

use crate::support::{Place, is_closed, until};

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

async fn check(store: &SqliteStore, repair: bool) -> (CheckReport, Vec<Finding>) {
    let mut observed = Observed::default();
    let report = store.check(repair, &mut observed).await.unwrap();
    assert!(observed.progress.is_sorted());
    assert!(
        observed
            .progress
            .iter()
            .all(|done| (0.0..=1.0).contains(done))
    );
    (report, observed.findings)
}

fn counts(sessions: u64, damaged: u64) -> CheckReport {
    CheckReport {
        sessions,
        damaged,
        ..CheckReport::default()
    }
}

fn of(user: &str) -> SessionState {
    SessionState {
        user: Some(user.into()),
        ..state("a")
    }
}

/// Runs statements while the index by user does not take notice.
fn behind_the_index(place: &Place, statements: &str) {
    let set_filter = |connection: &rusqlite::Connection, filter| {
        let sql = format!(
            "PRAGMA writable_schema = ON; \
             UPDATE sqlite_schema SET sql = 'CREATE INDEX sessions_by_user ON sessions (user) \
             WHERE user IS {filter}' WHERE name = 'sessions_by_user'; \
             PRAGMA writable_schema = RESET"
        );
        connection.execute_batch(&sql).unwrap();
    };
    set_filter(&place.sqlite(), "NULL");
    place.sqlite().execute_batch(statements).unwrap();
    set_filter(&place.sqlite(), "NOT NULL");
}

#[test]
fn a_sound_store_has_no_findings() {
    block_on(async {
        let place = Place::new();
        let store = place.store(Options::default()).await;
        assert_eq!(check(&store, true).await, (counts(0, 0), vec![]));
        // More than one read, by number and by size.
        for number in 0..2500 {
            let new = if number % 2 == 0 {
                of("alice")
            } else {
                state("")
            };
            store.create_session(&id(number), &new).await.unwrap();
        }
        let large = state(&"x".repeat(1 << 20));
        for number in 0..20 {
            store
                .create_session(&id(1 << 64 | number), &large)
                .await
                .unwrap();
        }
        for repair in [false, true] {
            assert_eq!(check(&store, repair).await, (counts(2520, 0), vec![]));
        }
    });
}

#[test]
fn a_row_that_cannot_be_read_is_damaged() {
    block_on(async {
        let place = Place::new();
        let store = place.store(Options::default()).await;
        for number in 0..3 {
            store
                .create_session(&id(number), &of("alice"))
                .await
                .unwrap();
        }
        let sql = "UPDATE sessions SET user = x'ff' WHERE number = 2";
        place.sqlite().execute_batch(sql).unwrap();
        let (report, findings) = check(&store, true).await;
        assert_eq!(report, counts(2, 1));
        let [Finding::Damaged(damaged, why)] = &findings[..] else {
            panic!("{findings:?}");
        };
        assert!(*damaged == id(1) && why.contains("UTF-8"), "{why}");
    });
}

#[test]
fn a_repair_builds_a_wrong_index_again() {
    block_on(async {
        let place = Place::new();
        let store = place.store(Options::default()).await;
        for number in 0..4 {
            store
                .create_session(&id(number), &of("alice"))
                .await
                .unwrap();
        }
        drop(store);
        until(async || is_closed(&place)).await;
        behind_the_index(
            &place,
            "UPDATE sessions SET user = x'626f62' WHERE number = 2",
        );
        let store = place.store(Options::default()).await;
        assert_eq!(store.sessions_of_user("bob").await, Ok(vec![]));
        for repair in [false, false, true] {
            let (report, findings) = check(&store, repair).await;
            assert_eq!(report, counts(4, 0));
            // The entry of the previous user is still there.
            let entry = "index sessions_by_user: row 2";
            let expected = [Finding::Missing(id(1)), Finding::Surplus(entry.into())];
            assert_eq!(findings, expected);
        }
        assert_eq!(check(&store, false).await, (counts(4, 0), vec![]));
        assert_eq!(store.sessions_of_user("bob").await, Ok(vec![id(1)]));
        assert_eq!(store.sessions_of_user("alice").await.unwrap().len(), 3);

        drop(store);
        until(async || is_closed(&place)).await;
        behind_the_index(&place, "DELETE FROM sessions WHERE number = 3");
        let store = place.store(Options::default()).await;
        for repair in [false, true] {
            let (report, findings) = check(&store, repair).await;
            assert_eq!(report, counts(3, 0));
            let entry = "index sessions_by_user: row 3";
            assert_eq!(findings, [Finding::Surplus(entry.into())]);
        }
        assert_eq!(check(&store, false).await, (counts(3, 0), vec![]));
    });
}

#[test]
fn a_damaged_file_is_unreadable_and_what_can_be_read_is_counted() {
    block_on(async {
        let place = Place::new();
        let store = place.store(Options::default()).await;
        let new = state(&"x".repeat(1000));
        for number in 0..1000 {
            store.create_session(&id(number), &new).await.unwrap();
        }
        drop(store);
        until(async || is_closed(&place)).await;
        let file = OpenOptions::new().write(true).open(place.path()).unwrap();
        let half = file.metadata().unwrap().len() / 2 / 4096 * 4096;
        file.write_all_at(&[0xff; 4096], half).unwrap();
        drop(file);
        let options = Options::default().read_only(true);
        let store = place.open(options).await.unwrap();
        let (report, findings) = check(&store, false).await;
        assert!(report.sessions < 1000, "{report:?}");
        assert!(!findings.is_empty());
        for finding in findings {
            let Finding::Unreadable(name, why) = finding else {
                panic!("{finding:?}");
            };
            assert!(
                name == place.path().to_str().unwrap() && !why.contains('\n'),
                "{why}"
            );
        }
    });
}

#[test]
fn a_check_lasts_longer_than_the_timeout_and_keeps_no_change_waiting() {
    block_on(async {
        let place = Place::new();
        let store = place.store(Options::default()).await;
        let new = SessionState {
            user: Some("alice".into()),
            ..state(&"x".repeat(100_000))
        };
        for number in 0..500 {
            store.create_session(&id(number), &new).await.unwrap();
        }
        // SQLite's own check of 50 MB takes longer than this; the other reads do not.
        let timeout = Duration::from_millis(20);
        let impatient = place.store(Options::default().timeout(timeout)).await;
        let store = Arc::new(store);
        let writing = tokio::spawn({
            let store = store.clone();
            async move {
                let small = of("bob");
                for version in 1.. {
                    let saved = store.save_session(&id(1), &small, version).await;
                    assert_eq!(saved, Ok(version + 1));
                    tokio::task::yield_now().await;
                }
            }
        });
        let mut findings = Observed::default();
        // On a loaded machine, a read of some sessions may be late.
        until(async || impatient.check(false, &mut findings).await.is_ok()).await;
        assert_eq!(findings.findings, []);
        assert!(!writing.is_finished());
        writing.abort();
    });
}

#[test]
fn a_check_that_is_given_up_ends() {
    block_on(async {
        let place = Place::new();
        let store = place.store(Options::default()).await;
        let large = state(&"x".repeat(1 << 20));
        for number in 0..50 {
            store.create_session(&id(number), &large).await.unwrap();
        }
        {
            let mut observed = Observed::default();
            let mut check = pin!(store.check(false, &mut observed));
            let begun = tokio::time::timeout(Duration::from_millis(5), &mut check).await;
            drop(begun);
        }
        drop(store);
        until(async || is_closed(&place)).await;
    });
}

#[test]
fn the_figures_are_those_of_the_file() {
    block_on(async {
        let place = Place::new();
        let store = place.store(Options::default()).await;
        let value = async |name: &str| {
            let figures = store.figures().await.unwrap();
            let found = figures.into_iter().find(|figure| figure.name == name);
            found.unwrap().value
        };
        assert_eq!(value("unused").await, 0);
        let large = state(&"x".repeat(1 << 20));
        store.create_session(&id(1), &large).await.unwrap();
        store.delete_session(&id(1)).await.unwrap();
        let (database, unused) = (value("database").await, value("unused").await);
        assert!(
            unused >= 1 << 20 && database > unused,
            "{database} {unused}"
        );
        assert_eq!(value("pages").await, database / 4096);
        let log = fs::metadata(place.0.path().join("sessions.db-wal")).unwrap();
        assert_eq!(value("log").await, log.len());
        assert!(log.len() > 0);
    });
}

#[test]
fn warnings_name_those_who_may_write_the_file_or_its_directory() {
    block_on(async {
        let place = Place::new();
        let store = place.store(Options::default()).await;
        assert_eq!(store.warnings().await, Ok(vec![]));
        for (path, mode, part) in [
            (
                place.path(),
                0o602,
                "sessions.db: it may be written by every user",
            ),
            (
                place.0.path().into(),
                0o703,
                "its directory may be written by every user",
            ),
        ] {
            let before = fs::metadata(&path).unwrap().permissions();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let warnings = store.warnings().await.unwrap();
            assert!(
                warnings.len() == 1 && warnings[0].contains(part),
                "{warnings:?}"
            );
            fs::set_permissions(&path, before).unwrap();
        }
        assert_eq!(store.warnings().await, Ok(vec![]));
    });
}

#[test]
fn a_sweep_that_stopped_is_unfinished_until_the_next_one_ends() {
    block_on(async {
        let place = Place::new();
        let store = place.store(Options::default()).await;
        for number in 0..1500 {
            store
                .create_session(&id(number), &state("a"))
                .await
                .unwrap();
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
