//! The HTTP status with which a web application answers when its session fails: the one
//! table that the tower layer, the middleware and the demo applications use.
//!
//! The names are those of `session-error` in the interface `session3:sessions/manager`.

/// The client sent something that the session cannot hold: 400 Bad Request.
pub const INVALID: u16 = 400;

/// The session was used from another client, and the configuration forbids that: 403 Forbidden.
pub const CLIENT_CHANGED: u16 = 403;

/// The session was ended, or its user changed, while the request used it: 409 Conflict.
pub const ENDED: u16 = 409;

/// Another request changed a session that this one may not merge with: 409 Conflict.
pub const CONFLICT: u16 = 409;

/// Another request kept the session locked for too long: 503 Service Unavailable.
pub const BUSY: u16 = 503;

/// The application changed a session that it opened for reading only: 500 Internal Server
/// Error.
pub const READ_ONLY: u16 = 500;

/// The store failed: 503 Service Unavailable.
pub const STORE: u16 = 503;
