//! Sessions for web applications in Rust that run as WebAssembly components.
//!
//! This is a complete application with a log-in:
//!
//! ```no_run,standalone_crate
#![doc = include_str!("../examples/log_in.rs")]
//! ```
//!
//! The README of this crate says how to build and serve it.
//!
//! # What happens around a handler
//!
//! The session manager is another component, which the host connects with the application. The
//! first call of a function of [`Session`] opens the session that the cookie of the request
//! names. After the handler, and before the response is sent, [`wstd::with_session`] or
//! [`serve!`] commits the session and adds the headers of the commit to the response. If the
//! handler returns an error, or a response with a status of 500 or above, nothing is committed,
//! and the session stays as it was. An [`Error`] of this crate becomes a response with the
//! [status](Error::status) that it names. The response to HEAD is that of GET, and nothing is
//! saved.
//!
//! The configuration is that of the operator: the cookie is `__Host-session`, Secure and
//! HttpOnly, unless a policy says otherwise. [`Sessions`] changes it, chooses the mode of
//! requests, and has a page for errors.
//!
//! # Attributes
//!
//! [`set`](Session::set) and [`get`](Session::get) take every type of serde. What applications
//! in other languages get is this:
//!
//! | Rust | value |
//! | --- | --- |
//! | `bool` | boolean |
//! | an integer that an `i64` can hold | integer |
//! | `f32`, `f64` | number |
//! | `&str`, `String`, `char`, a variant without fields | text |
//! | bytes, by way of the crate `serde_bytes` | bytes |
//! | `Some(value)`, a newtype | as the value in it |
//! | everything else: structs, lists, maps, `None`, larger integers | JSON |
//!
//! [`get`](Session::get) returns exactly what was set, or fails. Values that JSON would change
//! are refused: infinite numbers and NaN, maps whose keys are no texts, an empty option within
//! an option, and integers of 128 bits.
//!
//! # Features
//!
//! - `wstd`, on by default: asynchronous handlers with the types of [`wstd`](::wstd).
//! - `http`: synchronous handlers that need no other framework: see the module
//!   [`http`](mod@http).
//! - `middleware`: [`Session::current`], the session of an application for WASI 0.3 behind
//!   session3's middleware.
//! - `admin`: the module [`admin`], the sessions of all users.
//!
//! With another framework, and in an application for WASI 0.3, create the session of a request with
//! [`Sessions::open`], and the response with [`Sessions::respond`], which commits the session.
//!
//! # WIT
//!
//! This crate contains the bindings of the contract `session3:sessions`. An application copies no
//! WIT files, and declares no import: the linker adds them. An application that imports or
//! exports further interfaces calls `wit_bindgen::generate!` with a world of its own, which names
//! only these.

mod bindings;
mod error;
#[cfg(feature = "http")]
mod fetch;
mod form;
#[cfg(any(feature = "http", feature = "wstd"))]
mod form_type;
mod headers;
mod log;
mod session;
mod sessions;
mod value;

#[cfg(feature = "admin")]
pub mod admin;
#[cfg(feature = "http")]
pub mod http;
pub mod manager;
#[cfg(feature = "wstd")]
pub mod wstd;

pub use bindings::session3::sessions::session_types::Value;
pub use error::{Error, FormError};
pub use form::{MAX_FORM, parse_form};
pub use headers::CommitHeaders;
pub use log::log_panics;
pub use session::Session;
pub use sessions::Sessions;

/// Compiles the README.
#[cfg(all(doctest, feature = "http", feature = "wstd"))]
#[doc = include_str!("../README.md")]
struct Readme;
