//! tower-sessions with its Redis store, as a peer in the benchmark.
//!
//! The argument is the server's port. Each line of the input is an operation and
//! the numbers of the sessions to do it with; each line of the output tells how
//! many nanoseconds that took.

use std::io::BufRead;
use std::time::Instant;

use anyhow::{Context, bail};
use time::{Duration, OffsetDateTime};
use tower_sessions_core::SessionStore;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::{
    Client, ClientLike, Config, ReconnectPolicy, Server, ServerConfig,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port = std::env::args()
        .nth(1)
        .context("the argument with the port is missing")?
        .parse()?;
    let store = RedisStore::new(connect(port).await?);
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split(' ');
        let operation = words.next().unwrap_or_default();
        let mut records = words
            .map(|number| Ok(record(number.parse()?)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let start = Instant::now();
        for record in &mut records {
            perform(&store, operation, record).await?;
        }
        println!("{}", start.elapsed().as_nanos());
    }
    Ok(())
}

async fn connect(port: u16) -> anyhow::Result<Client> {
    let server = Server::new("127.0.0.1", port);
    let config = Config {
        server: ServerConfig::Centralized { server },
        // The server may have been started just now.
        fail_fast: false,
        ..Config::default()
    };
    let patience = ReconnectPolicy::new_constant(100, 50);
    let client = Client::new(config, None, None, Some(patience));
    client.init().await?;
    Ok(client)
}

async fn perform(
    store: &RedisStore<Client>,
    operation: &str,
    record: &mut Record,
) -> anyhow::Result<()> {
    match operation {
        "create" => store.create(record).await?,
        "load" => {
            let loaded = store.load(&record.id).await?;
            loaded.context("a session is gone")?;
        }
        "save" => store.save(record).await?,
        "delete" => store.delete(&record.id).await?,
        _ => bail!("no such operation: {operation}"),
    }
    Ok(())
}

/// A session of about 700 bytes.
fn record(number: i128) -> Record {
    let data = serde_json::Value::from("x".repeat(650));
    Record {
        id: Id(number.wrapping_mul(0x1e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)),
        data: [("data".to_owned(), data)].into(),
        expiry_date: OffsetDateTime::now_utc() + Duration::days(1),
    }
}
