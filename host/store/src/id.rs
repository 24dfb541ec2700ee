//! Session IDs, which are checked before anything is done with them.

use std::fmt;
use std::str::FromStr;

use crate::StoreError;

/// The name of one session: 128 bits, written as 32 lower-case hexadecimal digits.
///
/// Parsing accepts nothing else, so an ID that a client sent is safe as a file name.
/// The ID is a handle: knowing it opens nothing, and it may be logged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u128);

impl SessionId {
    /// Creates an ID from a number.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// Returns the ID as a number.
    pub fn to_bits(self) -> u128 {
        self.0
    }

    /// Returns the first two digits as a number, from 0 to 255.
    pub fn prefix(self) -> u8 {
        (self.0 >> 120) as u8
    }
}

impl From<u128> for SessionId {
    fn from(bits: u128) -> Self {
        Self(bits)
    }
}

impl FromStr for SessionId {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return Err(StoreError::InvalidId);
        }
        u128::from_str_radix(text, 16)
            .map(Self::from)
            .map_err(|_| StoreError::InvalidId)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.to_bits())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        for text in [
            "00000000000000000000000000000000",
            "0123456789abcdef0123456789abcdef",
            "ffffffffffffffffffffffffffffffff",
        ] {
            let id: SessionId = text.parse().expect("a good ID");
            assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn nothing_else_is_an_id() {
        let good = "0123456789abcdef0123456789abcdef";
        let bad = [
            String::new(),
            "../x".into(),
            "/dev/null".into(),
            format!("{good}0"),
            good[1..].into(),
            good.to_uppercase(),
            good.replace('0', "\0"),
            good.replace('0', "g"),
            good.replace("01", "/."),
            format!("+{}", &good[1..]),
            format!(" {}", &good[1..]),
            "é".repeat(16),
        ];
        for text in bad {
            assert_eq!(SessionId::from_str(&text), Err(StoreError::InvalidId));
        }
    }
}
