//! What operators do with a store: checks, repairs, figures and warnings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use session3_store::{
    CheckObserver, CheckReport, Figure, Finding, Maintenance, SessionId, SessionState,
    SessionStore, Unit,
};
use session3_store_redis::{Options, RedisStore};
use session3_test_support::dice::Dice;
use session3_test_support::{block_on, id, random, state};

use crate::conformance::session_key;
use crate::servers::Server;

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

async fn open(server: &Server) -> RedisStore {
    let options = Options::default().create(true);
    RedisStore::open(&server.url(), options).await.unwrap()
}

/// Checks a store. Returns the findings in the order of their texts.
pub async fn check(store: &RedisStore, repair: bool) -> (CheckReport, Vec<Finding>) {
    let (report, mut observed) = observe(store, repair).await;
    observed
        .findings
        .sort_by_key(|finding| format!("{finding:?}"));
    (report, observed.findings)
}

/// Checks a store, whose progress has to be a rising share.
async fn observe(store: &RedisStore, repair: bool) -> (CheckReport, Observed) {
    let mut observed = Observed::default();
    let report = store.check(repair, &mut observed).await.unwrap();
    assert!(observed.progress.is_sorted());
    assert!(
        observed
            .progress
            .iter()
            .all(|done| (0.0..=1.0).contains(done))
    );
    (report, observed)
}

#[test]
fn a_check_reports_its_progress_while_it_looks_through_the_keys() {
    block_on(async {
        let server = Server::start();
        let store = open(&server).await;
        for number in 0..3000 {
            create(&store, &in_tag(7, number), "alice").await;
        }
        let (report, Observed { progress, .. }) = observe(&store, false).await;
        assert_eq!(report, counts(3000, 0));
        assert!(progress.is_sorted() && progress[0] == 0.0);
        let of_the_keys = progress.iter().filter(|done| (0.1..0.5).contains(*done));
        assert!(of_the_keys.count() >= 2, "{progress:?}");
    });
}

async fn create(store: &RedisStore, id: &SessionId, user: &str) {
    let new = SessionState {
        user: Some(user.into()),
        ..state("a")
    };
    store.create_session(id, &new).await.unwrap();
}

/// Returns an ID that begins with these digits.
fn in_tag(digits: u8, number: u128) -> SessionId {
    SessionId::from(u128::from(digits) << 120 | number)
}

fn counts(sessions: u64, damaged: u64) -> CheckReport {
    CheckReport {
        sessions,
        damaged,
        ..CheckReport::default()
    }
}

#[test]
fn a_sound_store_has_no_findings() {
    block_on(async {
        let server = Server::start();
        let store = open(&server).await;
        assert_eq!(check(&store, false).await, (counts(0, 0), vec![]));
        // More than one batch in a tag.
        for number in 0..200 {
            create(&store, &in_tag(7, number), "alice").await;
            let id = in_tag((number % 256) as u8, 1 << 64 | number);
            store.create_session(&id, &state("a")).await.unwrap();
        }
        let lock = store.lock_session(&id(1), Duration::from_secs(60)).await;
        store
            .delete_old_sessions(u32::MAX, Some(Duration::ZERO))
            .await
            .unwrap();
        // The sweep has deleted a batch, and stored its position.
        for repair in [false, true] {
            assert_eq!(check(&store, repair).await, (counts(200, 0), vec![]));
        }
        drop(lock);
    });
}

#[test]
fn evicted_and_damaged_sessions_are_damaged() {
    block_on(async {
        let server = Server::start();
        let store = open(&server).await;
        for number in 1..5 {
            store
                .create_session(&id(number), &state("a"))
                .await
                .unwrap();
        }
        server.command(&["DEL", &session_key("s3", &id(1))]);
        server.command(&["HSET", &session_key("s3", &id(2)), "v", "nonsense"]);
        server.command(&["SET", &session_key("s3", &id(3)), "text"]);
        for repair in [false, true] {
            let (report, findings) = check(&store, repair).await;
            assert_eq!(report, counts(1, 3));
            let expected = ["evicted", "version", "no hash"];
            assert_eq!(findings.len(), expected.len());
            for (finding, part) in findings.iter().zip(expected) {
                match finding {
                    Finding::Damaged(_, why) => assert!(why.contains(part), "{why}"),
                    other => panic!("{other:?}"),
                }
            }
        }
    });
}

