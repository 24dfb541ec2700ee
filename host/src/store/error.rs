//! Why stores fail.

use std::fmt;

use super::Version;

/// Why a store did not do what it was asked. None of the texts holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// Not 32 lower-case hexadecimal digits. Nothing was looked up.
    InvalidId,
    /// Create: the ID is taken.
    Exists,
    /// Save, touch: there is no such session (any more).
    Absent,
    /// Save, touch: somebody else saved since; this is the version now.
    Conflict(Version),
    /// The state is larger than the store's limit, which is this many bytes.
    TooLarge(u64),
    /// The record is there, but damaged; how. It is kept for inspection.
    Corrupt(String),
    /// A lock was not to be had in time, or another sweep is under way.
    Busy,
    /// This store cannot do that.
    Unsupported,
    /// The file system or the server failed; what it said. Whether the change
    /// was made is not known.
    Unavailable(String),
}

impl std::error::Error for StoreError {}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidId => f.write_str("a session ID has 32 lower-case hexadecimal digits"),
            Self::Exists => f.write_str("the session ID is taken"),
            Self::Absent => f.write_str("there is no such session"),
            Self::Conflict(version) => write!(f, "somebody else saved: it is version {version}"),
            Self::TooLarge(limit) => write!(f, "the state is larger than {limit} bytes"),
            Self::Corrupt(how) => write!(f, "the record is damaged: {how}"),
            Self::Busy => f.write_str("somebody else holds the lock: try again later"),
            Self::Unsupported => f.write_str("this store cannot do that"),
            Self::Unavailable(what) => write!(f, "the store failed: {what}"),
        }
    }
}
