//! The check: what SQLite says about the file, and which sessions cannot be read.

use rusqlite::{Connection, ErrorCode};
use session3_store::{CheckObserver, CheckReport, Finding, SessionId, StoreError, StoredSession};

use crate::inner::Inner;
use crate::sessions::{id_of, session};
use crate::threads::Outcome;

/// The largest numbers of sessions and of bytes of data that one read looks through.
const PAGE: u64 = 1000;
const PAGE_BYTES: usize = 4 << 20;
/// The largest number of problems that SQLite reports.
const MAX_PROBLEMS: u32 = 10_000;
/// The index by user.
const INDEX: &str = "index sessions_by_user";

/// What SQLite found.
#[derive(Default)]
struct Problems {
    findings: Vec<Finding>,
    is_index_wrong: bool,
}

/// What a read of some sessions found.
#[derive(Default)]
struct Page {
    sessions: Vec<StoredSession>,
    damaged: u64,
    findings: Vec<Finding>,
    /// The row at which the next page begins, `None` after the last page.
    next: Option<i64>,
}

/// Checks the file, then reads all sessions. A repair builds the indexes again if one
/// is wrong.
pub async fn check(
    inner: &Inner,
    repair: bool,
    observer: &mut dyn CheckObserver,
) -> Result<CheckReport, StoreError> {
    let path = inner.file.path.display().to_string();
    let name = path.clone();
    let problems = inner
        .read_for_long(move |connection| Ok(Ok(problems(connection, &name)?)))
        .await?;
    let is_unsound = !problems.findings.is_empty();
    report(problems.findings, observer);
    if repair && problems.is_index_wrong {
        inner.change_for_long(rebuild_indexes).await?;
    }
    let mut counts = CheckReport::default();
    let last = inner.read(last_row).await.unwrap_or_default().max(1);
    let mut next = Some(i64::MIN);
    while let Some(first) = next {
        observer.progress((first.max(0) as f64 / last as f64).min(1.0));
        let page = match inner
            .read(move |connection| read_page(connection, first))
            .await
        {
            Ok(page) => page,
            // The rows after a damaged page cannot be read in this order.
            Err(StoreError::Unavailable(why)) if is_unsound => {
                observer.found(Finding::Unreadable(path, why));
                return Ok(counts);
            }
            Err(error) => return Err(error),
        };
        counts.sessions += page.sessions.len() as u64;
        counts.damaged += page.damaged;
        for session in page.sessions {
            observer.read(session);
        }
        report(page.findings, observer);
        next = page.next;
    }
    Ok(counts)
}

fn report(findings: Vec<Finding>, observer: &mut dyn CheckObserver) {
    for finding in findings {
        observer.found(finding);
    }
}

/// Runs SQLite's own check, and compares the index by user with the table.
///
/// SQLite's check does not notice entries of a partial index that no row needs.
fn problems(connection: &Connection, path: &str) -> rusqlite::Result<Problems> {
    let mut problems = Problems::default();
    let texts = unless_corrupt(integrity_check(connection), path, &mut problems)?;
    for text in texts.iter().filter(|text| *text != "ok") {
        problems.is_index_wrong |= text.contains("index");
        if !text.ends_with(INDEX) {
            let text = text.replace('\n', " ");
            let finding = Finding::Unreadable(path.to_owned(), text);
            problems.findings.push(finding);
        }
    }
    let missing = unless_corrupt(missing_entries(connection), path, &mut problems)?;
    let surplus = unless_corrupt(surplus_entries(connection), path, &mut problems)?;
    problems.is_index_wrong |= !missing.is_empty() || !surplus.is_empty();
    let name = |row| Finding::Surplus(format!("{INDEX}: row {row}"));
    problems
        .findings
        .extend(missing.into_iter().map(Finding::Missing));
    problems.findings.extend(surplus.into_iter().map(name));
    Ok(problems)
}

/// Returns what was read. Damaged pages become a finding.
fn unless_corrupt<T>(
    read: rusqlite::Result<Vec<T>>,
    path: &str,
    problems: &mut Problems,
) -> rusqlite::Result<Vec<T>> {
    match read {
        Err(error) if is_corrupt(&error) => {
            let finding = Finding::Unreadable(path.to_owned(), error.to_string());
            problems.findings.push(finding);
            Ok(Vec::new())
        }
        read => read,
    }
}

fn integrity_check(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({MAX_PROBLEMS})"))?;
    statement.query_map((), |row| row.get(0))?.collect()
}

/// Returns the sessions of users that the index lacks.
fn missing_entries(connection: &Connection) -> rusqlite::Result<Vec<SessionId>> {
    let sql = "SELECT id FROM sessions AS s NOT INDEXED WHERE user IS NOT NULL AND NOT EXISTS \
        (SELECT 1 FROM sessions AS e INDEXED BY sessions_by_user \
        WHERE e.user = s.user AND e.number = s.number)";
    let mut statement = connection.prepare(sql)?;
    statement.query_map((), |row| id_of(row, 0))?.collect()
}

/// Returns the rows of the index that the table has not, or with another user.
fn surplus_entries(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    let sql = "SELECT number FROM sessions AS e INDEXED BY sessions_by_user \
        WHERE user IS NOT NULL AND NOT EXISTS (SELECT 1 FROM sessions AS s NOT INDEXED \
        WHERE s.number = e.number AND s.user = e.user)";
    let mut statement = connection.prepare(sql)?;
    statement.query_map((), |row| row.get(0))?.collect()
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

fn rebuild_indexes(connection: &Connection) -> Outcome<()> {
    connection.execute_batch("REINDEX sessions")?;
    Ok(Ok(()))
}

fn last_row(connection: &Connection) -> Outcome<i64> {
    let sql = "SELECT coalesce(max(number), 0) FROM sessions";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(Ok(statement.query_row((), |row| row.get(0))?))
}

fn read_page(connection: &Connection, first: i64) -> Outcome<Page> {
    let sql = "SELECT id, version, modified, expires, user, data, number FROM sessions \
        WHERE number >= ?1 ORDER BY number";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([first])?;
    let (mut page, mut rows_read, mut bytes) = (Page::default(), 0, 0);
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(6)?;
        if rows_read == PAGE || bytes > PAGE_BYTES {
            page.next = Some(number);
            break;
        }
        rows_read += 1;
        match session(row) {
            Ok(Ok(session)) => {
                bytes += session.state.size();
                page.sessions.push(session);
            }
            Ok(Err(error)) => {
                page.damaged += 1;
                let finding = Finding::Damaged(id_of(row, 0)?, error.to_string());
                page.findings.push(finding);
            }
            Err(error) if error.sqlite_error_code().is_some() => return Err(error),
            // A value of another type than the table has, from damaged bytes.
            Err(error) => {
                let name = format!("row {number} of sessions");
                page.findings
                    .push(Finding::Unreadable(name, error.to_string()));
            }
        }
    }
    Ok(Ok(page))
}
