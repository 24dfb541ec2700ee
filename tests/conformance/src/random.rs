//! Random numbers that can be repeated: every seed is printed, and `SEED=…` in the
//! environment sets it.

use std::env;
use std::hash::{BuildHasher, RandomState};

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Returns the seed of the environment, or a new one, and prints it.
///
/// # Panics
///
/// If `SEED` is not a number.
pub fn seed() -> u64 {
    let seed = match env::var("SEED") {
        Ok(seed) => seed.parse().expect("SEED is a number"),
        Err(_) => RandomState::new().hash_one(()),
    };
    println!("SEED={seed}");
    seed
}

/// Creates a runner of properties with this number of cases.
pub fn runner(cases: u32) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed().to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, rng)
}

/// Returns whether `TORTURE=long` is in the environment, so that a test may take long.
///
/// # Panics
///
/// If `TORTURE` is neither `long` nor `short`.
pub fn is_long() -> bool {
    match env::var("TORTURE").as_deref() {
        Ok("long") => true,
        Ok("short") | Err(_) => false,
        Ok(other) => panic!("TORTURE is {other}: say short or long"),
    }
}
