//! The contract of `SessionStore`, for every store: natively, and again through
//! the WIT.

mod model;
pub mod provider;
mod sentences;
mod stores;
