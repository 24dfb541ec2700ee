//! Tests of the stores: the contract, the files and locks of the directory store, failing system
//! calls, power cuts, fuzzed inputs, and histories.

#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod conformance;
mod directory;
mod faults;
mod fuzzing;
mod histories;
mod powercut;
