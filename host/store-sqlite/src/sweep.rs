//! The sweep: pages of sessions that a reading thread looks through, and short changes that
//! delete the old ones among them.

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use session3_store::{SessionId, StoreError, SweepPace, SweepReport, Timestamp, is_old};

use crate::inner::Inner;
use crate::lease::{self, Lease};
use crate::sessions::{Unsigned, id_of, key, unsigned, user};
use crate::threads::Outcome;

/// The number of sessions that one page looks through.
const PAGE: i64 = 1000;
/// How long a change deletes, so that other changes do not wait for long.
const TURN: Duration = Duration::from_millis(5);
/// How long a sweep that does not advance keeps other sweeps away.
const LEASE_TIME: Duration = Duration::from_secs(30);
/// The number of pages of the file that one change gives back to the file system.
const VACUUM: u32 = 64;
/// The smallest number of unused pages for which that is done: 1 MiB.
const MIN_UNUSED: i64 = 256;

/// A session that was old when it was looked at.
struct Candidate {
    number: i64,
    id: SessionId,
    modified: Timestamp,
    expires: Timestamp,
}

/// What was found on a page.
struct Page {
    candidates: Vec<Candidate>,
    kept: u64,
    /// The number at which the next page begins; 0 after the last page.
    next: i64,
}

/// What a change did with the candidates of a page.
struct Turn {
    deleted: u64,
    kept: u64,
    /// The candidates for the next change.
    rest: Vec<Candidate>,
}

/// Deletes old sessions until the end, or until the limit has passed.
pub async fn sweep(
    inner: &Inner,
    minutes: u32,
    limit: Option<Duration>,
) -> Result<SweepReport, StoreError> {
    let lease = inner.take_lease(lease::SWEEP.to_vec(), LEASE_TIME).await?;
    let lease = lease.ok_or(StoreError::Busy)?;
    let mut pace = SweepPace::start(limit);
    let report = sweep_pages(inner, &lease, minutes, &mut pace).await?;
    if report.complete {
        while inner.change(false, vacuum_some).await? && pace.allows_another_step().await {}
    }
    // Dropping the lease would release it a little later, and the next sweep may come at once.
    inner.change(false, lease.release()).await?;
    Ok(report)
}

async fn sweep_pages(
    inner: &Inner,
    lease: &Lease,
    minutes: u32,
    pace: &mut SweepPace,
) -> Result<SweepReport, StoreError> {
    let mut report = SweepReport::default();
    let mut first = inner.read(position).await?;
    loop {
        let now = inner.now();
        let page = inner.read(move |connection| look(connection, first, minutes, now));
        let page = page.await?;
        report.remaining += page.kept;
        let mut candidates = page.candidates;
        loop {
            let turn = delete_some(inner, lease, candidates, page.next).await?;
            report.deleted += turn.deleted;
            report.remaining += turn.kept;
            candidates = turn.rest;
            if candidates.is_empty() {
                break;
            }
            if !pace.allows_another_step().await {
                return Ok(report);
            }
        }
        first = page.next;
        report.complete = first == 0;
        if report.complete || !pace.allows_another_step().await {
            return Ok(report);
        }
    }
}

/// Returns where the sweep goes on.
pub fn position(connection: &Connection) -> Outcome<i64> {
    let sql = "SELECT coalesce(max(next), 0) FROM sweep";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(Ok(statement.query_row((), |row| row.get(0))?))
}

fn look(connection: &Connection, first: i64, minutes: u32, now: Timestamp) -> Outcome<Page> {
    let sql = "SELECT number, id, modified, expires, user FROM sessions \
        WHERE number >= ?1 ORDER BY number LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([first, PAGE])?;
    let (mut candidates, mut count, mut last) = (Vec::new(), 0, 0);
    while let Some(row) = rows.next()? {
        let candidate = Candidate {
            number: row.get(0)?,
            id: id_of(row, 1)?,
            modified: unsigned(row, 2)?,
            expires: unsigned(row, 3)?,
        };
        (count, last) = (count + 1, candidate.number);
        // A damaged session stays for inspection.
        if is_old(candidate.modified, candidate.expires, minutes, now) && user(row, 4)?.is_ok() {
            candidates.push(candidate);
        }
    }
    Ok(Ok(Page {
        kept: count - candidates.len() as u64,
        candidates,
        next: if count < PAGE.unsigned_abs() {
            0
        } else {
            last.saturating_add(1)
        },
    }))
}

/// Deletes candidates that were not changed meanwhile, for a few milliseconds, and remembers
/// where the sweep goes on.
async fn delete_some(
    inner: &Inner,
    lease: &Lease,
    mut candidates: Vec<Candidate>,
    next: i64,
) -> Result<Turn, StoreError> {
    let now = inner.now();
    let renew = lease.renewal(now, LEASE_TIME);
    let work = move |connection: &Connection| {
        if !renew(connection)? {
            return Ok(Err(StoreError::Busy));
        }
        lease::remove_ended(connection, now)?;
        let begun = Instant::now();
        let (mut tried, mut deleted) = (0, 0);
        for candidate in &candidates {
            deleted += u64::from(delete(connection, candidate)?);
            tried += 1;
            if begun.elapsed() >= TURN {
                break;
            }
        }
        let rest = candidates.split_off(tried);
        let next = rest.first().map_or(next, |candidate| candidate.number);
        connection
            .prepare_cached("UPDATE sweep SET next = ?1")?
            .execute([next])?;
        let kept = tried as u64 - deleted;
        Ok(Ok(Turn {
            deleted,
            kept,
            rest,
        }))
    };
    inner.change(false, work).await
}

/// Deletes a session unless a touch or a save has changed its times. If they are the same
/// again, it is still old.
fn delete(connection: &Connection, candidate: &Candidate) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM sessions \
        WHERE number = ?1 AND id = ?2 AND modified = ?3 AND expires = ?4";
    let deleted = connection.prepare_cached(sql)?.execute(params![
        candidate.number,
        key(&candidate.id),
        Unsigned(candidate.modified),
        Unsigned(candidate.expires),
    ])?;
    Ok(deleted > 0)
}

/// Gives unused pages back to the file system if more than a quarter of the file is unused,
/// and returns whether there are more. Further sessions would use the others again.
fn vacuum_some(connection: &Connection) -> Outcome<bool> {
    let number = |sql| -> rusqlite::Result<i64> {
        connection
            .prepare_cached(sql)?
            .query_row((), |row| row.get(0))
    };
    let unused = number("PRAGMA freelist_count")?;
    if unused <= MIN_UNUSED.max(number("PRAGMA page_count")? / 4) {
        return Ok(Ok(false));
    }
    // Each row of the result is a page that was given back.
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({VACUUM})"))?;
    let mut rows = statement.query(())?;
    while rows.next()?.is_some() {}
    drop(rows);
    // A database that another tool has made may not support it.
    Ok(Ok(number("PRAGMA freelist_count")? < unused))
}
