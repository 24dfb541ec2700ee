//! Whether the server of a store can be reached: in the log and in the metrics.

use std::sync::Arc;

use metrics::{counter, gauge};
use parking_lot::Mutex;

/// The gauge that is 1 while a server of a store can be reached and 0 otherwise, by `engine`
/// and `server`. It is not a number once the store no longer uses a server that was away, such
/// as a former primary of a Cluster.
pub const STORE_UP: &str = "session3_store_up";
/// The counter of the connections to a server of a store that were made again after one had
/// ended, by `engine` and `server`.
pub const RECONNECTS: &str = "session3_store_reconnects_total";

/// Whether one server of a store can be reached. Each change is one line of the log.
///
/// All connections to the server share this value. The server is away if there is no
/// connection and an attempt to make one failed.
///
/// ```
/// use std::sync::Arc;
///
/// use session3_store::health::Health;
///
/// let health = Arc::new(Health::new("Redis", "10.0.0.1:6379".into()));
/// let connection = health.connected();
/// health.is_away("connection refused"); // Logs nothing: there is another connection.
/// drop(connection);
/// health.is_away("connection refused"); // Logs that Redis cannot be reached.
/// let _connection = health.reconnected(); // Logs that Redis can be reached again.
/// ```
pub struct Health {
    engine: &'static str,
    server: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: usize,
    is_down: bool,
}

/// A connection to a server, until this value is dropped.
#[must_use = "the connection counts until this value is dropped"]
pub struct Connected(Arc<Health>);

impl Health {
    /// Creates the state of a server. `engine` is its kind, such as `Redis`, and `server` its
    /// address without a password.
    pub fn new(engine: &'static str, server: String) -> Self {
        Self {
            engine,
            server,
            state: Mutex::default(),
        }
    }

    /// Returns the address of the server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Notes a first connection.
    pub fn connected(self: &Arc<Self>) -> Connected {
        let mut state = self.state.lock();
        state.connections += 1;
        if std::mem::take(&mut state.is_down) {
            tracing::info!(server = %self.server, "{} can be reached again", self.engine);
        }
        self.set_gauge(1.0);
        Connected(self.clone())
    }

    /// Notes a connection that was made again after one had ended.
    pub fn reconnected(self: &Arc<Self>) -> Connected {
        counter!(RECONNECTS, "engine" => self.engine, "server" => self.server.clone()).increment(1);
        self.connected()
    }

    /// Notes that an attempt to connect failed, and why.
    pub fn is_away(&self, why: &str) {
        let mut state = self.state.lock();
        if state.connections > 0 {
            return;
        }
        if !std::mem::replace(&mut state.is_down, true) {
            tracing::warn!(
                server = %self.server,
                "{} cannot be reached, so that its sessions cannot be used: {why}",
                self.engine
            );
        }
        self.set_gauge(0.0);
    }

    /// Sets the gauge, while the state is locked, so that it shows the latest state.
    fn set_gauge(&self, value: f64) {
        gauge!(STORE_UP, "engine" => self.engine, "server" => self.server.clone()).set(value);
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.state.lock().connections -= 1;
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        // An alert must not last for a server that the store no longer uses.
        if self.state.get_mut().is_down {
            self.set_gauge(f64::NAN);
        }
    }
}
