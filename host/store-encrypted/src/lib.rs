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
//! An attacker who can write to the engine can delete a session, and can change its times, since a
//! touch changes them without the key. A state that was changed, cut, or moved to another session, to
//! another version or to another user does not open: that is [`Corrupt`]. What cannot be noticed
//! is an older record of the same session that was put back as a whole.
//!
//! # How a state is sealed
//!
//! With AES-256-GCM-SIV of [RFC 8452] under a random nonce of 12 bytes. The associated data are the
//! session's ID, its version, and what the engine has as the user.
//!
//! Of the ciphers of RustCrypto that were measured, it takes the least time on a processor with
//! instructions for AES, as nearly all servers have them: 0.45 µs for a state of 700 bytes, where
//! ChaCha20-Poly1305 and XChaCha20-Poly1305 take 1.9 and 2.0 µs. Without these instructions it takes
//! 8 µs, in constant time and without tables.
//!
//! Its nonces may be random, so that no server has to know what other servers have used. One key
//! may seal 2⁴⁸ states of up to 32 MiB each, or 2⁶⁴ of up to 128 KiB: then the advantage of an
//! attacker is at most 2⁻³² by section 9 of the RFC. A hundred thousand saves in each second reach
//! 2⁴⁸ after 89 years. Should a nonce occur twice under one key, the two states only show whether
//! they are equal, and states of different sessions or versions never are.
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
//! [RFC 8452]: https://www.rfc-editor.org/rfc/rfc8452
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
