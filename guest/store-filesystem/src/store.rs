//! What the native store has too and is shared with it: the types of the
//! contract.

#[expect(dead_code, reason = "the native store needs it")]
#[path = "../../../host/src/store/error.rs"]
mod error;
#[path = "../../../host/src/store/id.rs"]
mod id;
#[path = "../../../host/src/store/paging.rs"]
mod paging;
#[allow(dead_code, reason = "the native store needs it")]
#[path = "../../../host/src/store/types.rs"]
mod types;

pub use error::StoreError;
pub use id::SessionId;
pub use paging::Paging;
pub use types::{
    SessionPage, SessionState, StoredSession, SweepReport, Timestamp, Version, is_old,
};
