//! A process that uses a store until it is done, or until a test kills it.
//!
//! The arguments are a role, the URL of the store, a number that tells the processes of a test
//! apart, and a number whose meaning depends on the role.

#![expect(
    clippy::unwrap_used,
    reason = "a failing process panics, and the test notices"
)]

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session3_store::{Maintenance, SessionId, SessionState, SessionStore, StoreError};
use session3_store_sqlite::{Options, SqliteStore};
use session3_test_support::dice::Dice;
use session3_test_support::{block_on, id, state};

/// The number of tasks that use the store at the same time.
const TASKS: u128 = 8;

fn main() {
    // A panic in a task ends the process, so that the test notices it.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        hook(panic);
        std::process::exit(101);
    }));
    let arguments: Vec<String> = std::env::args().collect();
    let [_, role, url, me, number] = arguments.as_slice() else {
        panic!("the arguments are ROLE URL ME NUMBER");
    };
    let (me, number): (u64, u64) = (me.parse().unwrap(), number.parse().unwrap());
    block_on(async {
        let is_reader = role == "read";
        let options = Options::default().create(true).read_only(is_reader);
        let store = SqliteStore::open(url, options).await;
        let store = Arc::new(store.unwrap());
        match role.as_str() {
            "open" => say("open"),
            "change" => in_tasks(|task| change(store.clone(), me, number, task)).await,
            "add" => in_tasks(|_| add(store.clone(), number)).await,
            "hold" => hold(&store, number).await,
            "exclude" => in_tasks(|_| exclude(store.clone(), number)).await,
            "sweep" => sweep(&store, number).await,
            "read" => read(&store).await,
            "fill" => fill(&store, number).await,
            "serve" => session3_test_history::serve(&*store).await,
            role => panic!("{role}: unknown"),
        }
    });
}

async fn in_tasks<F: Future<Output = ()> + Send + 'static>(work: impl Fn(u128) -> F) {
    let tasks: Vec<_> = (0..TASKS).map(|task| tokio::spawn(work(task))).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Writes a line. Lines of several tasks do not mix.
fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    output.write_all(format!("{line}\n").as_bytes()).unwrap();
    output.flush().unwrap();
}

/// Writes how many sessions there are, after a check of the store.
async fn read(store: &SqliteStore) {
    let mut findings = Vec::new();
    let mut observer = |finding| findings.push(finding);
    let report = store.check(false, &mut observer).await.unwrap();
    assert_eq!((report.damaged, findings), (0, vec![]));
    let page = store.iter_sessions(None, 9).await.unwrap();
    assert_eq!(page.sessions.len() as u64, report.sessions);
    let created = store.create_session(&id(u128::MAX), &state("")).await;
    let why = created.unwrap_err().to_string();
    assert!(why.contains("open for reading only"), "{why}");
    say(&report.sessions.to_string());
}

/// Creates, saves and deletes sessions of its own until it is killed. Writes what it tries
/// before it does, and what was done after that: `try ID VERSION` and `did ID VERSION`. The
/// version 0 stands for a delete.
async fn change(store: Arc<SqliteStore>, me: u64, seed: u64, task: u128) {
    let mut dice = Dice::new(seed ^ task as u64);
    for number in 0.. {
        let id = id((u128::from(me) << 64) | (task << 32) | number);
        let saves = dice.below(5) as u64;
        for version in 1..=1 + saves {
            say(&format!("try {id} {version}"));
            let state = content(&id, version);
            let saved = match version {
                1 => store.create_session(&id, &state).await,
                _ => store.save_session(&id, &state, version - 1).await,
            };
            assert_eq!(saved, Ok(version));
            say(&format!("did {id} {version}"));
        }
        if dice.percent(30) {
            say(&format!("try {id} 0"));
            assert_eq!(store.delete_session(&id).await, Ok(true));
            say(&format!("did {id} 0"));
        }
    }
}

/// Returns the state that a session has in a version. The test has the same function.
fn content(id: &SessionId, version: u64) -> SessionState {
    SessionState {
        user: Some(format!("user{}", version % 3)),
        expires: version,
        data: format!("{id} {version} ")
            .repeat(version as usize * 20)
            .into(),
    }
}

/// Adds to one session until the time in milliseconds is over. Writes how often, and the
/// longest time of a save in milliseconds.
async fn add(store: Arc<SqliteStore>, milliseconds: u64) {
    let begun = Instant::now();
    let (mut count, mut longest) = (0, Duration::ZERO);
    while begun.elapsed() < Duration::from_millis(milliseconds) {
        let session = store.load_session(&id(1)).await.unwrap().unwrap();
        let sum: u64 = str::from_utf8(&session.state.data)
            .unwrap()
            .parse()
            .unwrap();
        let new = state(&(sum + 1).to_string());
        let asked = Instant::now();
        match store.save_session(&id(1), &new, session.version).await {
            Ok(_) => count += 1,
            Err(StoreError::Conflict(_)) => {}
            Err(error) => panic!("{error}"),
        }
        longest = longest.max(asked.elapsed());
    }
    say(&format!("{count} {}", longest.as_millis()));
}

/// Holds the lease of a session for a time in milliseconds, and never gives it back.
async fn hold(store: &SqliteStore, milliseconds: u64) {
    let time = Duration::from_millis(milliseconds);
    let _lock = store.lock_session(&id(1), time).await.unwrap();
    say("held");
    std::future::pending().await
}

/// Adds to a session under its lease. Every save must succeed. Writes how often it did.
async fn exclude(store: Arc<SqliteStore>, times: u64) {
    for _ in 0..times {
        let lock = loop {
            match store.lock_session(&id(1), Duration::from_secs(60)).await {
                Ok(lock) => break lock,
                Err(StoreError::Busy) => {}
                Err(error) => panic!("{error}"),
            }
        };
        let session = store.load_session(&id(1)).await.unwrap().unwrap();
        let sum: u64 = str::from_utf8(&session.state.data)
            .unwrap()
            .parse()
            .unwrap();
        let new = state(&(sum + 1).to_string());
        let saved = store.save_session(&id(1), &new, session.version).await;
        assert_eq!(saved, Ok(session.version + 1));
        assert!(lock.is_held());
    }
}

/// Sweeps until no sweep deletes anything. Writes how many sessions this process deleted.
async fn sweep(store: &SqliteStore, limit: u64) {
    let mut deleted = 0;
    loop {
        let limit = Some(Duration::from_millis(limit));
        match store.delete_old_sessions(u32::MAX, limit).await {
            Ok(report) => {
                deleted += report.deleted;
                if report.complete {
                    break;
                }
            }
            Err(StoreError::Busy) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(error) => panic!("{error}"),
        }
    }
    say(&deleted.to_string());
}

/// Creates sessions until the store fails. Then it must still load all of them. Writes how
/// many there are, and the error.
async fn fill(store: &SqliteStore, size: u64) {
    let new = state(&"x".repeat(size as usize));
    for number in 0.. {
        match store.create_session(&id(number), &new).await {
            Ok(_) => {}
            Err(error) => {
                for number in 0..number {
                    let loaded = store.load_session(&id(number)).await.unwrap();
                    assert_eq!(loaded.unwrap().state, new);
                }
                assert_eq!(store.load_session(&id(number)).await, Ok(None));
                say(&format!("{number} {error}"));
                return;
            }
        }
    }
}
