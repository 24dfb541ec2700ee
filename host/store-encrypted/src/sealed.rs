//! The bytes of a sealed state.
//!
//! | bytes | content |
//! | --- | --- |
//! | 4 | [`MAGIC`] |
//! | 4 | the ID of the key |
//! | 24 | the nonce |
//! | 4, sealed | 0 without a user, otherwise the length of the user plus 1, little-endian |
//! | sealed | the user |
//! | sealed | the data |
//! | 16 | the tag |
//!
//! The associated data are the first 8 bytes, the session's ID, its version, and what the wrapped
//! store has as the user. So none of them can be exchanged, with one exception: the engine can
//! return an older record as a whole.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::aead::inout::InOutBuf;
use session3_store::{SessionId, SessionState, StoreError, StoredSession, Version};

use crate::{Key, KeyId, Keyring, RandomSource};

/// What a sealed state begins with. Its first byte is higher than each version of the session
/// manager's encoding: a server without the keys says that something newer wrote the session,
/// and leaves it alone. The last byte is the version of this format.
const MAGIC: [u8; 4] = [0xfe, b's', b'3', 1];

const HEAD: usize = MAGIC.len() + 4;
const NONCE: usize = 24;
const USER_LENGTH: usize = 4;
const TAG: usize = 16;
/// The hexadecimal digits that the wrapped store gets as the user.
const USER_HASH: usize = 32;

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
    let associated = associated_data(key.id(), id, version, hash.as_deref());
    let (_, plain) = data.split_at_mut(HEAD + NONCE);
    let cipher = key.cipher();
    let tag = cipher.encrypt_inout_detached(&nonce.into(), &associated, InOutBuf::from(plain));
    data.extend_from_slice(&tag.map_err(|_| too_large())?);
    Ok(SessionState {
        user: hash,
        expires: state.expires,
        data,
    })
}

/// Opens a session of the wrapped store.
pub fn open(keyring: &Keyring, mut session: StoredSession) -> Result<StoredSession, Unopened> {
    let key_id = key_of(&session.state)?;
    let key = keyring.key(key_id).ok_or(Unopened::NoKey(key_id))?;
    let hash = session.state.user.as_deref();
    let associated = associated_data(key_id, &session.id, session.version, hash);
    let data = &mut session.state.data;
    let (head, sealed) = data
        .split_at_mut_checked(HEAD + NONCE)
        .ok_or(Unopened::Changed)?;
    let nonce: [u8; NONCE] = *head.last_chunk().ok_or(Unopened::Changed)?;
    let end = sealed.len().checked_sub(TAG).ok_or(Unopened::Changed)?;
    let (sealed, tag) = sealed.split_at_mut(end);
    let tag: [u8; TAG] = (&*tag).try_into().map_err(|_| Unopened::Changed)?;
    let opened = key.cipher().decrypt_inout_detached(
        &nonce.into(),
        &associated,
        InOutBuf::from(sealed),
        &tag.into(),
    );
    opened.map_err(|_| Unopened::Changed)?;
    data.truncate(HEAD + NONCE + end);
    let (user, start) = user_in(data).ok_or(Unopened::Changed)?;
    data.drain(..start);
    session.state.user = user;
    Ok(session)
}

/// Returns the user in opened bytes, and where the data begin.
fn user_in(bytes: &[u8]) -> Option<(Option<String>, usize)> {
    let start = HEAD + NONCE + USER_LENGTH;
    let length = u32::from_le_bytes(*bytes.get(..start)?.last_chunk()?);
    let Some(length) = length.checked_sub(1) else {
        return Some((None, start));
    };
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    let user = String::from_utf8(bytes.get(start..end)?.to_vec()).ok()?;
    Some((Some(user), end))
}

/// Returns the number that says how long the user is.
fn length_of(user: Option<&str>) -> Result<u32, StoreError> {
    let length = user.map_or(0, |user| user.len() + 1);
    length.try_into().map_err(|_| too_large())
}

fn too_large() -> StoreError {
    StoreError::TooLarge(MAX_STATE_BYTES)
}

fn associated_data(
    key: KeyId,
    id: &SessionId,
    version: Version,
    user_hash: Option<&str>,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + 16 + 8 + 1 + USER_HASH);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&key.to_bytes());
    bytes.extend_from_slice(&id.to_bits().to_le_bytes());
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.push(user_hash.is_some().into());
    bytes.extend_from_slice(user_hash.unwrap_or_default().as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_of_the_first_release_opens() {
        let ones = |bytes: &mut [u8]| bytes.fill(1);
        let keyring = Keyring::generate(&ones, "2027-03-01");
        let state = SessionState {
            user: Some("alice".into()),
            expires: 5,
            data: b"pears".to_vec(),
        };
        let id = SessionId::from(7);
        let sealed = seal(keyring.sealing_key(), &ones, &id, 3, &state).expect("sealed");
        // As another implementation of the cipher and of HMAC makes it.
        let expected = "fe7333011dfff191010101010101010101010101010101010101010101010101\
            1669185a5c7656517f6d079a9172fcb9348f881b5eb5b1fd2d57e2281088";
        assert_eq!(base16ct::lower::encode_string(&sealed.data), expected);
        let session = StoredSession {
            id,
            version: 3,
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
            let id = SessionId::from(7);
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
