//! One key of a ring, and what is derived from it.

use std::fmt;
use std::str::FromStr;

use aes::Aes256;
use aes_gcm_siv::{AesGcmSiv, KeyInit};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{KeyringError, RandomSource};

/// The number of bytes of a key.
const KEY_BYTES: usize = 32;

/// The cipher that seals states.
pub(crate) type Cipher = AesGcmSiv<Aes256>;

/// What the wrapped store has in place of a user, in bytes.
pub(crate) type UserHash = [u8; 16];

/// The name of a key, which each sealed state has in the clear: 8 hexadecimal digits, which
/// follow from the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 4]);

/// A key, with what is derived from it. Its bytes are overwritten when it is dropped.
#[derive(Clone)]
pub struct Key {
    id: KeyId,
    created: String,
    secret: Zeroizing<[u8; KEY_BYTES]>,
    cipher: Cipher,
    users: Hmac<Sha256>,
}

impl KeyId {
    /// Returns the ID with these bytes.
    pub(crate) fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the ID.
    pub(crate) fn to_bytes(self) -> [u8; 4] {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for KeyId {
    type Err = KeyringError;

    fn from_str(text: &str) -> Result<Self, KeyringError> {
        let mut bytes = [0; 4];
        let digits = base16ct::lower::decode(text, &mut bytes);
        match digits.map(<[u8]>::len) {
            Ok(4) => Ok(Self(bytes)),
            _ => Err(KeyringError::KeyId),
        }
    }
}

impl Key {
    /// Creates a key of random bytes. `created` is the time of this, as a text for people without
    /// white space, such as `2027-03-01T09:00:00Z`.
    pub fn generate(random: &dyn RandomSource, created: &str) -> Self {
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        random.fill(secret.as_mut());
        Self::new(secret, created.into())
    }

    fn new(secret: Zeroizing<[u8; KEY_BYTES]>, created: String) -> Self {
        let cipher_key = derive(&secret, b"session3 states");
        let [a, b, c, d, ..] = *derive(&secret, b"session3 key ID");
        Self {
            id: KeyId([a, b, c, d]),
            created,
            cipher: Cipher::new((&*cipher_key).into()),
            users: mac(&derive(&secret, b"session3 users")),
            secret,
        }
    }

    /// Parses the digits of a key.
    pub(crate) fn parse(digits: &str, created: &str) -> Result<Self, KeyringError> {
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        let decoded = base16ct::lower::decode(digits, secret.as_mut());
        match decoded.map(<[u8]>::len) {
            Ok(KEY_BYTES) => Ok(Self::new(secret, created.into())),
            _ => Err(KeyringError::Digits),
        }
    }

    /// Returns the digits of the key, for the file of a ring.
    pub(crate) fn digits(&self) -> Zeroizing<String> {
        Zeroizing::new(base16ct::lower::encode_string(self.secret.as_ref()))
    }

    /// Returns the name of the key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Returns the time when the key was made, as the ring has it.
    pub fn created(&self) -> &str {
        &self.created
    }

    /// Returns what the wrapped store gets in place of a user.
    pub(crate) fn hash_of(&self, user: &str) -> UserHash {
        let mut mac = self.users.clone();
        mac.update(user.as_bytes());
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        bytes.first_chunk().copied().unwrap_or_default()
    }

    /// Returns the cipher that seals states with this key.
    pub(crate) fn cipher(&self) -> &Cipher {
        &self.cipher
    }
}

// The key itself stays out.
impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Key")
            .field("id", &self.id)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

/// Derives the key for one purpose. This is HKDF-Expand of RFC 5869 with SHA-256 for 32 bytes.
fn derive(secret: &[u8; KEY_BYTES], purpose: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut expand = mac(secret);
    expand.update(purpose);
    expand.update(&[1]);
    Zeroizing::new(expand.finalize().into_bytes().into())
}

fn mac(key: &[u8; 32]) -> Hmac<Sha256> {
    // A key of 32 bytes is shorter than a block, to which HMAC adds zeros.
    let mut block = Zeroizing::new([0; 64]);
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    Hmac::<Sha256>::new((&*block).into())
}
