//! The components that are built into this crate.

/// The session manager: `session3:sessions/manager`, for
/// [`compose`](crate::compose) or to be instantiated on its own.
pub const MANAGER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/manager.wasm"));

/// A store in a directory that the host gives, `session3:sessions/store` over
/// `wasi:filesystem`, for [`Composition::store_component`](crate::Composition::store_component)
/// and hosts that have no store of their own.
pub const STORE_FILESYSTEM: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/store-filesystem.wasm"));

/// The interactive demo, which imports the manager.
pub const DEMO: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/demo.wasm"));