#[test]
fn a_repair_corrects_the_indexes() {
    block_on(async {
        let server = Server::start();
        let store = open(&server).await;
        let (one, two, three) = (in_tag(1, 1), in_tag(2, 2), in_tag(3, 3));
        for id in [&one, &two, &three] {
            create(&store, id, "alice").await;
        }
        // As an eviction leaves them: without entries, without IDs, without a session.
        server.command(&["DEL", "{s3:01}:u"]);
        server.command(&["DEL", "{s3:02}:ids"]);
        server.command(&["DEL", &session_key("s3", &three)]);
        server.command(&["ZADD", "{s3:05}:u", "0", "short"]);
        let expected = |(report, mut findings): (CheckReport, Vec<Finding>)| {
            assert_eq!(report.damaged, 1);
            findings.retain(|finding| !matches!(finding, Finding::Damaged(..)));
            let surplus = |name: &str| Finding::Surplus(name.to_owned());
            let entry = format!("{{s3:03}}:u: session {three}");
            let expected = [
                Finding::Missing(one),
                Finding::Missing(two),
                surplus(&entry),
                surplus("{s3:05}:u: short"),
            ];
            assert_eq!(findings, expected);
        };
        expected(check(&store, false).await);
        expected(check(&store, false).await);
        assert_eq!(store.sessions_of_user("alice").await, Ok(vec![two]));
        expected(check(&store, true).await);
        let (report, findings) = check(&store, true).await;
        assert_eq!((report, findings.len()), (counts(2, 1), 1));
        assert_eq!(store.sessions_of_user("alice").await, Ok(vec![one, two]));
        assert_eq!(
            store.iter_sessions(None, 9).await.unwrap().sessions.len(),
            2
        );
    });
}

#[test]
fn keys_of_others_are_foreign_only_if_they_use_the_tags_of_the_store() {
    block_on(async {
        let server = Server::start();
        let store = open(&server).await;
        let other = format!("{}?prefix=s30", server.url());
        let options = Options::default().create(true);
        let other = RedisStore::open(&other, options).await.unwrap();
        create(&other, &id(1), "alice").await;
        for key in ["{s3}:x", "{s3:ab}:s:x", "{s3:zz}:x", "s3:x", "{s4}:x"] {
            server.command(&["SET", key, "x"]);
        }
        let foreign = |name: &str| Finding::Foreign(name.to_owned());
        let expected = vec![foreign("{s3:ab}:s:x"), foreign("{s3}:x")];
        for repair in [false, true] {
            assert_eq!(
                check(&store, repair).await,
                (counts(0, 0), expected.clone())
            );
        }
        assert_eq!(check(&other, false).await, (counts(1, 0), vec![]));
    });
}

#[test]
fn an_index_of_another_type_is_unreadable_and_the_rest_is_checked() {
    block_on(async {
        let server = Server::start();
        let store = open(&server).await;
        for digits in 0..4 {
            create(&store, &in_tag(digits, 1), "alice").await;
        }
        server.command(&["SET", "{s3:01}:ids", "x"]);
        server.command(&["SET", "{s3:02}:u", "x"]);
        let (report, findings) = check(&store, true).await;
        assert_eq!(report, counts(3, 0));
        let name = |finding| match finding {
            Finding::Unreadable(name, _) => name,
            other => panic!("{other:?}"),
        };
        let names: Vec<_> = findings.into_iter().map(name).collect();
        assert_eq!(names, ["{s3:01}:ids", "{s3:02}:u"]);
        server.command(&["DEL", "{s3:01}:ids", "{s3:02}:u"]);
        let (_, findings) = check(&store, true).await;
        let expected = [in_tag(1, 1), in_tag(2, 1)].map(Finding::Missing);
        assert_eq!(findings, expected);
        assert_eq!(check(&store, false).await, (counts(4, 0), vec![]));
    });
}

