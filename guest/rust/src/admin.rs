//! The administration of the sessions of all users. An application gets it only if its operator
//! grants it: `session3 serve --grant admin`.
//!
//! The error of each function is one line of text that says what the store could not do.

pub use crate::bindings::administration::session3::sessions::admin::*;
