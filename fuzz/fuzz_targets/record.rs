//! The fuzz target `record`: a session's file with arbitrary bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| session3_test_fuzzing::record(bytes));
