//! Sweeps, which delete the old sessions.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use redis::Value;
use session3_store::{SessionId, StoreError, SweepPace, SweepReport, Timestamp};
use tokio::time::Instant;

use crate::keys::Tag;
use crate::lease::{self, Lease, Place};
use crate::outcome;
use crate::scripts::{SWEEP, decimal};
use crate::server::{Body, Effect, Server};
use crate::walk;

/// How many sessions one round trip examines.
const BATCH: usize = 200;
/// How long a sweep that was killed keeps others away.
const LEASE_TIME: Duration = Duration::from_secs(60);
/// After this time, a sweep stores its position and takes a new lease.
const LEASE_RENEWAL: Duration = Duration::from_secs(20);

/// Which sessions are old.
pub(crate) struct Age {
    pub(crate) minutes: u32,
    /// The time, in place of the server's.
    pub(crate) now: Option<Timestamp>,
}

/// Deletes old sessions, from where the last sweep stopped, until the end or the limit, in
/// short scripts with pauses between them.
pub(crate) async fn sweep(
    server: &Arc<Server>,
    token: Vec<u8>,
    age: &Age,
    limit: Option<Duration>,
) -> Result<SweepReport, StoreError> {
    let mut lease = take_lease(server, &token).await?;
    let mut report = SweepReport::default();
    let mut first = position(server).await?;
    let mut pace = SweepPace::start(limit);
    while let Some(next) = sweep_batch(server, first, age, &mut report).await? {
        first = next;
        if !pace.allows_another_step().await {
            store_position(server, first).await?;
            release(lease).await;
            return Ok(report);
        }
        if lease
            .as_ref()
            .is_some_and(|lease| lease.since.elapsed() > LEASE_RENEWAL)
        {
            store_position(server, first).await?;
            release(lease).await;
            lease = take_lease(server, &token).await?;
        }
    }
    forget_position(server).await?;
    release(lease).await;
    report.complete = true;
    Ok(report)
}

/// Releases the lease before the caller begins another sweep.
async fn release(lease: Option<Lease>) {
    if let Some(lease) = lease {
        lease.release().await;
    }
}

/// Takes the lease of the sweep. A server whose memory is full has none to give, and needs the
/// sweep most: `None`.
async fn take_lease(server: &Arc<Server>, token: &[u8]) -> Result<Option<Lease>, StoreError> {
    let place = Place {
        server: server.clone(),
        tag: Tag::Store,
        key: server.keys.sweep_lock(),
    };
    match lease::take(place, token.to_vec(), LEASE_TIME, Instant::now()).await {
        Ok(lease) => Ok(Some(lease)),
        Err(error) if is_full(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns whether the server refused a change because its memory is full.
fn is_full(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(why) if why.contains("OOM "))
}

async fn position(server: &Server) -> Result<SessionId, StoreError> {
    let mut command = redis::cmd("GET");
    command.arg(server.keys.sweep_position());
    let position = match server.read(Tag::Store, command).await? {
        Value::BulkString(text) => walk::id(&text),
        _ => None,
    };
    Ok(position.unwrap_or(SessionId::from_bits(0)))
}

async fn store_position(server: &Server, id: SessionId) -> Result<(), StoreError> {
    let mut command = redis::cmd("SET");
    command
        .arg(server.keys.sweep_position())
        .arg(id.to_string());
    let body = Body::Command(command);
    match server.call(Tag::Store, Effect::Repeatable, &body).await {
        // The sweep that has made room stores the next position.
        Err(error) if !is_full(&error) => Err(error),
        _ => Ok(()),
    }
}

async fn forget_position(server: &Server) -> Result<(), StoreError> {
    let mut command = redis::cmd("DEL");
    command.arg(server.keys.sweep_position());
    let body = Body::Command(command);
    server.call(Tag::Store, Effect::Repeatable, &body).await?;
    Ok(())
}

/// Examines some sessions, and returns the ID at which the next batch begins.
async fn sweep_batch(
    server: &Server,
    first: SessionId,
    age: &Age,
    report: &mut SweepReport,
) -> Result<Option<SessionId>, StoreError> {
    let ids = walk::ids_from(server, first, BATCH).await?;
    let groups = ids.chunk_by(|one, other| one.prefix() == other.prefix());
    for counts in try_join_all(groups.map(|ids| sweep_group(server, ids, age))).await? {
        let [deleted, remaining] = counts;
        report.deleted += deleted;
        report.remaining += remaining;
    }
    let next = ids.last().copied().and_then(walk::next);
    Ok(next.filter(|_| ids.len() == BATCH))
}

/// Examines sessions whose IDs have the same first digits.
async fn sweep_group(
    server: &Server,
    ids: &[SessionId],
    age: &Age,
) -> Result<[u64; 2], StoreError> {
    let Some(digits) = ids.first().map(|id| id.prefix()) else {
        return Ok([0, 0]);
    };
    let mut keys = vec![server.keys.ids(digits), server.keys.users(digits)];
    keys.extend(ids.iter().map(|id| server.keys.session(id)));
    let idle = u64::from(age.minutes) * 60_000;
    let given = |time: Option<u64>| time.map(decimal).unwrap_or_default();
    let oldest = age.now.map(|now| now.saturating_sub(idle));
    let mut arguments = vec![given(age.now), decimal(idle), given(oldest)];
    arguments.extend(ids.iter().map(|id| id.to_string().into_bytes().into()));
    let body = Body::Script(&SWEEP, &keys, &arguments);
    let answer = server
        .call(Tag::Sessions(digits), Effect::Repeatable, &body)
        .await?;
    outcome::of(answer)?.numbers()
}
