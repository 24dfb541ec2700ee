//! Conversion of attributes between Rust's types and those of the contract, by way of JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::bindings::session3::sessions::session_types::Value;
use crate::checked::check;

/// Converts a Rust value: a boolean, a number or a text as such, anything else as JSON.
///
/// # Errors
///
/// If JSON would lose a part of the value, or it could not be read again: see [`check`].
pub fn to_value(value: &impl Serialize) -> serde_json::Result<Value> {
    check(value)?;
    Ok(match serde_json::to_value(value)? {
        Json::Bool(value) => Value::Boolean(value),
        Json::String(value) => Value::Text(value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(value), _) => Value::Integer(value),
            (None, Some(value)) if !number.is_u64() => Value::Number(value),
            _ => Value::Json(number.to_string()),
        },
        json => Value::Json(json.to_string()),
    })
}

/// Converts to a Rust value.
pub fn from_value<T: DeserializeOwned>(value: Value) -> serde_json::Result<T> {
    serde_json::from_value(to_json(value)?)
}

/// Converts to JSON. Bytes become an array of numbers.
pub fn to_json(value: Value) -> serde_json::Result<Json> {
    Ok(match value {
        Value::Boolean(value) => value.into(),
        Value::Integer(value) => value.into(),
        Value::Number(value) => value.into(),
        Value::Text(value) => value.into(),
        Value::Bytes(value) => value.into(),
        Value::Json(text) => serde_json::from_str(&text)?,
    })
}