#[test]
fn what_other_processes_change_during_a_check_is_no_problem() {
    block_on(async {
        let server = Server::start();
        let store = Arc::new(open(&server).await);
        let is_over = Arc::new(AtomicBool::new(false));
        let mut dice = Dice::new(random::seed());
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let (store, is_over) = (store.clone(), is_over.clone());
                let mut dice = Dice::new(dice.roll());
                tokio::spawn(async move {
                    while !is_over.load(Ordering::SeqCst) {
                        let id = in_tag(dice.below(4) as u8, dice.below(20) as u128);
                        let user = dice.percent(70).then(|| dice.below(3).to_string());
                        let new = SessionState { user, ..state("a") };
                        match store.load_session(&id).await.unwrap() {
                            None => drop(store.create_session(&id, &new).await),
                            Some(_) if dice.percent(40) => drop(store.delete_session(&id).await),
                            Some(old) => drop(store.save_session(&id, &new, old.version).await),
                        }
                    }
                })
            })
            .collect();
        for round in 0..30 {
            let (report, findings) = check(&store, round % 2 == 0).await;
            assert_eq!((report.damaged, findings), (0, vec![]));
        }
        is_over.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.await.unwrap();
        }
        crate::faults::assert_index_is_exact(&*store).await;
    });
}

#[test]
fn the_figures_are_those_of_the_server() {
    block_on(async {
        let server = Server::start_with(&["--save", "", "--maxmemory", "100mb"]);
        let store = open(&server).await;
        let figure = async |name: &str| {
            let figures = store.figures().await.unwrap();
            figures.into_iter().find(|figure| figure.name == name)
        };
        assert_eq!(figure("per session").await, None);
        for number in 0..100 {
            let id = SessionId::from(number << 110);
            create(&store, &id, "alice").await;
        }
        let value = async |name| figure(name).await.unwrap().value;
        let limit = Figure {
            name: "memory limit",
            value: 100 << 20,
            unit: Unit::Bytes,
        };
        assert_eq!(figure("memory limit").await, Some(limit));
        assert_eq!(value("index entries").await, 100);
        assert_eq!(value("evicted keys").await, 0);
        assert!((50..1000).contains(&value("per session").await));
        assert!(value("memory used").await > 100_000);
        assert!(value("resident set").await > 100_000);
        server.command(&["CONFIG", "SET", "maxmemory", "0"]);
        assert_eq!(figure("memory limit").await, None);
    });
}

#[test]
fn warnings_say_what_a_restart_and_a_crash_lose() {
    block_on(async {
        let server = Server::start();
        let store = open(&server).await;
        let warned = async |parts: &[&str]| {
            let warnings = store.warnings().await.unwrap();
            assert_eq!(warnings.len(), parts.len(), "{warnings:?}");
            for (warning, part) in warnings.iter().zip(parts) {
                assert!(warning.contains(part), "{warning}");
                assert!(warning.contains(&server.port.to_string()), "{warning}");
            }
        };
        let set = |name: &str, value: &str| server.command(&["CONFIG", "SET", name, value]);
        warned(&["a restart loses all sessions"]).await;
        set("save", "60 1000");
        warned(&["latest snapshot: set appendonly"]).await;
        set("appendonly", "yes");
        warned(&["a second or two"]).await;
        set("appendfsync", "no");
        warned(&["half a minute"]).await;
        set("appendfsync", "always");
        warned(&[]).await;
        set("maxmemory-policy", "volatile-lru");
        warned(&["locks"]).await;
        set("maxmemory-policy", "allkeys-lru");
        warned(&["deletes sessions in silence"]).await;
    });
}

#[test]
fn a_server_that_refuses_some_commands_gives_the_rest() {
    block_on(async {
        let renamed = [
            "--rename-command",
            "CONFIG",
            "",
            "--rename-command",
            "MEMORY",
            "",
        ];
        let server = Server::start_with(&[&["--save", ""], &renamed[..]].concat());
        let store = open(&server).await;
        create(&store, &id(1), "alice").await;
        let warnings = store.warnings().await.unwrap();
        assert!(
            warnings[0].contains("or all sessions if it makes none"),
            "{warnings:?}"
        );
        let figures = store.figures().await.unwrap();
        let names: Vec<_> = figures.iter().map(|figure| figure.name).collect();
        let expected = [
            "memory used",
            "resident set",
            "index entries",
            "evicted keys",
        ];
        assert_eq!(names, expected);
    });
}

#[test]
fn a_sweep_that_stopped_is_unfinished_until_the_next_one_ends() {
    block_on(async {
        let server = Server::start();
        let store = open(&server).await;
        for number in 0..500 {
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
