//! The values of columns that tokio-postgres does not convert: session IDs, nonces, and
//! numbers up to [`u64::MAX`].

use std::error::Error;

use bytes::{Buf, BufMut, BytesMut};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

type Failure = Box<dyn Error + Sync + Send>;

/// A session ID or a nonce, as a `uuid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uuid(pub u128);

impl ToSql for Uuid {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        out.put_u128(self.0);
        Ok(IsNull::No)
    }

    fn accepts(type_: &Type) -> bool {
        *type_ == Type::UUID
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Uuid {
    fn from_sql(_: &Type, mut raw: &'a [u8]) -> Result<Self, Failure> {
        match raw.len() {
            16 => Ok(Self(raw.get_u128())),
            _ => Err("a uuid has 16 bytes".into()),
        }
    }

    fn accepts(type_: &Type) -> bool {
        *type_ == Type::UUID
    }
}

/// A version or a time, as a `numeric`: a `bigint` has no room for [`u64::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(pub u64);

/// The protocol sends a `numeric` in digits to this base.
const BASE: u64 = 10_000;

impl ToSql for Number {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        let mut digits = Vec::with_capacity(5);
        let mut rest = self.0;
        while rest > 0 {
            digits.push((rest % BASE) as u16);
            rest /= BASE;
        }
        let count = digits.len() as u16;
        out.put_u16(count);
        // The exponent of the first digit.
        out.put_u16(count.saturating_sub(1));
        out.put_u16(0);
        out.put_u16(0);
        digits.iter().rev().for_each(|digit| out.put_u16(*digit));
        Ok(IsNull::No)
    }

    fn accepts(type_: &Type) -> bool {
        *type_ == Type::NUMERIC
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Number {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        parse_numeric(raw).ok_or_else(|| "the number is none from 0 to 2^64 - 1".into())
    }

    fn accepts(type_: &Type) -> bool {
        *type_ == Type::NUMERIC
    }
}

fn parse_numeric(mut raw: &[u8]) -> Option<Number> {
    let mut next = || raw.try_get_u16().ok();
    let (count, exponent, sign, _scale) = (next()?, next()?, next()?, next()?);
    let mut number = 0_u64;
    if count > 0 && (sign != 0 || exponent > 4 || count > exponent + 1) {
        return None;
    }
    if sign != 0 {
        return None;
    }
    let places = if count == 0 { 0 } else { exponent + 1 };
    for place in 0..places {
        // Trailing zeros are not sent.
        let digit = if place < count { next()? } else { 0 };
        number = number.checked_mul(BASE)?.checked_add(digit.into())?;
    }
    Some(Number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(number: u64) -> BytesMut {
        let mut bytes = BytesMut::new();
        Number(number)
            .to_sql(&Type::NUMERIC, &mut bytes)
            .expect("a number is encoded");
        bytes
    }

    #[test]
    fn numbers_read_back_as_they_were_written() {
        let powers = (0..20).map(|power| 10_u64.pow(power));
        let near = powers.flat_map(|power| [power - 1, power, power + 1]);
        for number in near.chain([u64::MAX, u64::MAX - 1]) {
            assert_eq!(parse_numeric(&encoded(number)), Some(Number(number)));
        }
    }

    #[test]
    fn trailing_zeros_need_not_be_sent() {
        let bytes = [0, 1, 0, 2, 0, 0, 0, 0, 0, 7];
        assert_eq!(parse_numeric(&bytes), Some(Number(700_000_000)));
    }

    #[test]
    fn other_numbers_are_refused() {
        let fraction = [0, 2, 0, 0, 0, 0, 0, 1, 0, 1, 0x13, 0x88];
        let negative = [0, 1, 0, 0, 0x40, 0, 0, 0, 0, 1];
        let nan = [0, 0, 0, 0, 0xc0, 0, 0, 0];
        let large = [0, 1, 0, 4, 0, 0, 0, 0, 0x27, 0x0f];
        for bytes in [&fraction[..], &negative, &nan, &large, &[], &[0, 1, 0, 0]] {
            assert_eq!(parse_numeric(bytes), None, "{bytes:?}");
        }
    }
}
