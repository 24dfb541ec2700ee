//! Measures each operation of the store beside the bare statements of rusqlite on one
//! connection, in µs. With several tasks, the figure is the time divided by all operations.

#![expect(
    clippy::unwrap_used,
    reason = "a failing benchmark panics, its helpers too"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use session3_store::{SessionId, SessionState, SessionStore};
use session3_store_sqlite::{Options, SqliteStore};
use session3_test_support::{block_on, id};

/// The bytes of data in a session.
const SIZE: usize = 500;

const OPERATIONS: [&str; 5] = ["create", "load", "save", "touch", "delete"];

fn main() {
    for (durability, count) in [("process", 10_000), ("disk", 1000)] {
        println!("{durability}, sessions of {SIZE} bytes: µs for each operation");
        print_row("bare statements", &bare(durability, count));
        for tasks in [1, 16] {
            let name = format!("store, tasks: {tasks}");
            print_row(&name, &block_on(store(durability, count, tasks)));
        }
    }
}

fn print_row(name: &str, times: &[Duration]) {
    print!("{name:>18}:");
    for (operation, time) in OPERATIONS.iter().zip(times) {
        print!("  {operation} {:.1}", time.as_secs_f64() * 1e6);
    }
    println!();
}

fn state() -> SessionState {
    SessionState {
        user: Some("alice".into()),
        expires: u64::MAX,
        data: vec![7; SIZE],
    }
}

/// Returns an ID that looks random.
fn scattered(number: usize) -> SessionId {
    id((number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

async fn store(durability: &str, count: usize, tasks: usize) -> Vec<Duration> {
    let directory = tempfile::tempdir_in(".").unwrap();
    let path = directory.path().join("sessions.db");
    let url = format!(
        "sqlite:{}?durability={durability}&timeout=60",
        path.display()
    );
    let store = SqliteStore::open(&url, Options::default().create(true)).await;
    let store = Arc::new(store.unwrap());
    let mut times = Vec::new();
    for operation in OPERATIONS {
        let begun = Instant::now();
        let work = |task| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in (task..count).step_by(tasks) {
                    run(&store, operation, &scattered(number)).await;
                }
            })
        };
        let tasks: Vec<_> = (0..tasks).map(work).collect();
        for task in tasks {
            task.await.unwrap();
        }
        times.push(begun.elapsed() / count as u32);
    }
    times
}

async fn run(store: &SqliteStore, operation: &str, id: &SessionId) {
    match operation {
        "create" => assert_eq!(store.create_session(id, &state()).await, Ok(1)),
        "load" => assert!(store.load_session(id).await.unwrap().is_some()),
        "save" => assert_eq!(store.save_session(id, &state(), 1).await, Ok(2)),
        "touch" => assert_eq!(store.touch_session(id, 7, 2).await, Ok(())),
        _ => assert_eq!(store.delete_session(id).await, Ok(true)),
    }
}

/// Measures the statements in a table of the same form.
fn bare(durability: &str, count: usize) -> Vec<Duration> {
    let directory = tempfile::tempdir_in(".").unwrap();
    let connection = Connection::open(directory.path().join("bare.db")).unwrap();
    let synchronous = if durability == "disk" {
        "FULL"
    } else {
        "NORMAL"
    };
    let setup = format!(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;
        PRAGMA synchronous = {synchronous};
        CREATE TABLE sessions (id BLOB NOT NULL UNIQUE, version INTEGER NOT NULL,
            modified INTEGER NOT NULL, expires INTEGER NOT NULL, user BLOB,
            data BLOB NOT NULL) STRICT;
        CREATE INDEX sessions_by_user ON sessions (user) WHERE user IS NOT NULL"
    );
    connection.execute_batch(&setup).unwrap();
    let statements = [
        "INSERT INTO sessions VALUES (?1, 1, 1700000000000, -1, ?2, ?3)",
        "SELECT version, modified, expires, user, data FROM sessions WHERE id = ?1 \
            AND ?2 IS NOT NULL AND ?3 IS NOT NULL",
        "UPDATE sessions SET version = 2, modified = 1700000000001, user = ?2, data = ?3 \
            WHERE id = ?1 AND version = 1",
        "UPDATE sessions SET modified = 1700000000002, expires = 7 \
            WHERE id = ?1 AND version = 2 AND ?2 IS NOT NULL AND ?3 IS NOT NULL",
        "DELETE FROM sessions WHERE id = ?1 AND ?2 IS NOT NULL AND ?3 IS NOT NULL",
    ];
    let new = state();
    let user = new.user.as_deref().map(str::as_bytes);
    statements
        .map(|sql| {
            let begun = Instant::now();
            for number in 0..count {
                #[expect(clippy::big_endian_bytes, reason = "the store does so, too")]
                let key = scattered(number).to_bits().to_be_bytes();
                let mut statement = connection.prepare_cached(sql).unwrap();
                let values = rusqlite::params![key, user, new.data];
                if sql.starts_with("SELECT") {
                    let data = statement.query_row(values, |row| row.get::<_, Vec<u8>>(4));
                    assert_eq!(data.unwrap().len(), SIZE);
                } else {
                    assert_eq!(statement.execute(values), Ok(1));
                }
            }
            begun.elapsed() / count as u32
        })
        .to_vec()
}
