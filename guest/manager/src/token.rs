//! The token in the cookie: `<id>.<secret>`. The ID names the session, and the secret
//! opens it. The record contains only a hash of the secret, so that a stolen copy of the
//! store opens no session.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::encoding::{DecodeError, Input};
use crate::imports::Imports;

/// The length of a token: 32 digits, a dot, and 16 bytes in base64url without padding.
pub const TOKEN_LENGTH: usize = ID_LENGTH + 1 + SECRET_LENGTH;
const ID_LENGTH: usize = 32;
const SECRET_LENGTH: usize = base64_length(16);

/// A secret that opens a session. It does not implement `Debug`, so that no message can
/// contain it.
#[derive(Clone)]
pub struct Secret([u8; 16]);

/// The SHA-256 of a secret. A secret has 128 random bits, so neither a salt nor
/// stretching would make the hash harder to reverse.
#[derive(Clone, Default, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct SecretHash([u8; 32]);

/// A well-formed token. It need not have been issued.
pub struct Token {
    /// The ID of a session, in the form that the store takes.
    pub id: String,
    /// The secret.
    pub secret: Secret,
}

/// Returns a new session ID.
pub fn new_id(imports: &dyn Imports) -> String {
    format!("{:032x}", imports.random())
}

/// Returns whether a text has the form of a session ID.
pub fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns bytes in base64url without padding (RFC 4648 §5).
pub fn encode_base64(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

const fn base64_length(bytes: usize) -> usize {
    (bytes * 8).div_ceil(6)
}

/// Returns the bytes of which `text` is the encoding, or `None` if it is not exactly what
/// [`encode_base64`] returns for that number of bytes.
pub fn decode_base64<const N: usize>(text: &str) -> Option<[u8; N]> {
    // The decoder would decode a megabyte before its result turns out to be too long.
    if text.len() != base64_length(N) {
        return None;
    }
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// Returns the SHA-256 of 128 random bits.
pub fn sha_256(bytes: &[u8; 16]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

impl Secret {
    /// Creates a random secret.
    pub fn new(imports: &dyn Imports) -> Self {
        Self(imports.random().to_le_bytes())
    }

    /// Returns a secret for tests.
    #[cfg(test)]
    pub fn example() -> Self {
        Self([7; 16])
    }

    /// Returns the hash that the record contains.
    pub fn hash(&self) -> SecretHash {
        SecretHash(sha_256(&self.0))
    }

    /// Returns the token of the session `id` with this secret, which is the value of the
    /// cookie.
    pub fn token(&self, id: &str) -> String {
        let mut token = String::with_capacity(TOKEN_LENGTH);
        token.push_str(id);
        token.push('.');
        token.push_str(&encode_base64(&self.0));
        token
    }
}

impl SecretHash {
    /// Decodes the hash.
    pub fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.value().map(Self)
    }

    /// Returns the bytes of the hash.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns whether both are hashes of one secret. It compares them in constant time.
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Token {
    /// Parses a token. Returns `None` if the text is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.split_once('.')?;
        if !is_id(id) {
            return None;
        }
        Some(Self {
            id: id.to_owned(),
            secret: Secret(decode_base64(secret)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn a_token_has_128_bits_of_id_and_128_of_secret_and_reads_back() {
        let fake = Fake::default();
        let (id, secret) = (new_id(&fake), Secret::new(&fake));
        let text = secret.token(&id);
        assert_eq!(text.len(), TOKEN_LENGTH);
        let token = Token::parse(&text).expect("a token of our own");
        assert_eq!(token.id, id);
        assert!(secret.hash().is(&token.secret.hash()));
    }

    #[test]
    fn another_secret_does_not_match() {
        let fake = Fake::default();
        let (one, other) = (Secret::new(&fake), Secret::new(&fake));
        assert!(!one.hash().is(&other.hash()));
    }

    #[test]
    fn the_hash_is_sha_256_of_the_sixteen_bytes() {
        let hash = Secret([0; 16]).hash().0;
        let hex: String = hash.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "374708fff7719dd5979ec875d56cd2286f6d3cf7ec317a3b25632aab28ec37bb"
        );
    }

    #[test]
    fn what_is_not_exactly_a_token_is_none() {
        let good = Secret([7; 16]).token(&"a".repeat(32));
        assert!(Token::parse(&good).is_some());
        let bad = [
            String::new(),
            ".".into(),
            good[1..].into(),
            good[..good.len() - 1].into(),
            format!("{good}A"),
            format!(" {good}"),
            good.replace('.', ":"),
            good.replacen('a', "A", 1),
            good.replacen('a', "g", 1),
            // Bits beyond the sixteenth byte would be a second spelling of the secret.
            format!("{}B", &good[..good.len() - 1]),
            format!("{}=", &good[..good.len() - 1]),
            format!("../{}", &good[3..]),
            "é".repeat(27),
        ];
        for text in bad {
            assert!(Token::parse(&text).is_none(), "{text}");
        }
    }
}
