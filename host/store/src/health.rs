//! Whether the server of a store can be reached: in the log and in the metrics.

use std::sync::atomic::{AtomicBool, Ordering};

use metrics::{counter, gauge};

/// The gauge that is 1 while a server of a store can be reached and 0 otherwise, by `engine`
/// and `server`.
pub const STORE_UP: &str = "session3_store_up";
/// The counter of the connections to a server of a store that were made again after one had
/// ended, by `engine` and `server`.
pub const RECONNECTS: &str = "session3_store_reconnects_total";

/// Whether one server of a store can be reached. Each change is one line of the log.
pub struct Health {
    engine: &'static str,
    server: String,
    is_down: AtomicBool,
}

impl Health {
    /// Creates the state of a server that can be reached. `engine` is its kind, such as
    /// `Redis`, and `server` its address without a password.
    pub fn new(engine: &'static str, server: String) -> Self {
        Self {
            engine,
            server,
            is_down: AtomicBool::new(false),
        }
    }

    /// Returns the address of the server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Notes the first connection.
    pub fn connected(&self) {
        self.set_up();
    }

    /// Notes that a connection was made again after one had ended.
    pub fn reconnected(&self) {
        counter!(RECONNECTS, "engine" => self.engine, "server" => self.server.clone()).increment(1);
        self.set_up();
    }

    /// Notes that there is no connection, and why.
    pub fn is_away(&self, why: &str) {
        if !self.is_down.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                server = %self.server,
                "{} cannot be reached, so that no session can be used: {why}",
                self.engine
            );
        }
        self.set_gauge(0.0);
    }

    fn set_up(&self) {
        if self.is_down.swap(false, Ordering::Relaxed) {
            tracing::info!(server = %self.server, "{} can be reached again", self.engine);
        }
        self.set_gauge(1.0);
    }

    fn set_gauge(&self, value: f64) {
        gauge!(STORE_UP, "engine" => self.engine, "server" => self.server.clone()).set(value);
    }
}
