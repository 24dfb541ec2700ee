//! Random numbers that a seed reproduces.

use session3_test_support::dice::Dice;

/// A generator of random numbers.
pub struct Random(Dice);

impl Random {
    /// Creates a generator. The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(Dice::new(seed))
    }

    /// Returns a random number.
    pub fn number(&mut self) -> u64 {
        self.0.roll()
    }

    /// Returns a random number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// Returns a random length of a state in bytes, from 100 to a million. All orders of magnitude
    /// are about equally likely.
    pub fn length(&mut self) -> u64 {
        let least = 100 << self.below(14);
        (least + self.below(least)).min(1_000_000)
    }
}
