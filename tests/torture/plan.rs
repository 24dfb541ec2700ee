//! The length of the tortures, and the seed of their random choices.

use std::env;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::random::Random;

/// The length and the seed, as the environment sets them.
pub struct Plan {
    is_long: bool,
    seed: u64,
}

impl Plan {
    /// Reads `TORTURE` and `SEED`. The defaults are a short run and a new seed.
    pub fn from_environment() -> Self {
        let is_long = match env::var("TORTURE").as_deref() {
            Ok("long") => true,
            Ok("short") | Err(_) => false,
            Ok(other) => panic!("TORTURE is `{other}`, but must be `short` or `long`"),
        };
        let seed = match env::var("SEED") {
            Ok(seed) => seed.parse().expect("SEED is a number"),
            Err(_) => RandomState::new().hash_one(0),
        };
        Self { is_long, seed }
    }

    /// Returns the random numbers for one torture.
    pub fn random(&self) -> Random {
        Random::new(self.seed)
    }

    /// Returns how long one configuration of processes works.
    pub fn duration(&self) -> Duration {
        Duration::from_millis(if self.is_long { 10_000 } else { 2500 })
    }

    /// Returns how many processes are killed for each durability.
    pub fn kills(&self) -> u64 {
        if self.is_long { 1000 } else { 100 }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = if self.is_long { "long" } else { "short" };
        write!(f, "TORTURE={length} SEED={}", self.seed)
    }
}
