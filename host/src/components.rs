//! The components that are built into this crate.

/// The session manager: `session3:sessions/manager`, for
/// [`compose`](crate::compose) or to be instantiated on its own.
pub const MANAGER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/manager.wasm"));

/// A store in a directory that the host gives, `session3:sessions/store` over
/// `wasi:filesystem`, for [`Composition::store_component`](crate::Composition::store_component)
/// and hosts that have no store of their own.
pub const STORE_FILESYSTEM: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/store-filesystem.wasm"));

/// What opens and commits the session of each request before an application for
/// WASI 0.3, for [`Composition::middleware`](crate::Composition::middleware).
pub const MIDDLEWARE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/middleware.wasm"));

/// What such an application and the middleware share: the request's session.
pub const CONTEXT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/context.wasm"));

/// The interactive demo, which imports the manager.
pub const DEMO: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/demo.wasm"));
