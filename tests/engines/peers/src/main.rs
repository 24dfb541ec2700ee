//! tower-sessions with the stores of its authors for other engines, as a peer in the benchmark.
//!
//! The argument is the URL of a server, or `sqlite:PATH?durability=process` or `disk`. Each line of
//! the input is one command, and each line of the output its result:
//!
//! - an operation, the number of tasks that share it, and the numbers of the sessions: the time
//!   that it took in nanoseconds;
//! - `increment`, a number of tasks, and how often each of them increments the counter of one
//!   session: the counter at the end.

use std::io::BufRead;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use time::OffsetDateTime;
use tower_sessions_core::SessionStore;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::{Builder, ClientLike, Config};
use tower_sessions_sqlx_store::sqlx::mysql::MySqlPoolOptions;
use tower_sessions_sqlx_store::sqlx::postgres::PgPoolOptions;
use tower_sessions_sqlx_store::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use tower_sessions_sqlx_store::{MySqlStore, PostgresStore, SqliteStore};

/// The number of connections, which is that of session3's store in MariaDB.
const CONNECTIONS: u32 = 8;
/// The number of the session with the counter, which no other command uses.
const COUNTER: i128 = i128::MAX;

type Store = Arc<dyn SessionStore>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).context("the URL is missing")?;
    let store = open(&url).await?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split(' ');
        let operation = words.next().unwrap_or_default().to_owned();
        let tasks: usize = words.next().context("the tasks are missing")?.parse()?;
        let numbers = words.map(|word| Ok(word.parse()?));
        let numbers = numbers.collect::<anyhow::Result<Vec<i128>>>()?;
        println!("{}", perform(&store, operation, tasks, &numbers).await?);
    }
    Ok(())
}

async fn open(url: &str) -> anyhow::Result<Store> {
    let (scheme, rest) = url.split_once(':').context("there is no scheme")?;
    Ok(match scheme {
        "redis" => {
            let pool = Builder::from_config(Config::from_url(url)?).build_pool(4)?;
            pool.init().await?;
            Arc::new(RedisStore::new(pool))
        }
        "postgres" => {
            let pool = PgPoolOptions::new().max_connections(CONNECTIONS);
            let store = PostgresStore::new(pool.connect(url).await?);
            store.migrate().await?;
            Arc::new(store)
        }
        "mysql" => {
            let pool = MySqlPoolOptions::new().max_connections(CONNECTIONS);
            let store = MySqlStore::new(pool.connect(url).await?);
            store.migrate().await?;
            Arc::new(store)
        }
        "sqlite" => {
            let (path, durability) = rest.split_once("?durability=").context("no durability")?;
            // With the settings of the library, a save waits for a rollback journal.
            let options = SqliteConnectOptions::new()
                .filename(path)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(match durability {
                    "process" => SqliteSynchronous::Normal,
                    _ => SqliteSynchronous::Full,
                });
            let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS);
            let store = SqliteStore::new(pool.connect_with(options).await?);
            store.migrate().await?;
            Arc::new(store)
        }
        _ => bail!("the scheme {scheme} is unknown"),
    })
}

async fn perform(
    store: &Store,
    operation: String,
    tasks: usize,
    numbers: &[i128],
) -> anyhow::Result<u128> {
    if operation == "increment" {
        let rounds = *numbers
            .first()
            .context("the number of increments is missing")?;
        return Ok(increment(store, tasks, rounds).await?.into());
    }
    let start = Instant::now();
    let work = |task| {
        let (store, operation) = (store.clone(), operation.clone());
        let numbers: Vec<_> = numbers.iter().skip(task).step_by(tasks).copied().collect();
        tokio::spawn(async move {
            for number in numbers {
                operate(&*store, &operation, number).await?;
            }
            anyhow::Ok(())
        })
    };
    let tasks: Vec<_> = (0..tasks).map(work).collect();
    for task in tasks {
        task.await??;
    }
    Ok(start.elapsed().as_nanos())
}

async fn operate(store: &dyn SessionStore, operation: &str, number: i128) -> anyhow::Result<()> {
    match operation {
        "create" => store.create(&mut record(number)).await?,
        "load" => {
            let loaded = store.load(&record(number).id).await?;
            loaded.context("a session is gone")?;
        }
        "save" => store.save(&record(number)).await?,
        "delete" => store.delete(&record(number).id).await?,
        _ => bail!("no such operation: {operation}"),
    }
    Ok(())
}

/// Increments the counter of one session from several tasks at once, as requests of one visitor do
/// that arrive together.
async fn increment(store: &Store, tasks: usize, rounds: i128) -> anyhow::Result<u64> {
    let mut first = record(COUNTER);
    first.data.insert("counter".into(), 0.into());
    store.create(&mut first).await?;
    let id = first.id;
    let work = |_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..rounds {
                let mut record = store.load(&id).await?.context("the session is gone")?;
                let counter = counter(&record)? + 1;
                record.data.insert("counter".into(), counter.into());
                store.save(&record).await?;
            }
            anyhow::Ok(())
        })
    };
    let tasks: Vec<_> = (0..tasks).map(work).collect();
    for task in tasks {
        task.await??;
    }
    let record = store.load(&id).await?.context("the session is gone")?;
    store.delete(&id).await?;
    counter(&record)
}

fn counter(record: &Record) -> anyhow::Result<u64> {
    let counter = record
        .data
        .get("counter")
        .and_then(|counter| counter.as_u64());
    counter.context("there is no counter")
}

/// A session of about 700 bytes.
fn record(number: i128) -> Record {
    let data = serde_json::Value::from("x".repeat(650));
    Record {
        id: Id(number.wrapping_mul(0x1e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)),
        data: [("data".to_owned(), data)].into(),
        expiry_date: OffsetDateTime::now_utc() + time::Duration::days(1),
    }
}
