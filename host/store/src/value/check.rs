//! The conversion of scalars, and a check of everything else before it becomes JSON: what JSON
//! would lose, or what could be written and not read again, is refused.

use serde::ser::{self, Error as _, Serialize};
use serde_json::{Error, Result};

use super::Value;

/// How deep a JSON text may be nested: the reader of `serde_json` refuses more.
const MAX_DEPTH: u32 = 127;

/// A serializer whose result is the value of a scalar, and `None` for what becomes JSON.
#[derive(Clone, Copy, Default)]
pub struct Check {
    /// The number of lists and maps around the value.
    depth: u32,
    /// Whether the value is that of an option.
    is_in_option: bool,
}

impl Check {
    /// Returns a scalar. Within a list or a map, nothing needs it.
    fn scalar(self, value: impl FnOnce() -> Value) -> Result<Option<Value>> {
        Ok((self.depth == 0).then(value))
    }

    fn number(self, number: f64) -> Result<Option<Value>> {
        match number.is_finite() {
            true => self.scalar(|| Value::Number(number)),
            false => Err(Error::custom(
                "a number is infinite or NaN, which JSON cannot express",
            )),
        }
    }

    fn text(self, text: &str) -> Result<Option<Value>> {
        self.scalar(|| Value::Text(text.to_owned()))
    }

    fn null(self) -> Result<Option<Value>> {
        match self.is_in_option {
            false => Ok(None),
            true => Err(Error::custom(
                "an option contains nothing but an empty value, which JSON cannot tell from an \
                 empty option",
            )),
        }
    }

    /// Returns the check for the parts of a list or a map.
    fn nested(self) -> Result<Self> {
        let depth = self.depth + 1;
        let is_in_option = false;
        match depth <= MAX_DEPTH {
            true => Ok(Self {
                depth,
                is_in_option,
            }),
            false => Err(Error::custom(
                "lists and maps are nested more than 127 deep",
            )),
        }
    }
}

/// Checks the key of a map.
fn check_key<T: Serialize + ?Sized>(key: &T) -> Result<()> {
    match key.serialize(Check::default())? {
        Some(Value::Text(_)) => Ok(()),
        _ => Err(Error::custom(
            "the keys of a map are no texts, which JSON cannot express",
        )),
    }
}

/// Converts the integers that an `i64` can hold.
macro_rules! integers {
    ($($function:ident: $type:ty),*) => {
        $(fn $function(self, value: $type) -> Result<Option<Value>> {
            match i64::try_from(value) {
                Ok(value) => self.scalar(|| Value::Integer(value)),
                Err(_) => Ok(None),
            }
        })*
    };
}

/// Checks the parts of a list or a map.
macro_rules! parts {
    ($($trait:ident: $function:ident($($key:ty)?);)*) => {
        $(impl ser::$trait for Check {
            type Ok = Option<Value>;
            type Error = Error;

            fn $function<T: Serialize + ?Sized>(&mut self, $(_: $key,)? part: &T) -> Result<()> {
                part.serialize(*self).map(|_| ())
            }

            fn end(self) -> Result<Option<Value>> {
                Ok(None)
            }
        })*
    };
}

parts! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeStruct: serialize_field(&'static str);
    SerializeStructVariant: serialize_field(&'static str);
}

impl ser::SerializeMap for Check {
    type Ok = Option<Value>;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        check_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        value.serialize(*self).map(|_| ())
    }

    fn end(self) -> Result<Option<Value>> {
        Ok(None)
    }
}

impl ser::Serializer for Check {
    type Ok = Option<Value>;
    type Error = Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    integers!(
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64
    );

    fn serialize_bool(self, value: bool) -> Result<Option<Value>> {
        self.scalar(|| Value::Boolean(value))
    }

    fn serialize_f32(self, number: f32) -> Result<Option<Value>> {
        self.number(number.into())
    }

    fn serialize_f64(self, number: f64) -> Result<Option<Value>> {
        self.number(number)
    }

    fn serialize_char(self, character: char) -> Result<Option<Value>> {
        self.text(character.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result<Option<Value>> {
        self.text(text)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Option<Value>> {
        self.scalar(|| Value::Bytes(bytes.to_owned()))
    }

    fn serialize_none(self) -> Result<Option<Value>> {
        self.null()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Option<Value>> {
        value.serialize(Self {
            is_in_option: true,
            ..self
        })
    }

    fn serialize_unit(self) -> Result<Option<Value>> {
        self.null()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Option<Value>> {
        self.null()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Option<Value>> {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Option<Value>> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<Option<Value>> {
        // JSON has a map around it.
        value.serialize(self.nested()?).map(|_| None)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self> {
        self.nested()
    }

    fn serialize_tuple(self, _: usize) -> Result<Self> {
        self.nested()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self> {
        self.nested()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self> {
        self.nested()?.nested()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self> {
        self.nested()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self> {
        self.nested()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self> {
        self.nested()?.nested()
    }
}
