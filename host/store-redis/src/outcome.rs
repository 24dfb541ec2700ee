//! What a script returned.

use redis::Value;
use session3_store::StoreError;

use crate::record::damaged;
use crate::server::Answer;

/// What follows the word `ok` in the answer of a script.
pub(crate) struct Outcome {
    values: Vec<Value>,
    /// Whether an earlier attempt may have been carried out.
    pub(crate) is_repeated: bool,
}

/// Reads the answer of a script.
///
/// # Errors
///
/// What the script found instead. After a lost answer, this says nothing about the earlier
/// attempt, so it becomes [`StoreError::Unavailable`].
pub(crate) fn of(answer: Answer) -> Result<Outcome, StoreError> {
    let Value::Array(values) = answer.value else {
        return Err(unexpected());
    };
    let mut values = values.into_iter();
    let word = values.next().and_then(text).ok_or_else(unexpected)?;
    let mut detail = || values.next().and_then(text).unwrap_or_default();
    let error = match word.as_str() {
        "ok" => {
            return Ok(Outcome {
                values: values.collect(),
                is_repeated: answer.is_repeated,
            });
        }
        "corrupt" => return Err(damaged(&detail())),
        _ if answer.is_repeated => return Err(unknown()),
        "exists" => StoreError::Exists,
        "absent" => StoreError::Absent,
        "conflict" => match detail().parse() {
            Ok(version) => StoreError::Conflict(version),
            Err(_) => damaged("its version is not a number"),
        },
        _ => unexpected(),
    };
    Err(error)
}

impl Outcome {
    /// Returns the numbers that the script returned.
    pub(crate) fn numbers<const N: usize>(self) -> Result<[u64; N], StoreError> {
        let number = |value| match value {
            Value::Int(number) => u64::try_from(number).ok(),
            _ => None,
        };
        let numbers: Option<Vec<_>> = self.values.into_iter().map(number).collect();
        let numbers = numbers.and_then(|numbers| numbers.try_into().ok());
        numbers.ok_or_else(unexpected)
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// Returns the error of a change whose answer was lost, if the session does not show that the
/// change was made.
pub(crate) fn unknown() -> StoreError {
    let why = "the connection ended before the answer, and the session has not, or no longer, \
        what was written";
    StoreError::Unavailable(why.into())
}

pub(crate) fn unexpected() -> StoreError {
    StoreError::Unavailable("the server returned something unexpected".into())
}
