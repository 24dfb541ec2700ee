//! The values of attributes in the bindings, in the crate `session3-store` and in JSON.

use serde_json::Value as Json;

use crate::bindings::session3::sessions::session_types::Value as Wit;

session3_store::convert_value_bindings!(Wit);

/// Converts to JSON. Bytes become an array of numbers.
pub fn to_json(value: Wit) -> serde_json::Result<Json> {
    Ok(match value {
        Wit::Boolean(value) => value.into(),
        Wit::Integer(value) => value.into(),
        Wit::Number(value) => value.into(),
        Wit::Text(value) => value.into(),
        Wit::Bytes(value) => value.into(),
        Wit::Json(text) => serde_json::from_str(&text)?,
    })
}
