//! The file system, as the store uses it: the only module that calls the operating system.
//!
//! The directory is opened once, and every access goes through that handle, so nothing
//! outside it can be reached, whatever the directory contains.

mod error;
mod lock;
mod open_file;
mod root;

pub use error::{is_stale, may_be_made, open_failure, store_error};
pub use lock::{LockKind, Locked};
pub use open_file::{OpenFile, WithoutWaiting};
pub use root::{Ownership, Place, Root, Subdirectory};
