//! Attributes as values of Rust types, by way of [`serde`]: the one conversion that native
//! programs and guests use, so that each reads exactly what the other has set.
//!
//! | Rust | [`Value`] |
//! | --- | --- |
//! | `bool` | `Boolean` |
//! | an integer that an `i64` can hold | `Integer` |
//! | `f32`, `f64` | `Number` |
//! | `&str`, `String`, `char`, a variant without fields | `Text` |
//! | bytes, by way of the crate `serde_bytes` | `Bytes` |
//! | `Some(value)`, a newtype | as the value in it |
//! | everything else: structs, lists, maps, `None`, larger integers | `Json` |
//!
//! A value that JSON could not give back as it was is refused.

mod check;
mod scalar;

use serde::Serialize;
use serde::de::DeserializeOwned;

use check::Check;
use scalar::Scalar;

/// The value of an attribute, as `value` in the interface `session3:sessions/session-types`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// True or false.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A finite number.
    Number(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A JSON text.
    Json(String),
}

/// Converts a value of a Rust type, as the table of this module says.
///
/// ```
/// use session3_store::value::{Value, to_value};
///
/// assert_eq!(to_value("dark")?, Value::Text("dark".into()));
/// assert_eq!(to_value(&["a", "b"])?, Value::Json(r#"["a","b"]"#.into()));
/// assert!(to_value(&[f64::NAN]).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # Errors
///
/// If JSON cannot express the value: an infinite number or NaN, a map whose keys are no texts,
/// an empty option within an option, an integer of 128 bits, or lists and maps that are nested
/// more than 127 deep. Also if the type refuses to be serialized.
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Value> {
    match value.serialize(Check::default())? {
        Some(scalar) => Ok(scalar),
        None => serde_json::to_string(value).map(Value::Json),
    }
}

