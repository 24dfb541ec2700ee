//! Servers of other engines, which tests start on free ports of this machine, with their data
//! in temporary directories. They end with the process of the test, however that ends.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod account;
pub mod mariadb;
pub mod postgres;
pub mod redis;

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns a port that no program uses, below those that the system gives to outgoing
/// connections.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Tests of several processes begin at different ports. The port of the bus of a
        // Cluster of Redis is 10000 higher.
        let first = std::process::id().wrapping_mul(97);
        let count = first.wrapping_add(NEXT.fetch_add(1, Ordering::SeqCst));
        let port = 10_000 + (count % 10_000) as u16;
        let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
}

/// A server that a test kills and starts again.
pub trait Server {
    /// Returns the URL of a store on the server.
    fn url(&self) -> String;

    /// Kills the server, as the system does when it runs out of memory.
    fn kill(&mut self);

    /// Starts the server again, with the same options and data.
    fn restart(&mut self);
}
