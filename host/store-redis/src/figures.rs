//! The figures of the server.

use futures_util::future::try_join_all;
use redis::Value;
use session3_store::{Figure, SessionId, StoreError, Unit};

use crate::facts::Info;
use crate::keys::Tag;
use crate::server::Server;
use crate::walk;

/// The number of sessions whose memory is measured. IDs are random, so the first ones are as
/// good as others.
const SAMPLE: usize = 50;

/// Returns how much memory the server uses, and what else operators need to know.
pub(crate) async fn figures(server: &Server) -> Result<Vec<Figure>, StoreError> {
    let mut infos = Vec::new();
    for node in server.nodes().await? {
        infos.push(Info::ask(server, &node).await?);
    }
    let sum = |name| infos.iter().map(|info| info.number(name)).sum();
    let mut figures = vec![
        bytes("memory used", sum("used_memory")),
        bytes("resident set", sum("used_memory_rss")),
    ];
    if infos.iter().all(|info| info.number("maxmemory") > 0) {
        figures.push(bytes("memory limit", sum("maxmemory")));
    }
    // A user that may not run `MEMORY USAGE` gets the other figures.
    if let Ok(Some(size)) = size_of_session(server).await {
        figures.push(bytes("per session", size));
    }
    figures.push(count("index entries", index_entries(server).await?));
    figures.push(count("evicted keys", sum("evicted_keys")));
    Ok(figures)
}

fn bytes(name: &'static str, value: u64) -> Figure {
    let unit = Unit::Bytes;
    Figure { name, value, unit }
}

fn count(name: &'static str, value: u64) -> Figure {
    let unit = Unit::Count;
    Figure { name, value, unit }
}

/// Returns the bytes of memory that a session takes on average, `None` without sessions.
async fn size_of_session(server: &Server) -> Result<Option<u64>, StoreError> {
    let ids = walk::ids_from(server, SessionId::from_bits(0), SAMPLE).await?;
    let sizes = ids.iter().map(async |id| {
        let mut command = redis::cmd("MEMORY");
        command.arg("USAGE").arg(server.keys.session(id));
        server.read(Tag::of(id), command).await.map(number)
    });
    let sizes = try_join_all(sizes).await?;
    // Sessions that were deleted meanwhile have no size.
    let sizes: Vec<_> = sizes.into_iter().filter(|size| *size > 0).collect();
    Ok(sizes.iter().sum::<u64>().checked_div(sizes.len() as u64))
}

async fn index_entries(server: &Server) -> Result<u64, StoreError> {
    let counts = (0..=u8::MAX).map(async |digits| {
        let mut command = redis::cmd("ZCARD");
        command.arg(server.keys.users(digits));
        server
            .read(Tag::Sessions(digits), command)
            .await
            .map(number)
    });
    Ok(try_join_all(counts).await?.iter().sum())
}

fn number(value: Value) -> u64 {
    match value {
        Value::Int(number) => number.unsigned_abs(),
        _ => 0,
    }
}
