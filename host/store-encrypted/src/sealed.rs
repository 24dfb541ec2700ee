//! The bytes of a sealed state.
//!
//! | bytes | content |
//! | --- | --- |
//! | 4 | [`MAGIC`] |
//! | 4 | the ID of the key |
//! | 12 | the nonce |
//! | 4, sealed | 0 without a user, otherwise the length of the user plus 1, little-endian |
//! | sealed | the user |
//! | sealed | the data |
//! | 16 | the tag |
//!
//! The associated data are three blocks of the cipher: the first 8 bytes with the session's version,
//! the session's ID, and what the wrapped store has as the user, or zeros without a user. So none of
//! them can be exchanged, with one exception: the engine can return an older record as a whole.

use aes_gcm_siv::aead::AeadInOut;
use aes_gcm_siv::aead::inout::InOutBuf;
use session3_store::{SessionId, SessionState, StoreError, StoredSession, Version};

use crate::key::UserHash;
use crate::{Key, KeyId, Keyring, RandomSource};

/// What a sealed state begins with. Its first byte is higher than each version of the session
/// manager's encoding, also of earlier releases; the session manager knows the first three bytes: a
/// server without the keys says that the session is sealed, and leaves it alone. The last byte is
/// the version of this format.
const MAGIC: [u8; 4] = [0xfe, b's', b'3', 1];

const HEAD: usize = MAGIC.len() + 4;
const NONCE: usize = 12;
const USER_LENGTH: usize = 4;
const TAG: usize = 16;
/// The hexadecimal digits that the wrapped store gets as the user.
const USER_HASH: usize = 2 * size_of::<UserHash>();

/// How many bytes larger a state is for the wrapped store, as [`SessionState::size`] counts it:
/// at most this many.
pub const OVERHEAD: u64 = (HEAD + NONCE + USER_LENGTH + TAG + USER_HASH) as u64;

/// The largest state that can be sealed, in bytes.
pub const MAX_STATE_BYTES: u64 = 1 << 30;

/// Why a state was not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unopened {
    /// It is not sealed.
    Plain,
    /// A newer version of this crate sealed it.
    Newer,
    /// The ring does not have its key.
    NoKey(KeyId),
    /// Something changed it, or it belongs to another session or another version.
    Changed,
}

impl Unopened {
    /// Returns the reason as a text for people.
    pub fn text(&self) -> String {
        match self {
            Self::Plain => "the session is not sealed, and plain ones are not accepted".into(),
            Self::Newer => "a newer session3 sealed the session: use that one".into(),
            Self::NoKey(id) => {
                format!("the key {id}, which sealed the session, is not in the key ring")
            }
            Self::Changed => "its seal is broken: something changed the record".into(),
        }
    }
}

impl From<Unopened> for StoreError {
    /// Only a changed record is damaged. What the operator can correct must not be: the session
    /// manager may begin a new session in place of a damaged one, which would log the user out.
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Changed => Self::Corrupt(unopened.text()),
            _ => Self::Unavailable(unopened.text()),
        }
    }
}

/// Returns the key that a state names; `Err` if it is not sealed.
pub fn key_of(state: &SessionState) -> Result<KeyId, Unopened> {
    let Some((magic, rest)) = state.data.split_first_chunk::<4>() else {
        return Err(Unopened::Plain);
    };
    match (*magic == MAGIC, magic.starts_with(&MAGIC[..3])) {
        (true, _) => {}
        (false, true) => return Err(Unopened::Newer),
        (false, false) => return Err(Unopened::Plain),
    }
    let id = rest.first_chunk().ok_or(Unopened::Changed)?;
    Ok(KeyId::from_bytes(*id))
}

