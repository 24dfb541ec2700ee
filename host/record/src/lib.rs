//! The files of the directory store, and the order in which they change.
//!
//! ```
//! use session3_record::{Record, RecordFile};
//! use session3_store::{SessionId, StoreError};
//!
//! /// A file that exists in memory only.
//! struct File(Vec<u8>);
//!
//! impl RecordFile for File {
//!     fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, StoreError> {
//!         let rest = self.0.get(offset as usize..).unwrap_or_default();
//!         Ok(rest[..length.min(rest.len())].to_vec())
//!     }
//!     fn size(&self) -> Result<u64, StoreError> {
//!         Ok(self.0.len() as u64)
//!     }
//! }
//!
//! // An empty file is a create that never finished: it holds no session.
//! let id = SessionId::from(1);
//! assert!(Record::read(&File(Vec::new()), &id)?.is_none());
//! # Ok::<(), StoreError>(())
//! ```
//!
//! A store implements [`Directory`], [`RecordFile`] and [`LockedFile`] over its file system,
//! and [`sweep::Sweeper`] for its sweep. All traits are synchronous, and the store takes the
//! locks. This crate has the rest: [`Record`] reads and writes one session's file, [`index`]
//! finds the sessions of a user, [`layout`] names the files, [`Transactions`] makes each change
//! in an order in which a crash at any step loses nothing that was acknowledged, and [`sweep`]
//! walks through a directory to delete what is old.
//!
//! The module [`record`] documents every byte of a session's file. Both
//! `session3-store-directory` and the component `session3-store-filesystem` use this
//! crate, so each reads the directories of the other one.

#![forbid(unsafe_code)]

mod codec;
mod durability;
mod files;
pub mod index;
pub mod layout;
pub mod record;
pub mod sweep;
mod transactions;
mod update;

pub use durability::Durability;
pub use files::{Directory, LockedFile, OpenFailure, OpenMode, RecordFile, irregular};
pub use record::{MAX_STATE_BYTES, Record};
pub use transactions::{Deleted, NewState, Transactions};
pub use update::EncodedSlot;
