//! The fuzz target `operations`: sequences of operations on two stores.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| session3_test_fuzzing::operations(bytes));
