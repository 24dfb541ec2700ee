//! Tests of the store in an SQLite file: the contract, the files that it opens and refuses,
//! several processes, kills, sweeps, leases, calls that are given up, and histories.

#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod conformance;
mod histories;
mod maintenance;
mod opening;
mod processes;
mod reading;
mod support;
mod sweeps;
mod waiting;