/// Converts to a Rust type.
///
/// ```
/// use session3_store::value::{Value, from_value};
///
/// assert_eq!(from_value::<u8>(Value::Integer(7))?, 7);
/// assert!(from_value::<u8>(Value::Integer(256)).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # Errors
///
/// If the value is of another type, or the type cannot hold it exactly.
pub fn from_value<T: DeserializeOwned>(value: Value) -> serde_json::Result<T> {
    T::deserialize(match value {
        Value::Boolean(value) => Scalar::Boolean(value),
        Value::Integer(value) => Scalar::Integer(value),
        Value::Number(value) => Scalar::Number(value),
        Value::Text(text) => Scalar::Text(text),
        Value::Bytes(bytes) => Scalar::Bytes(bytes),
        Value::Json(text) => return serde_json::from_str(&text),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    use serde::Deserialize;
    use serde_bytes::ByteBuf;

    use super::*;

    /// Checks that a value becomes `expected`, and comes back as it was.
    #[track_caller]
    fn assert_both_ways<T>(value: T, expected: Value)
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        assert_eq!(to_value(&value).expect("accepted"), expected);
        assert_eq!(from_value::<T>(expected).expect("read again"), value);
    }

    fn json(text: &str) -> Value {
        Value::Json(text.into())
    }

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Item {
        name: String,
        price: f64,
        picture: ByteBuf,
        note: Option<String>,
    }

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    enum Theme {
        Dark,
        Custom { hue: u8 },
        Named(String),
    }

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Meters(f32);

    #[test]
    fn scalars_keep_their_type() {
        assert_both_ways(true, Value::Boolean(true));
        assert_both_ways(i64::MIN, Value::Integer(i64::MIN));
        assert_both_ways(200_u8, Value::Integer(200));
        assert_both_ways(i64::MAX as u64, Value::Integer(i64::MAX));
        assert_both_ways(-0.0, Value::Number(-0.0));
        assert_both_ways(1.0, Value::Number(1.0));
        assert_both_ways(0.1_f32, Value::Number(0.1_f32.into()));
        assert_both_ways(String::new(), Value::Text(String::new()));
        assert_both_ways('é', Value::Text("é".into()));
        assert_both_ways(ByteBuf::from([0, 255]), Value::Bytes(vec![0, 255]));
        assert_both_ways(Theme::Dark, Value::Text("Dark".into()));
        assert_both_ways(Meters(1.5), Value::Number(1.5));
        assert_both_ways(Some(7), Value::Integer(7));
        assert_both_ways(Some(ByteBuf::from([1])), Value::Bytes(vec![1]));
    }

    #[test]
    fn everything_else_becomes_json() {
        let above = i64::MAX as u64 + 1;
        assert_both_ways(above, json("9223372036854775808"));
        assert_both_ways(None::<String>, json("null"));
        assert_both_ways((), json("null"));
        assert_both_ways(vec![1, 2], json("[1,2]"));
        assert_both_ways((1, 'a'), json("[1,\"a\"]"));
        assert_both_ways(Theme::Custom { hue: 9 }, json(r#"{"Custom":{"hue":9}}"#));
        assert_both_ways(Theme::Named("x".into()), json(r#"{"Named":"x"}"#));
        let map = BTreeMap::from([("a".to_owned(), 1)]);
        assert_both_ways(map, json(r#"{"a":1}"#));
        let item = Item {
            name: "tea".into(),
            // A number with 17 significant digits.
            price: 122.416_294_033_786_58,
            picture: ByteBuf::from([1, 2]),
            note: None,
        };
        let text = r#"{"name":"tea","price":122.41629403378658,"picture":[1,2],"note":null}"#;
        assert_both_ways(item, json(text));
    }

    #[test]
    fn what_json_would_change_is_refused() {
        let deep =
            |depth| (1..depth).fold(json("[]"), |inner, _| json(&format!("[{}]", text(inner))));
        let parsed = |value| from_value::<serde_json::Value>(value).expect("127 levels are read");
        let level = parsed(deep(127));
        assert_eq!(to_value(&level).expect("accepted"), deep(127));
        let refused = [
            to_value(&f64::NAN),
            to_value(&f32::INFINITY),
            to_value(&Some([f64::NEG_INFINITY])),
            to_value(&BTreeMap::from([("a", f64::NAN)])),
            to_value(&BTreeMap::from([(1, "a")])),
            to_value(&BTreeMap::from([(true, "a")])),
            to_value(&Some(None::<i32>)),
            to_value(&[Some(())]),
            to_value(&1_i128),
            to_value(&[level]),
        ];
        for value in refused {
            assert!(value.is_err(), "{value:?}");
        }
    }

    fn text(value: Value) -> String {
        match value {
            Value::Json(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_of_other_languages_are_read_exactly_or_not_at_all() {
        assert_eq!(from_value::<f64>(Value::Integer(3)).expect("exact"), 3.0);
        assert_eq!(from_value::<f64>(json("3")).expect("exact"), 3.0);
        assert_eq!(
            from_value::<Vec<u8>>(Value::Bytes(vec![1])).expect("bytes"),
            [1]
        );
        assert_eq!(
            from_value::<[u8; 2]>(Value::Bytes(vec![1, 2])).expect("bytes"),
            [1, 2]
        );
        let refused = [
            from_value::<f64>(Value::Integer((1 << 53) + 1)).map(|_| ()),
            from_value::<f64>(Value::Integer(i64::MAX)).map(|_| ()),
            from_value::<f32>(Value::Integer((1 << 24) + 1)).map(|_| ()),
            from_value::<f32>(Value::Number(0.1)).map(|_| ()),
            from_value::<i64>(Value::Number(1.0)).map(|_| ()),
            from_value::<u64>(Value::Integer(-1)).map(|_| ()),
            from_value::<String>(Value::Integer(1)).map(|_| ()),
            from_value::<[u8; 2]>(Value::Bytes(vec![1, 2, 3])).map(|_| ()),
            from_value::<Theme>(Value::Text("Light".into())).map(|_| ()),
            from_value::<i64>(json("1 2")).map(|_| ()),
            from_value::<i64>(json("")).map(|_| ()),
        ];
        for value in refused {
            assert!(value.is_err(), "{value:?}");
        }
    }
}
