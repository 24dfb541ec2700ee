//! Sessions as rows, and the values of rows.

use mysql_async::prelude::FromValue;
use mysql_async::{Row, Value};
use session3_store::{SessionId, SessionState, StoreError, StoredSession};
use sha2::{Digest as _, Sha256};

/// Returns a session ID or a random number as the bytes of its column, whose hexadecimal digits
/// are those of the ID: an operator finds a session with `WHERE id = UNHEX('…')`.
#[expect(clippy::big_endian_bytes, reason = "the order of the digits")]
pub fn binary(number: u128) -> Value {
    Value::Bytes(number.to_be_bytes().into())
}

/// Returns the value of the index by user.
pub fn hash(user: impl AsRef<[u8]>) -> Vec<u8> {
    Sha256::digest(user).to_vec()
}

/// Returns the session of a row with the columns `id`, `version`, `modified`, `expires`, `usr`
/// and `data`.
pub fn session(row: &Row) -> Result<StoredSession, StoreError> {
    let user: Option<Vec<u8>> = get(row, 4)?;
    let user = user.map(String::from_utf8).transpose();
    Ok(StoredSession {
        id: id(row)?,
        version: get(row, 1)?,
        modified: get(row, 2)?,
        state: SessionState {
            expires: get(row, 3)?,
            user: user.map_err(|_| StoreError::Corrupt("the user is not UTF-8".into()))?,
            data: get(row, 5)?,
        },
    })
}

/// Returns the ID of a row, which is its first column.
pub fn id(row: &Row) -> Result<SessionId, StoreError> {
    number(row, 0).map(SessionId::from_bits)
}

/// Returns what [`binary`] wrote.
#[expect(clippy::big_endian_bytes, reason = "the order of the digits")]
pub fn number(row: &Row, column: usize) -> Result<u128, StoreError> {
    let bytes: Vec<u8> = get(row, column)?;
    let bytes = bytes.try_into();
    let bytes = bytes.map_err(|_| StoreError::Corrupt("an ID has not 16 bytes".into()))?;
    Ok(u128::from_be_bytes(bytes))
}

/// Returns a column. One of another type than this store writes counts as damaged.
pub fn get<T: FromValue>(row: &Row, column: usize) -> Result<T, StoreError> {
    let damaged = || {
        let columns = row.columns_ref();
        let name = columns.get(column).map(|column| column.name_str());
        let name = name.unwrap_or_default();
        StoreError::Corrupt(format!("the column `{name}` has an unknown value"))
    };
    match row.get_opt(column) {
        Some(Ok(value)) => Ok(value),
        Some(Err(_)) | None => Err(damaged()),
    }
}
