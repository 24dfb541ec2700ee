//! The values of attributes in the bindings and in the crate `session3-store`.

use session3_store::value::Value;

use crate::bindings::session3::sessions::session_types::Value as Wit;

impl From<Value> for Wit {
    fn from(value: Value) -> Self {
        match value {
            Value::Boolean(value) => Self::Boolean(value),
            Value::Integer(value) => Self::Integer(value),
            Value::Number(value) => Self::Number(value),
            Value::Text(value) => Self::Text(value),
            Value::Bytes(value) => Self::Bytes(value),
            Value::Json(text) => Self::Json(text),
        }
    }
}

impl From<Wit> for Value {
    fn from(value: Wit) -> Self {
        match value {
            Wit::Boolean(value) => Self::Boolean(value),
            Wit::Integer(value) => Self::Integer(value),
            Wit::Number(value) => Self::Number(value),
            Wit::Text(value) => Self::Text(value),
            Wit::Bytes(value) => Self::Bytes(value),
            Wit::Json(text) => Self::Json(text),
        }
    }
}