/// Seals a state as that of one version of a session. The time of its expiry stays in the clear,
/// because a sweep needs it.
pub fn seal(
    key: &Key,
    random: &dyn RandomSource,
    id: &SessionId,
    version: Version,
    state: &SessionState,
) -> Result<SessionState, StoreError> {
    let user = state.user.as_deref();
    let hash = user.map(|user| key.hash_of(user));
    let mut nonce = [0; NONCE];
    random.fill(&mut nonce);
    let mut data = Vec::with_capacity(HEAD + NONCE + USER_LENGTH + state.size() + TAG);
    data.extend_from_slice(&MAGIC);
    data.extend_from_slice(&key.id().to_bytes());
    data.extend_from_slice(&nonce);
    data.extend_from_slice(&length_of(user)?.to_le_bytes());
    data.extend_from_slice(user.unwrap_or_default().as_bytes());
    data.extend_from_slice(&state.data);
    let (_, plain) = data.split_at_mut(HEAD + NONCE);
    let associated = associated_data(key.id(), id, version, hash);
    let tag = key.cipher().encrypt_inout_detached(
        &nonce.into(),
        associated.as_flattened(),
        InOutBuf::from(plain),
    );
    data.extend_from_slice(&tag.map_err(|_| too_large())?);
    Ok(SessionState {
        user: hash.map(digits_of),
        expires: state.expires,
        data,
    })
}

/// Opens a session of the wrapped store, in the memory in which that returned it.
pub fn open(keyring: &Keyring, mut session: StoredSession) -> Result<StoredSession, Unopened> {
    let key_id = key_of(&session.state)?;
    let key = keyring.key(key_id).ok_or(Unopened::NoKey(key_id))?;
    let SessionState { user, data, .. } = &mut session.state;
    let hash = user
        .as_deref()
        .map(|digits| hash_in(digits).ok_or(Unopened::Changed))
        .transpose()?;
    let (head, sealed) = data
        .split_at_mut_checked(HEAD + NONCE)
        .ok_or(Unopened::Changed)?;
    let nonce: [u8; NONCE] = *head.last_chunk().ok_or(Unopened::Changed)?;
    let (sealed, tag) = sealed
        .split_last_chunk_mut::<TAG>()
        .ok_or(Unopened::Changed)?;
    let associated = associated_data(key_id, &session.id, session.version, hash);
    let opened = key.cipher().decrypt_inout_detached(
        &nonce.into(),
        associated.as_flattened(),
        InOutBuf::from(&mut *sealed),
        &(*tag).into(),
    );
    opened.map_err(|_| Unopened::Changed)?;
    let (name, content) = split(sealed).ok_or(Unopened::Changed)?;
    let length = content.len();
    match (user, name) {
        (Some(user), Some(name)) => {
            user.clear();
            user.push_str(name);
        }
        (None, None) => {}
        _ => return Err(Unopened::Changed),
    }
    data.truncate(data.len() - TAG);
    data.drain(..data.len() - length);
    Ok(session)
}

/// Returns the user and the data in opened bytes.
fn split(opened: &[u8]) -> Option<(Option<&str>, &[u8])> {
    let (length, rest) = opened.split_first_chunk()?;
    let Some(length) = u32::from_le_bytes(*length).checked_sub(1) else {
        return Some((None, rest));
    };
    let (user, data) = rest.split_at_checked(length.try_into().ok()?)?;
    Some((Some(str::from_utf8(user).ok()?), data))
}

/// Returns the number that says how long the user is.
fn length_of(user: Option<&str>) -> Result<u32, StoreError> {
    let length = user.map_or(0, |user| user.len() + 1);
    length.try_into().map_err(|_| too_large())
}

fn too_large() -> StoreError {
    StoreError::TooLarge(MAX_STATE_BYTES)
}

/// Returns what the wrapped store gets as the user.
pub fn digits_of(hash: UserHash) -> String {
    base16ct::lower::encode_string(&hash)
}

/// Returns the hash that the wrapped store has as the user, unless that is something else.
fn hash_in(digits: &str) -> Option<UserHash> {
    let mut hash = UserHash::default();
    let decoded = base16ct::lower::decode(digits, &mut hash).ok()?.len();
    (decoded == hash.len()).then_some(hash)
}

