//! Tests of the stores: the contract, the files and locks of the directory store, failing system
//! calls, power cuts, fuzzed inputs, histories, and sealed stores.

#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod conformance;
mod directory;
mod encrypted;
mod faults;
mod fuzzing;
mod histories;
mod powercut;
