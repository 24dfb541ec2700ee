//! Encryption at rest for every store of session3: states and users are sealed before the
//! engine gets them.
//!
//! ```
//! use std::sync::Arc;
//!
//! use session3_store::{MemoryStore, SessionId, SessionState, SessionStore, StoreError};
//! use session3_store_encrypted::{EncryptedStore, Keyring, SystemRandom};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), StoreError> {
//! // Any store. A program reads the ring from a file: see `Keyring`.
//! let engine = Arc::new(MemoryStore::default());
//! let keyring = Keyring::generate(&SystemRandom, "2027-03-01T09:00:00Z");
//! let store = EncryptedStore::new(engine.clone(), keyring);
//!
//! let id = SessionId::from(1);
//! let state = SessionState {
//!     user: Some("alice".into()),
//!     expires: u64::MAX,
//!     data: b"her address".to_vec(),
//! };
//! store.create_session(&id, &state).await?;
//! assert_eq!(store.sessions_of_user("alice").await?, [id]);
//!
//! // The engine has neither the user nor the data.
//! assert_eq!(engine.sessions_of_user("alice").await?, []);
//! let kept = engine.load_session(&id).await?.expect("the session");
//! assert!(!kept.state.data.windows(11).any(|bytes| bytes == b"her address"));
//! # Ok(())
//! # }
//! ```
//!
//! # What the engine sees
//!
//! For each session: its ID, its version, its times, its size, whether it has a user, and which
//! other sessions have the same user. It sees neither the user nor anything of the data.
//!
//! Who can write to the engine can delete a session, and can change its times, since a touch
//! changes them without the key. A state that was changed, cut, or moved to another session, to
//! another version or to another user does not open: that is [`Corrupt`]. What cannot be noticed
//! is an older record of the same session that was put back as a whole.
//!
//! # How a state is sealed
//!
//! With XChaCha20-Poly1305. It needs no special instructions and no tables, so that its time
//! depends neither on the processor's instructions for AES nor on the data. With such
//! instructions, AES-GCM-SIV takes less time; without them, it takes much more. The nonce of 24
//! bytes is random, so that no server has to know what other servers have used: a repetition is
//! not to be expected for any number of sessions. The associated data are the session's ID, its
//! version, and what the engine has as the user.
//!
//! The engine gets a keyed hash as the user: the first 16 bytes of HMAC-SHA-256 in hexadecimal.
//! The user is sealed with the data.
//!
//! # Keys
//!
//! A [`Keyring`] has one key that seals and older ones that open. Each sealed state names its
//! key. The keys of the cipher and of the hash are derived from it, so that a rotation replaces
//! both: nothing has to stay in use because an index depends on it. For that,
//! [`sessions_of_user`](session3_store::SessionStore::sessions_of_user) asks the engine once for
//! each key of the ring. [`EncryptedStore::seal_anew`] seals a session with the new key.
//!
//! A session whose key is gone is [`Unavailable`], with the key's ID, and so is a plain one: it
//! does not count as damaged, because the session manager may begin a new session in place of a
//! damaged one, which would log the user out.
//!
//! [`Corrupt`]: session3_store::StoreError::Corrupt
//! [`Unavailable`]: session3_store::StoreError::Unavailable

#![forbid(unsafe_code)]

mod anew;
mod error;
mod key;
mod keyring;
mod maintenance;
mod random;
mod sealed;
mod store;

pub use anew::SealedAnew;
pub use error::KeyringError;
pub use key::{Key, KeyId};
pub use keyring::Keyring;
pub use random::{RandomSource, SystemRandom};
pub use store::EncryptedStore;
