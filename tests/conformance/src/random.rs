//! Random numbers that can be repeated: every seed is printed, and `SEED` in the environment
//! sets it.

use std::env;
use std::hash::{BuildHasher, RandomState};

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Returns the number in the environment variable `SEED`, or a new seed if that is not set,
/// and prints it.
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

/// Creates a runner that checks a property for `cases` random values, which follow from the
/// [`seed`].
///
/// # Panics
///
/// If `SEED` is not a number.
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

/// Returns whether the environment has `TORTURE=long`: then a test may take minutes.
///
/// # Panics
///
/// If `TORTURE` is neither `long` nor `short`.
pub fn is_long() -> bool {
    match env::var("TORTURE").as_deref() {
        Ok("long") => true,
        Ok("short") | Err(_) => false,
        Ok(other) => panic!("TORTURE is `{other}`, but must be `short` or `long`"),
    }
}
