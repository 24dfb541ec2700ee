//! The statements of each operation. Changes run within a transaction of the writing thread.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use session3_store::{
    PageBuilder, SessionId, SessionPage, SessionState, StoreError, StoredSession, Timestamp,
    Version,
};

use crate::threads::Outcome;

/// An unsigned number, which SQLite does not have. Numbers from 2⁶³ are stored as negative ones.
pub struct Unsigned(pub u64);

impl ToSql for Unsigned {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.cast_signed().into())
    }
}

/// An ID as SQLite stores it, in the order of IDs.
pub fn key(id: &SessionId) -> [u8; 16] {
    #[expect(clippy::big_endian_bytes, reason = "bytes must sort as the numbers do")]
    id.to_bits().to_be_bytes()
}

pub fn id_of(row: &Row<'_>, column: usize) -> rusqlite::Result<SessionId> {
    #[expect(clippy::big_endian_bytes, reason = "bytes must sort as the numbers do")]
    let bits = u128::from_be_bytes(row.get(column)?);
    Ok(SessionId::from(bits))
}

pub fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

pub fn create(connection: &Connection, session: &StoredSession) -> Outcome<Version> {
    let sql = "INSERT INTO sessions (id, version, modified, expires, user, data) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING";
    let created = connection.prepare_cached(sql)?.execute(params![
        key(&session.id),
        Unsigned(session.version),
        Unsigned(session.modified),
        Unsigned(session.state.expires),
        session.state.user.as_deref().map(str::as_bytes),
        session.state.data,
    ])?;
    Ok(match created {
        0 => Err(StoreError::Exists),
        _ => Ok(session.version),
    })
}

/// Replaces a session if its version is `expected`, and returns its new version.
pub fn replace(
    connection: &Connection,
    session: &StoredSession,
    expected: Version,
) -> Outcome<Version> {
    let sql = "UPDATE sessions \
        SET version = ?3, modified = ?4, expires = ?5, user = ?6, data = ?7 \
        WHERE id = ?1 AND version = ?2";
    let replaced = connection.prepare_cached(sql)?.execute(params![
        key(&session.id),
        Unsigned(expected),
        Unsigned(session.version),
        Unsigned(session.modified),
        Unsigned(session.state.expires),
        session.state.user.as_deref().map(str::as_bytes),
        session.state.data,
    ])?;
    match replaced {
        0 => Ok(Err(refusal(connection, &session.id)?)),
        _ => Ok(Ok(session.version)),
    }
}

/// Saves a session if its version is `expected`, and returns its new version.
pub fn save(
    connection: &Connection,
    id: &SessionId,
    state: SessionState,
    expected: Version,
    now: Timestamp,
) -> Outcome<Version> {
    let Some(version) = expected.checked_add(1) else {
        return Ok(Err(match refusal(connection, id)? {
            StoreError::Conflict(Version::MAX) => {
                StoreError::Corrupt("it has the last number that there is".into())
            }
            error => error,
        }));
    };
    let session = StoredSession {
        id: *id,
        version,
        modified: now,
        state,
    };
    replace(connection, &session, expected)
}

pub fn touch(
    connection: &Connection,
    id: &SessionId,
    expires: Timestamp,
    expected: Version,
    now: Timestamp,
) -> Outcome<()> {
    let sql = "UPDATE sessions SET modified = ?3, expires = ?4 WHERE id = ?1 AND version = ?2";
    let touched = connection.prepare_cached(sql)?.execute(params![
        key(id),
        Unsigned(expected),
        Unsigned(now),
        Unsigned(expires),
    ])?;
    match touched {
        0 => Ok(Err(refusal(connection, id)?)),
        _ => Ok(Ok(())),
    }
}

/// Returns why a session does not have the expected version.
fn refusal(connection: &Connection, id: &SessionId) -> rusqlite::Result<StoreError> {
    let sql = "SELECT version FROM sessions WHERE id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let version = statement.query_row([key(id)], |row| unsigned(row, 0));
    Ok(match version.optional()? {
        Some(version) => StoreError::Conflict(version),
        None => StoreError::Absent,
    })
}

pub fn delete(connection: &Connection, id: &SessionId) -> Outcome<bool> {
    let mut statement = connection.prepare_cached("DELETE FROM sessions WHERE id = ?1")?;
    Ok(Ok(statement.execute([key(id)])? > 0))
}

pub fn load(connection: &Connection, id: &SessionId) -> Outcome<Option<StoredSession>> {
    let sql = "SELECT id, version, modified, expires, user, data FROM sessions WHERE id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([key(id)])?;
    match rows.next()? {
        Some(row) => Ok(session(row)?.map(Some)),
        None => Ok(Ok(None)),
    }
}

/// Returns the session in a row of `id, version, modified, expires, user, data`.
pub fn session(row: &Row<'_>) -> Outcome<StoredSession> {
    let user = match user(row, 4)? {
        Ok(user) => user.map(str::to_owned),
        Err(error) => return Ok(Err(error)),
    };
    let state = SessionState {
        user,
        expires: unsigned(row, 3)?,
        data: row.get(5)?,
    };
    Ok(Ok(StoredSession {
        id: id_of(row, 0)?,
        version: unsigned(row, 1)?,
        modified: unsigned(row, 2)?,
        state,
    }))
}

/// Returns the user in a column. Another program may have written other bytes than UTF-8.
pub fn user<'a>(row: &'a Row<'_>, column: usize) -> Outcome<Option<&'a str>> {
    let damaged = |_| StoreError::Corrupt("the user is not UTF-8".into());
    Ok(match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        value => str::from_utf8(value.as_blob()?).map(Some).map_err(damaged),
    })
}

pub fn page(connection: &Connection, first: &SessionId, limit: u32) -> Outcome<SessionPage> {
    let sql = "SELECT id, version, modified, expires, user, data FROM sessions \
        WHERE id >= ?1 ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([key(first)])?;
    let mut page = PageBuilder::new(limit);
    while let Some(row) = rows.next()? {
        match page.add(&id_of(row, 0)?, session(row)?.map(Some)) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(page.finish()))
}

pub fn of_user(connection: &Connection, user: &str) -> Outcome<Vec<SessionId>> {
    let mut statement = connection.prepare_cached("SELECT id FROM sessions WHERE user = ?1")?;
    let ids = statement.query_map([user.as_bytes()], |row| id_of(row, 0))?;
    Ok(Ok(ids.collect::<rusqlite::Result<_>>()?))
}
