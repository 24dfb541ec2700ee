//! Where session3 keeps sessions: the trait [`SessionStore`], its types, and a store
//! in memory.
//!
//! ```
//! use session3_store::{MemoryStore, SessionId, SessionState, SessionStore, StoreError};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), StoreError> {
//! let store = MemoryStore::default();
//! let id: SessionId = "0123456789abcdef0123456789abcdef".parse()?;
//! let state = SessionState {
//!     user: Some("alice".into()),
//!     // In milliseconds since 1970.
//!     expires: u64::MAX,
//!     data: b"opaque to the store".to_vec(),
//! };
//! let version = store.create_session(&id, &state).await?;
//!
//! // A save is a compare-and-swap: the caller passes the version that it loaded.
//! assert_eq!(store.save_session(&id, &state, version).await?, version + 1);
//! let conflict = store.save_session(&id, &state, version).await;
//! assert_eq!(conflict, Err(StoreError::Conflict(version + 1)));
//! # Ok(())
//! # }
//! ```
//!
//! To write a store of your own, implement [`SessionStore`], build the pages
//! of [`iter_sessions`](SessionStore::iter_sessions) with [`PageBuilder`], and run the conformance suite of the crate `session3-store-tests`
//! against it.
//!
//! # Features
//!
//! `async`, on by default, has the trait, [`SessionLock`] and [`MemoryStore`]. Without
//! it, the types, [`PageBuilder`], the clocks and the helpers remain, which depend on no
//! runtime: that is what stores which are WebAssembly components use.
//!
//! `health` has [`health::Health`], with which a store whose sessions are on a server says in
//! the log and in the metrics whether the server can be reached.
//!
//! `value` has [`value`](mod@value), the conversion of attributes from and to Rust's types.

#![forbid(unsafe_code)]

mod bindings;
pub mod browser;
pub mod caching;
mod clock;
mod error;
#[cfg(feature = "health")]
pub mod health;
mod id;
#[cfg(feature = "async")]
mod lock;
#[cfg(feature = "async")]
mod maintenance;
#[cfg(feature = "async")]
mod memory;
mod page;
#[cfg(feature = "async")]
pub mod queue;
pub mod status;
#[cfg(feature = "async")]
mod store;
#[cfg(feature = "async")]
mod sweep_pace;
mod types;
#[cfg(feature = "async")]
pub mod url;
#[cfg(feature = "value")]
pub mod value;

pub use clock::{Clock, SystemClock};
pub use error::StoreError;
pub use id::SessionId;
#[cfg(feature = "async")]
pub use lock::SessionLock;
#[cfg(feature = "async")]
pub use maintenance::{CheckObserver, CheckReport, Figure, Finding, Maintenance, Unit};
#[cfg(feature = "async")]
pub use memory::MemoryStore;
pub use page::PageBuilder;
#[cfg(feature = "async")]
pub use store::SessionStore;
#[cfg(feature = "async")]
pub use sweep_pace::SweepPace;
pub use types::{
    SessionPage, SessionState, StoredSession, SweepReport, Timestamp, Version, is_old,
};
