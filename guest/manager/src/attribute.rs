//! The value of an attribute, and sums of attributes.

use serde::Serialize;

use crate::bindings::exports::session3::sessions::manager::SessionError;
use crate::bindings::session3::sessions::session_types::Value;
use crate::encoding::{DecodeError, Input};

/// An attribute's value. It has an encoding of its own, so that a change of the WIT cannot
/// change stored bytes.
#[derive(Clone, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub enum Attribute {
    /// True or false.
    Boolean(bool),
    /// An integer, to which `add` can add.
    Integer(i64),
    /// A floating-point number.
    Number(f64),
    /// A text.
    Text(String),
    /// A list of bytes.
    Bytes(Vec<u8>),
    /// A JSON text.
    Json(String),
}

impl Attribute {
    /// Decodes the value. The numbers are those that `Serialize` gives to the variants.
    pub fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(match input.value::<u32>()? {
            0 => Self::Boolean(input.value()?),
            1 => Self::Integer(input.value()?),
            2 => Self::Number(input.value()?),
            3 => Self::Text(input.text()?),
            4 => Self::Bytes(input.bytes()?),
            5 => Self::Json(input.text()?),
            _ => return Err(DecodeError::Damaged("an attribute is of no known kind")),
        })
    }
}

impl From<Value> for Attribute {
    fn from(value: Value) -> Self {
        match value {
            Value::Boolean(v) => Self::Boolean(v),
            Value::Integer(v) => Self::Integer(v),
            Value::Number(v) => Self::Number(v),
            Value::Text(v) => Self::Text(v),
            Value::Bytes(v) => Self::Bytes(v),
            Value::Json(v) => Self::Json(v),
        }
    }
}

impl From<Attribute> for Value {
    fn from(attribute: Attribute) -> Self {
        match attribute {
            Attribute::Boolean(v) => Self::Boolean(v),
            Attribute::Integer(v) => Self::Integer(v),
            Attribute::Number(v) => Self::Number(v),
            Attribute::Text(v) => Self::Text(v),
            Attribute::Bytes(v) => Self::Bytes(v),
            Attribute::Json(v) => Self::Json(v),
        }
    }
}

/// Returns the sum of `delta` and the attribute called `name`. An absent attribute counts
/// as 0.
///
/// # Errors
///
/// `invalid` if the attribute is not an integer, or if the sum does not fit into one.
pub fn sum(attribute: Option<&Attribute>, delta: i128, name: &str) -> Result<i64, SessionError> {
    let before = match attribute {
        None => 0,
        Some(Attribute::Integer(value)) => *value,
        Some(_) => {
            return Err(invalid(
                name,
                "it is not an integer, so nothing was added: set it to an integer first",
            ));
        }
    };
    delta
        .checked_add(before.into())
        .and_then(|sum| i64::try_from(sum).ok())
        .ok_or_else(|| {
            invalid(
                name,
                "the sum does not fit into a signed 64-bit integer: add less",
            )
        })
}

/// Returns an error which says why the attribute called `name` was not changed.
pub fn invalid(name: &str, why: &str) -> SessionError {
    SessionError::Invalid(["attribute \"", name, "\": ", why].concat())
}
