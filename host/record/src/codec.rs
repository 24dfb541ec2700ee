//! Encoding and checksums of the parts of a record.

use bincode::config::{Configuration, Fixint, LittleEndian};
use bincode::{Decode, Encode};
use session3_store::{SessionId, StoreError};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The bytes of a checksum.
pub const CHECKSUM: usize = 8;

const LAYOUT: Configuration<LittleEndian, Fixint> = bincode::config::standard()
    .with_little_endian()
    .with_fixed_int_encoding();

/// A part of a record that has a checksum.
#[derive(Clone, Debug, PartialEq)]
pub enum Checked<T> {
    /// The bytes are zeros, or beyond the end of the file: it was never written.
    Never,
    /// The checksum does not match: it is half written, or damaged.
    Torn,
    /// The checksum matches.
    Whole(T),
}

/// Decodes a part that begins with its checksum.
pub fn decode_checked<T: Decode<()>>(bytes: &[u8], id: &SessionId) -> Checked<T> {
    if is_zero(bytes) {
        return Checked::Never;
    }
    let Some((checksum, rest)) = bytes.split_first_chunk::<CHECKSUM>() else {
        return Checked::Torn;
    };
    if u64::from_le_bytes(*checksum) != checksum_of(rest, id) {
        return Checked::Torn;
    }
    decode(rest).map_or(Checked::Torn, Checked::Whole)
}

/// Encodes a part of `N` bytes, which begins with its checksum.
pub fn encode_checked<const N: usize>(
    value: impl Encode,
    id: &SessionId,
) -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    encode_into(value, &mut bytes[CHECKSUM..])?;
    seal(&mut bytes, id);
    Ok(bytes)
}

/// Writes the checksum of the rest into the first bytes.
pub fn seal(bytes: &mut [u8], id: &SessionId) {
    let checksum = checksum_of(&bytes[CHECKSUM..], id);
    bytes[..CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
}

/// Encodes a value into the first of these bytes.
pub fn encode_into(value: impl Encode, bytes: &mut [u8]) -> Result<(), StoreError> {
    bincode::encode_into_slice(value, bytes, LAYOUT)
        .map(|_| ())
        .map_err(|error| StoreError::Unavailable(format!("a record cannot be encoded: {error}")))
}

/// Decodes a value from the first of these bytes.
pub fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, StoreError> {
    bincode::decode_from_slice(bytes, LAYOUT)
        .map(|(value, _)| value)
        .map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// Returns the checksum: XXH3 with 64 bits, seeded with the session's ID, so that bytes
/// from another session's file never pass.
pub fn checksum_of(bytes: &[u8], id: &SessionId) -> u64 {
    let bits = id.to_bits();
    xxh3_64_with_seed(bytes, (bits >> 64) as u64 ^ bits as u64)
}

/// Returns whether all bytes are zero.
pub fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
