//! Tests of the stores: the contract, the directory store's files and locks, system calls
//! that fail, power cuts, and bytes that a fuzzer made.

#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod conformance;
mod directory;
mod faults;
mod fuzzing;
mod powercut;
