//! Tests of the store in PostgreSQL: the contract, lost replies, killed servers, PgBouncer, and
//! what else servers do.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod conformance;
mod dropped;
mod faults;
mod health;
mod histories;
mod index;
mod killed;
mod locks;
mod maintenance;
mod opening;
mod proxy;
mod server;
mod sweeps;
