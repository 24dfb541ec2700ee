//! A check of values before they become JSON: what JSON would lose, or what could be written
//! and not read again, is refused.

use serde::ser::{self, Serialize};

/// How deep a JSON text may be nested: the reader of `serde_json` refuses more.
const MAX_DEPTH: u32 = 127;

/// Checks that a value is neither infinite or NaN, nor contains such a number, which JSON would
/// turn into `null`; and that it is not nested too deeply.
pub fn check(value: &impl Serialize) -> serde_json::Result<()> {
    value.serialize(Check { depth: 0 })
}

/// A serializer that writes nothing. `depth` is the number of lists and maps around a value.
#[derive(Clone, Copy)]
struct Check {
    depth: u32,
}

impl Check {
    fn finite(number: f64) -> serde_json::Result<()> {
        match number.is_finite() {
            true => Ok(()),
            false => Err(ser::Error::custom(
                "a number is infinite or NaN, which JSON cannot express",
            )),
        }
    }

    fn nested(self) -> serde_json::Result<Self> {
        let depth = self.depth + 1;
        match depth <= MAX_DEPTH {
            true => Ok(Self { depth }),
            false => Err(ser::Error::custom(
                "lists and maps are nested more than 127 deep",
            )),
        }
    }
}

/// Accepts the scalars that JSON expresses exactly.
macro_rules! accept {
    ($($function:ident: $type:ty),*) => {
        $(fn $function(self, _: $type) -> serde_json::Result<()> {
            Ok(())
        })*
    };
}

/// Checks the parts of a list or a map.
macro_rules! check_parts {
    ($($trait:ident: $($function:ident($($key:ty)?)),*;)*) => {
        $(impl ser::$trait for Check {
            type Ok = ();
            type Error = serde_json::Error;

            $(fn $function<T: Serialize + ?Sized>(
                &mut self,
                $(_: $key,)?
                value: &T,
            ) -> serde_json::Result<()> {
                value.serialize(*self)
            })*

            fn end(self) -> serde_json::Result<()> {
                Ok(())
            }
        })*
    };
}

check_parts! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeMap: serialize_key(), serialize_value();
    SerializeStruct: serialize_field(&'static str);
    SerializeStructVariant: serialize_field(&'static str);
}

impl ser::Serializer for Check {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    accept!(
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32,
        serialize_u64: u64, serialize_char: char, serialize_str: &str, serialize_bytes: &[u8],
        serialize_unit_struct: &'static str
    );

    fn serialize_f32(self, number: f32) -> serde_json::Result<()> {
        Self::finite(number.into())
    }

    fn serialize_f64(self, number: f64) -> serde_json::Result<()> {
        Self::finite(number)
    }

    fn serialize_none(self) -> serde_json::Result<()> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> serde_json::Result<()> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> serde_json::Result<()> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
    ) -> serde_json::Result<()> {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> serde_json::Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> serde_json::Result<()> {
        // JSON has a map around it.
        value.serialize(self.nested()?)
    }

    fn serialize_seq(self, _: Option<usize>) -> serde_json::Result<Self> {
        self.nested()
    }

    fn serialize_tuple(self, _: usize) -> serde_json::Result<Self> {
        self.nested()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> serde_json::Result<Self> {
        self.nested()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> serde_json::Result<Self> {
        self.nested()?.nested()
    }

    fn serialize_map(self, _: Option<usize>) -> serde_json::Result<Self> {
        self.nested()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> serde_json::Result<Self> {
        self.nested()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> serde_json::Result<Self> {
        self.nested()?.nested()
    }
}
