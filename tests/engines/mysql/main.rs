//! Tests of the store in MariaDB and MySQL: the contract, lost replies, killed servers, and what
//! else servers do.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod conformance;
mod faults;
mod figures;
mod index;
mod log;
mod maintenance;
mod opening;
mod server;
mod tls;

session3_test_engines::engine_tests!(server::Engine);
