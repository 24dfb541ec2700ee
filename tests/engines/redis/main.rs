//! Tests of the store in Redis. They start Debian's `redis-server` and `redis-sentinel` on
//! free ports, with data in temporary directories, and stop them.

#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod bench;
mod cluster;
mod conformance;
mod faults;
mod health;
mod histories;
mod losses;
mod maintenance;
mod opening;
mod proxy;
mod sentinel;
mod servers;
mod several;
mod tls;
