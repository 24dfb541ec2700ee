//! The WebAssembly components of session3, as bytes.
//!
//! ```
//! // A component, unlike a core module, begins with these eight bytes.
//! assert!(session3_components::MANAGER.starts_with(b"\0asm\x0d\0\x01\0"));
//! ```
//!
//! [`MANAGER`] has all session logic, [`MIDDLEWARE`] and [`CONTEXT`] serve applications of WASI
//! 0.3, [`STORE_FILESYSTEM`] is a store for other hosts, and [`DEMO`] is an application to try.
//! The module [`wit`] has the contract as texts.
//!
//! In session3's repository, the build script builds the components from `guest/`. A
//! published crate has them in `prebuilt/`.

#![forbid(unsafe_code)]

pub mod wit;

/// The session manager. It exports `session3:sessions/manager` and
/// `session3:sessions/admin`, and imports `session3:sessions/store`,
/// `session3:sessions/events`, a clock and random numbers.
pub const MANAGER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/manager.wasm"));

/// A store in a directory that the host provides as `/sessions`:
/// `session3:sessions/store` over `wasi:filesystem`, for hosts without a store of
/// session3.
pub const STORE_FILESYSTEM: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/store-filesystem.wasm"));

/// The middleware for applications of WASI 0.3. It opens the session of each request, calls
/// the application, and commits the session before the response's headers are sent.
pub const MIDDLEWARE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/middleware.wasm"));

/// The session of the current request, which the middleware and its application share. It
/// exports `session3:sessions/current` to the application.
pub const CONTEXT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/context.wasm"));

/// The interactive demo application, which imports the session manager.
pub const DEMO: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/demo.wasm"));
