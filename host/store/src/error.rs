//! Why stores fail.

use thiserror::Error;

use crate::Version;

/// Why a store did not do what it was asked to do. No text contains a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The text is not 32 lower-case hexadecimal digits. The store looked nothing up.
    #[error("a session ID has 32 lower-case hexadecimal digits")]
    InvalidId,
    /// A create found that a session with this ID exists.
    #[error("a session with this ID exists already")]
    Exists,
    /// A save or a touch found no session: it never existed, or was deleted.
    #[error("there is no such session")]
    Absent,
    /// A save or a touch expected another version. The session has this one, because
    /// another request saved it first.
    #[error("another request saved the session first: its version is now {0}")]
    Conflict(Version),
    /// The state has more bytes than the store accepts. The limit is this many.
    #[error("the state is larger than {0} bytes")]
    TooLarge(u64),
    /// The record exists but is damaged, in this way. The store keeps it for inspection.
    #[error("the record is damaged: {0}")]
    Corrupt(String),
    /// The store did not get a lock in time, or another sweep is running.
    #[error("another request holds the lock: try again later")]
    Busy,
    /// This store does not have the operation.
    #[error("this store cannot do that")]
    Unsupported,
    /// The file system or the server failed with this message. The change may or may
    /// not have been made: load the session to find out.
    #[error("the store failed: {0}")]
    Unavailable(String),
}
