//! The store alone.

#[path = "../host/src/mutex.rs"]
mod mutex;
#[path = "../host/src/store/mod.rs"]
pub mod store;
