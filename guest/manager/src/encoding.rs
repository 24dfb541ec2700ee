//! bincode's standard encoding of values, and the errors of decoding it.
//!
//! serde writes the values. Functions of our own read them, because serde would read a
//! hash byte by byte, and would add 6 kB to the component.

use bincode::BorrowDecode;
use bincode::config::Configuration;
use bincode::de::read::{Reader, SliceReader};
use bincode::de::{Decoder, DecoderImpl};
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use serde::Serialize;

const ENCODING: Configuration = bincode::config::standard();
/// A number of bytes that few states exceed.
const USUAL_SIZE: usize = 1024;
/// A number of elements that few lists exceed.
const USUAL_LENGTH: usize = 8;

/// The reason why stored bytes cannot be decoded.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub enum DecodeError {
    /// A newer manager wrote the bytes, so this one must not change the session.
    Newer,
    /// The host sealed the session, and reads it without the key.
    Sealed,
    /// No manager wrote these bytes. The text says how that shows.
    Damaged(&'static str),
}

impl DecodeError {
    /// Returns the reason as a text for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Newer => "a newer manager wrote the session: use that one",
            Self::Sealed => "the session is sealed: give its key ring, as with --key-file",
            Self::Damaged(why) => why,
        }
    }
}

/// Returns the encoding of a value.
pub fn encode(value: impl Serialize) -> Result<Vec<u8>, EncodeError> {
    let mut data = Data(Vec::with_capacity(USUAL_SIZE));
    bincode::serde::encode_into_writer(value, &mut data, ENCODING)?;
    Ok(data.0)
}

/// A buffer to encode into. It starts with enough capacity for most states, whereas
/// bincode's own buffer starts empty and would grow half a dozen times.
struct Data(Vec<u8>);

impl Writer for Data {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        match bytes {
            // serde writes the bytes of a hash one by one.
            [byte] => self.0.push(*byte),
            _ => self.0.extend_from_slice(bytes),
        }
        Ok(())
    }
}

/// A reader of encoded bytes, which may be damaged: whatever lengths they contain, a
/// read takes no more memory than the bytes justify. The fields of a struct are to be
/// read in the order of their declaration, since serde writes them in that order.
pub struct Input<'a>(DecoderImpl<SliceReader<'a>, Configuration, ()>);

impl<'a> Input<'a> {
    /// Creates a reader of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(DecoderImpl::new(SliceReader::new(bytes), ENCODING, ()))
    }

    /// Returns whether all bytes were read.
    pub fn is_empty(&mut self) -> bool {
        self.0.reader().peek_read(1).is_none()
    }

    /// Reads a value that owns no memory: a number, a boolean or an array of bytes. For
    /// a `Vec`, bincode would allocate as much memory as a damaged length demands, which
    /// can be more than the component has.
    pub fn value<T: BorrowDecode<'a, ()> + Copy>(&mut self) -> Result<T, DecodeError> {
        T::borrow_decode(&mut self.0).map_err(|_| DecodeError::Damaged("the state does not decode"))
    }

    /// Reads a text.
    pub fn text(&mut self) -> Result<String, DecodeError> {
        self.value().map(str::to_owned)
    }

    /// Reads a list of bytes.
    pub fn bytes(&mut self) -> Result<Vec<u8>, DecodeError> {
        self.value().map(<[u8]>::to_owned)
    }

    /// Reads an optional value. `read` reads the value if there is one.
    pub fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        let is_some: bool = self.value()?;
        is_some.then(|| read(self)).transpose()
    }

    /// Reads a list. `read` reads one element. It must consume at least one byte, so
    /// that a damaged length fails at the end of the bytes.
    pub fn list<T>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let length: u64 = self.value()?;
        let capacity =
            usize::try_from(length).map_or(USUAL_LENGTH, |length| length.min(USUAL_LENGTH));
        let mut list = Vec::with_capacity(capacity);
        for _ in 0..length {
            list.push(read(self)?);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn check<T: Debug + PartialEq + Serialize>(
        value: &T,
        read: impl FnOnce(&mut Input<'_>) -> Result<T, DecodeError>,
    ) {
        let data = encode(value).expect("encodes");
        let mut input = Input::new(&data);
        assert_eq!(read(&mut input).as_ref(), Ok(value));
        assert!(input.is_empty(), "{value:?}");
    }

    #[test]
    fn what_serde_wrote_reads_back() {
        for bits in 0..64 {
            let power = 1_u64 << bits;
            for number in [power - 1, power, power + 249, power + 250] {
                check(&number, |input| input.value());
                check(&number.cast_signed(), |input| input.value());
                check(&number.cast_signed().wrapping_neg(), |input| input.value());
            }
        }
        check(&-0.1_f64, |input| input.value());
        check(&[true, false], |input| input.value());
        check(&[255_u8; 32], |input| input.value());
        check(&String::from("é"), |input| input.text());
        check(&b"\xff".to_vec(), |input| input.bytes());
        check(&Some(251_u64), |input| input.option(Input::value));
        check(&None::<u64>, |input| input.option(Input::value));
        check(&vec![251_u64; 300], |input| input.list(Input::value));
        check(&Vec::<u64>::new(), |input| input.list(Input::value));
    }

    /// The lengths include some which would fit if they were cut to 32 bits.
    #[test]
    fn a_length_that_promises_more_than_there_is_is_damage() {
        for length in [4, 300, 1 << 16, 1 << 31, (1 << 32) + 3, u64::MAX] {
            let mut data = encode(length).expect("encodes");
            data.extend(b"abc");
            let input = || Input::new(&data);
            let damaged = DecodeError::Damaged("the state does not decode");
            assert_eq!(input().text(), Err(damaged), "{length}");
            assert_eq!(input().bytes(), Err(damaged), "{length}");
            assert_eq!(input().list(Input::value::<u8>), Err(damaged), "{length}");
        }
    }

    #[test]
    fn what_has_no_such_value_is_damage() {
        let damaged = DecodeError::Damaged("the state does not decode");
        assert_eq!(Input::new(&[2]).value::<bool>(), Err(damaged));
        assert_eq!(Input::new(&[2, 0]).option(Input::value::<u8>), Err(damaged));
        assert_eq!(Input::new(&[254]).value::<u64>(), Err(damaged));
        assert_eq!(Input::new(&[1, 255]).text(), Err(damaged));
        assert_eq!(Input::new(&[0; 31]).value::<[u8; 32]>(), Err(damaged));
    }
}
