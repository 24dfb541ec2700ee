//! The operator's session policy: its file, and its place in the session manager.
//!
//! ```
//! use session3_policy::{PolicyError, SessionPolicy};
//!
//! let policy = SessionPolicy::from_toml("
//!     idle-timeout = 900
//!     [require.cookie]
//!     secure = true
//! ")?;
//! assert_eq!(policy.idle_timeout, Some(900));
//! assert!(policy.require.cookie.secure);
//!
//! let error = SessionPolicy::from_toml("idle-timeout = -1").unwrap_err();
//! assert!(matches!(error, PolicyError::Toml { line: 1, .. }));
//! # Ok::<(), PolicyError>(())
//! ```
//!
//! An embedder calls `session3::policy::write_policy`, which asks the session manager for its
//! defaults, applies a policy to them, and writes the result into the manager component. Its
//! [`place`] there is 1 KiB behind a marker in the manager's data; the layout of that place is
//! all that the manager itself needs from this crate.
//!
//! # Features
//!
//! `file`, on by default, has everything but [`place`].

#![forbid(unsafe_code)]

#[cfg(feature = "file")]
mod file;
pub mod place;
#[cfg(feature = "file")]
mod write;

#[cfg(feature = "file")]
pub use file::{
    CookieDefaults, CookieRequirements, PolicyError, Reaction, RememberDefaults,
    RememberRequirements, Requirements, SameSite, SessionPolicy, UserCaching, nearest,
};
#[cfg(feature = "file")]
pub use write::write;
