//! Tests of the store in PostgreSQL: the contract, lost replies, killed servers, PgBouncer, and
//! what else servers do.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod conformance;
mod failovers;
mod faults;
mod health;
mod index;
mod maintenance;
mod opening;
mod prepared;
mod server;

session3_test_engines::engine_tests!(server::Engine);
