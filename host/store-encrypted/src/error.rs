//! Why a key ring cannot be used.

use thiserror::Error;

use crate::KeyId;

/// What is wrong with the text of a key ring. No message contains a part of a key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// A line is wrong. It is counted from 1.
    #[error("line {line}: {source}")]
    Line {
        /// The number of the line.
        line: usize,
        /// What is wrong there.
        source: Box<KeyringError>,
    },
    /// A line does not have its four words.
    #[error("a line has four words: seal or open, the key's ID, its date, and its digits")]
    Words,
    /// A line begins with something else than `seal` or `open`.
    #[error("a line begins with `seal` or `open`")]
    Role,
    /// Something that should be the ID of a key is none.
    #[error("the ID of a key has 8 lower-case hexadecimal digits")]
    KeyId,
    /// The digits are not those of a key.
    #[error("a key has 64 lower-case hexadecimal digits")]
    Digits,
    /// The key has another ID, so that one of the two was changed.
    #[error("the key does not have the ID {0}: its line was changed or cut")]
    WrongId(KeyId),
    /// The ring has a key twice.
    #[error("the key {0} is there twice")]
    Twice(KeyId),
    /// The ring has no key, or none of the lines says `seal`, or several do.
    #[error("exactly one line begins with `seal`, but {0} do")]
    Sealing(usize),
    /// The ring has no key with this ID.
    #[error("there is no key {0}")]
    NoKey(KeyId),
    /// The key seals, so it cannot be removed.
    #[error("the key {0} seals sessions: choose another one first")]
    InUse(KeyId),
}
