//! What several of the tests use.

pub mod component;
pub mod program;

use session3::store::{SessionId, SessionState};

/// Runs a test's future, with threads for what it spawns.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// An ID that is easy to read in a file name.
pub fn id(number: u128) -> SessionId {
    SessionId::from(number)
}

/// A state without a user.
pub fn state(data: &str) -> SessionState {
    SessionState {
        user: None,
        expires: 1_000_000,
        data: data.into(),
    }
}
