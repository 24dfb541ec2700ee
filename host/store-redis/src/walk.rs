//! Walks through the IDs of all sessions, in their order.

use futures_util::future::try_join_all;
use redis::Value;
use session3_store::{PageBuilder, SessionId, SessionPage, StoreError, StoredSession};

use crate::keys::Tag;
use crate::outcome;
use crate::record;
use crate::scripts::EVICTED;
use crate::server::{Body, Effect, Server};

/// How many sessions are loaded at once.
const CHUNK: usize = 64;
/// How many sorted sets are read at once.
const MAX_SETS: usize = 64;

/// Returns the first `count` IDs that are not below `first`. Fewer are the last ones.
pub(crate) async fn ids_from(
    server: &Server,
    first: SessionId,
    count: usize,
) -> Result<Vec<SessionId>, StoreError> {
    let mut ids = Vec::new();
    let mut digits: Vec<u8> = (first.prefix()..=u8::MAX).rev().collect();
    // Few sessions are in many sets, and many sessions in the first set.
    let mut width = 1;
    while ids.len() < count && !digits.is_empty() {
        let sets = digits.split_off(digits.len().saturating_sub(width));
        let wanted = count - ids.len();
        let reads = sets
            .iter()
            .rev()
            .map(|digits| ids_of(server, *digits, first, wanted));
        ids.extend(try_join_all(reads).await?.into_iter().flatten());
        width = MAX_SETS.min(width * 2);
    }
    ids.truncate(count);
    Ok(ids)
}

async fn ids_of(
    server: &Server,
    digits: u8,
    first: SessionId,
    count: usize,
) -> Result<Vec<SessionId>, StoreError> {
    let mut command = redis::cmd("ZRANGE");
    command
        .arg(server.keys.ids(digits))
        .arg(format!("[{first}"))
        .arg("+")
        .arg("BYLEX")
        .arg(("LIMIT", 0, count));
    let members = server.read(Tag::Sessions(digits), command).await?;
    Ok(members_of(members)
        .filter_map(|member| id(&member))
        .collect())
}

/// Returns the members of a sorted set.
pub(crate) fn members_of(value: Value) -> impl Iterator<Item = Vec<u8>> {
    let values = match value {
        Value::Array(values) => values,
        _ => Vec::new(),
    };
    values.into_iter().filter_map(|value| match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    })
}

/// Reads an ID. Something else in a set is no session.
pub(crate) fn id(member: &[u8]) -> Option<SessionId> {
    std::str::from_utf8(member).ok()?.parse().ok()
}

/// Returns the ID after this one.
pub(crate) fn next(id: SessionId) -> Option<SessionId> {
    id.to_bits().checked_add(1).map(SessionId::from_bits)
}

/// Returns one page of sessions.
pub(crate) async fn page(
    server: &Server,
    cursor: Option<&str>,
    limit: u32,
) -> Result<SessionPage, StoreError> {
    let mut first = match cursor {
        Some(cursor) => cursor.parse()?,
        None => SessionId::from_bits(0),
    };
    let chunk = CHUNK.min((limit as usize).saturating_add(1));
    let mut page = PageBuilder::new(limit);
    loop {
        let ids = ids_from(server, first, chunk).await?;
        let loads = ids.iter().map(async |id| load_listed(server, id).await);
        for (id, loaded) in ids.iter().zip(try_join_all(loads).await?) {
            if !page.add(id, loaded)? {
                return Ok(page.finish());
            }
        }
        match ids.last().copied().and_then(next) {
            Some(next) if ids.len() == chunk => first = next,
            _ => return Ok(page.finish()),
        }
    }
}

/// Loads a session that is listed. The inner error is that of a damaged session.
pub(crate) async fn load_listed(
    server: &Server,
    id: &SessionId,
) -> Result<Result<Option<StoredSession>, StoreError>, StoreError> {
    match load(server, id).await {
        Ok(None) => {}
        Err(error @ StoreError::Corrupt(_)) => return Ok(Err(error)),
        other => return other.map(Ok),
    }
    let [session, ids, _] = server.keys.of_record(id);
    let (keys, arguments) = ([session, ids], [id.to_string().into_bytes().into()]);
    let body = Body::Script(&EVICTED, &keys, &arguments);
    let answer = server.call(Tag::of(id), Effect::Read, &body).await?;
    match outcome::of(answer)?.numbers()? {
        [1] => Ok(Err(record::damaged("the server evicted it"))),
        [_] => Ok(Ok(None)),
    }
}

/// Loads a session.
pub(crate) async fn load(
    server: &Server,
    id: &SessionId,
) -> Result<Option<StoredSession>, StoreError> {
    let command = record::load(&server.keys.session(id));
    match server.read(Tag::of(id), command).await {
        Ok(reply) => record::loaded(id, reply),
        Err(error) if record::is_of_another_type(&error) => {
            Err(record::damaged("its key is no hash"))
        }
        Err(error) => Err(error),
    }
}
