#![no_main]

#[expect(dead_code, reason = "each target has its own body")]
#[path = "../../tests/fuzzing/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bodies::operations(bytes));
