//! Sessions as rows.

use session3_store::{SessionId, SessionState, StoreError, StoredSession};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::failure::describe;
use crate::values::{Number, Uuid};

/// Returns the session of a row with the columns `id`, `version`, `modified`, `expires`, `usr`
/// and `data`.
pub fn session(row: &Row) -> Result<StoredSession, StoreError> {
    let user: Option<Vec<u8>> = get(row, 4)?;
    let user = user.map(String::from_utf8).transpose();
    Ok(StoredSession {
        id: id(row)?,
        version: get::<Number>(row, 1)?.0,
        modified: get::<Number>(row, 2)?.0,
        state: SessionState {
            expires: get::<Number>(row, 3)?.0,
            user: user.map_err(|_| StoreError::Corrupt("the user is not UTF-8".into()))?,
            data: get(row, 5)?,
        },
    })
}

/// Returns the ID of a row, which is its first column.
pub fn id(row: &Row) -> Result<SessionId, StoreError> {
    Ok(SessionId::from_bits(get::<Uuid>(row, 0)?.0))
}

/// Returns a column. One of another type than this store writes counts as damaged.
pub fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, StoreError> {
    row.try_get(column)
        .map_err(|error| StoreError::Corrupt(describe(&error)))
}
