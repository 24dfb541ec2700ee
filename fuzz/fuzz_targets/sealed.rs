//! The fuzz target `sealed`: a sealed state with arbitrary bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| session3_test_fuzzing::sealed(bytes));