fn associated_data(
    key: KeyId,
    id: &SessionId,
    version: Version,
    user: Option<UserHash>,
) -> [[u8; 16]; 3] {
    let [magic, key] = [MAGIC, key.to_bytes()].map(|part| u128::from(u32::from_le_bytes(part)));
    let first = magic | key << 32 | u128::from(version) << 64;
    [
        first.to_le_bytes(),
        id.to_bits().to_le_bytes(),
        user.unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: u128 = 7;
    const VERSION: Version = 3;

    /// Seals bytes in place of a user and the data.
    fn sealed_bytes(keyring: &Keyring, bytes: &[u8], user: Option<UserHash>) -> StoredSession {
        let key = keyring.sealing_key();
        let id = SessionId::from(ID);
        let nonce = [1; NONCE];
        let mut sealed = bytes.to_vec();
        let associated = associated_data(key.id(), &id, VERSION, user);
        let tag = key.cipher().encrypt_inout_detached(
            &nonce.into(),
            associated.as_flattened(),
            InOutBuf::from(&mut *sealed),
        );
        let head = [&MAGIC[..], &key.id().to_bytes(), &nonce].concat();
        StoredSession {
            id,
            version: VERSION,
            modified: 4,
            state: SessionState {
                user: user.map(digits_of),
                expires: 5,
                data: [head, sealed, tag.expect("sealed").to_vec()].concat(),
            },
        }
    }

    #[test]
    fn sealed_bytes_that_are_no_state_count_as_changed() {
        let keyring = Keyring::generate(&crate::SystemRandom, "2027-03-01");
        let hash = Some(UserHash::default());
        let long = u32::MAX.to_le_bytes();
        let cases: [(&[u8], Option<UserHash>, bool); 11] = [
            (b"", None, false),
            (b"\0\0\0", None, false),
            (b"\0\0\0\0", None, true),
            (b"\0\0\0\0pears", None, true),
            (b"\0\0\0\0pears", hash, false),
            (b"\x03\0\0\0me", hash, true),
            (b"\x03\0\0\0me", None, false),
            (b"\x03\0\0\0m", hash, false),
            (b"\x03\0\0\0\xff\xff", hash, false),
            (&long, hash, false),
            (&[1, 0, 0, 0], hash, true),
        ];
        for (bytes, user, opens) in cases {
            let opened = open(&keyring, sealed_bytes(&keyring, bytes, user));
            match opens {
                true => assert!(opened.is_ok(), "{bytes:?}"),
                false => assert_eq!(opened, Err(Unopened::Changed), "{bytes:?}"),
            }
        }
    }

    #[test]
    fn a_hash_in_place_of_no_user_is_noticed() {
        let keyring = Keyring::generate(&crate::SystemRandom, "2027-03-01");
        let mut session = sealed_bytes(&keyring, b"\0\0\0\0pears", None);
        for digits in ["", "00", "nonsense", &"0".repeat(32), &"A".repeat(32)] {
            session.state.user = Some(digits.into());
            let opened = open(&keyring, session.clone());
            assert_eq!(opened, Err(Unopened::Changed), "{digits}");
        }
    }

    #[test]
    fn a_state_of_the_first_release_opens() {
        let ones = |bytes: &mut [u8]| bytes.fill(1);
        let keyring = Keyring::generate(&ones, "2027-03-01");
        let state = SessionState {
            user: Some("alice".into()),
            expires: 5,
            data: b"pears".to_vec(),
        };
        let id = SessionId::from(ID);
        let key = keyring.sealing_key();
        let sealed = seal(key, &ones, &id, VERSION, &state).expect("sealed");
        // As other implementations of the cipher and of HMAC make it: OpenSSL's, and Python's.
        let expected = "fe7333011dfff191010101010101010101010101\
            902cd389e028ee3bab1d397b974823d827b3e438e17503e7be38e206b256";
        assert_eq!(base16ct::lower::encode_string(&sealed.data), expected);
        let hash = "969ab3fa2c594509c326ae644db1f0e9";
        assert_eq!(sealed.user.as_deref(), Some(hash));
        let session = StoredSession {
            id,
            version: VERSION,
            modified: 4,
            state: sealed,
        };
        assert_eq!(open(&keyring, session).expect("opened").state, state);
    }

    #[test]
    fn a_seal_adds_no_more_than_the_overhead() {
        let key = Key::generate(&crate::SystemRandom, "2027-03-01");
        for (user, length) in [(None, 0), (Some(""), 0), (Some("alice"), 700)] {
            let state = SessionState {
                user: user.map(str::to_owned),
                expires: 0,
                data: vec![0; length],
            };
            let id = SessionId::from(ID);
            let sealed = seal(&key, &crate::SystemRandom, &id, 1, &state).expect("sealed");
            let added = (sealed.size() - state.size()) as u64;
            let without_user = USER_HASH as u64;
            assert_eq!(
                added,
                OVERHEAD - if user.is_none() { without_user } else { 0 }
            );
        }
    }
}
