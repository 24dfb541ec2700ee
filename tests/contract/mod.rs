//! The contract of `SessionStore`, for every store: natively, and again through
//! the WIT.

mod model;
mod relay;
mod sentences;
mod stores;
