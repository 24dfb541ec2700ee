//! The hash of a session, as the server returns its fields.

use redis::{Cmd, Value};
use session3_store::{SessionId, SessionState, StoreError, StoredSession};

use crate::keys::user_hash;

/// Returns the command that reads a session.
pub(crate) fn load(key: &str) -> Cmd {
    let mut command = redis::cmd("HMGET");
    command.arg(key).arg(&["v", "m", "e", "u", "d"]);
    command
}

/// Reads the reply to [`load`]. `None` if there is no such session.
pub(crate) fn loaded(id: &SessionId, reply: Value) -> Result<Option<StoredSession>, StoreError> {
    let [version, modified, expires, user, data] = fields(reply)?;
    let times = [&version, &modified, &expires];
    if times.iter().all(|field| field.is_none()) && user.is_none() && data.is_none() {
        return Ok(None);
    }
    let user = user.map(String::from_utf8).transpose();
    Ok(Some(StoredSession {
        id: *id,
        version: number(version, "version")?,
        modified: number(modified, "modification time")?,
        state: SessionState {
            user: user.map_err(|_| damaged("its user is not UTF-8"))?,
            expires: number(expires, "expiry")?,
            data: data.ok_or_else(|| damaged("it has no data"))?,
        },
    }))
}

/// Returns the command that reads whose session this is.
pub(crate) fn load_owner(key: &str) -> Cmd {
    let mut command = redis::cmd("HMGET");
    command.arg(key).arg(&["v", "m", "e", "i"]);
    command
}

/// Reads the reply to [`load_owner`]: whether the session is whole and belongs to the user.
pub(crate) fn belongs_to(user: &str, reply: Value) -> bool {
    let Ok([version, modified, expires, hash]) = fields(reply) else {
        return false;
    };
    let is_whole = [version, modified, expires]
        .into_iter()
        .all(|field| number(field, "field").is_ok());
    is_whole && hash.is_some_and(|hash| hash == user_hash(user))
}

fn fields<const N: usize>(reply: Value) -> Result<[Option<Vec<u8>>; N], StoreError> {
    let Value::Array(values) = reply else {
        return Err(damaged("the server returned no list of fields"));
    };
    let fields = values.into_iter().map(|value| match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    });
    let fields: Vec<_> = fields.collect();
    fields
        .try_into()
        .map_err(|_| damaged("the server returned another number of fields"))
}

fn number(field: Option<Vec<u8>>, name: &str) -> Result<u64, StoreError> {
    let number = field.and_then(|digits| {
        // A sign is none of the digits that scripts compare.
        let is_digits = digits.iter().all(u8::is_ascii_digit);
        let digits = String::from_utf8(digits).ok().filter(|_| is_digits)?;
        digits.parse().ok()
    });
    number.ok_or_else(|| damaged(&format!("its {name} is not a number")))
}

/// Returns the error of a session that exists but cannot be read.
pub(crate) fn damaged(how: &str) -> StoreError {
    StoreError::Corrupt(how.into())
}

/// Returns whether the server refused a command because the key has another type.
pub(crate) fn is_of_another_type(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(why) if why.contains("WRONGTYPE"))
}
