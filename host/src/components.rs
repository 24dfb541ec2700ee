//! The components that are built into this crate.

/// The session manager: `session3:sessions/manager`, for
/// [`compose`](crate::compose) or to be instantiated on its own.
pub const MANAGER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/manager.wasm"));

/// The interactive demo, which imports the manager.
pub const DEMO: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/demo.wasm"));
