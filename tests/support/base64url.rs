//! Base64url, the encoding of the secrets in cookies.

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Encodes bytes as base64url without padding (RFC 4648 §5), without the library that the
/// manager uses.
pub fn encoded(bytes: &[u8]) -> String {
    let mut bits = bytes.iter().fold(Vec::new(), |mut bits, byte| {
        bits.extend((0..8).map(|bit| byte >> (7 - bit) & 1));
        bits
    });
    bits.resize(bits.len().next_multiple_of(6), 0);
    let digit = |six: &[u8]| {
        six.iter()
            .fold(0, |digit, bit| digit << 1 | usize::from(*bit))
    };
    bits.chunks(6)
        .map(|six| char::from(ALPHABET[digit(six)]))
        .collect()
}

/// Decodes base64url without padding.
///
/// # Panics
///
/// If the text has other characters.
pub fn decoded(text: &str) -> Vec<u8> {
    let digits = text
        .bytes()
        .map(|byte| ALPHABET.iter().position(|digit| *digit == byte).unwrap());
    let bits: Vec<usize> = digits
        .flat_map(|digit| (0..6).map(move |bit| digit >> (5 - bit) & 1))
        .collect();
    bits.chunks_exact(8)
        .map(|byte| byte.iter().fold(0, |all, bit| all << 1 | *bit as u8))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_test_decodes_is_what_was_encoded() {
        let bytes: Vec<u8> = (0..16).map(|byte| byte * 17).collect();
        assert_eq!(decoded(&encoded(&bytes)), bytes);
        assert_eq!(encoded(b"\xff\xfb"), "__s");
    }
}
