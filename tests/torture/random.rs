//! Random numbers that a seed brings back.

use session3_test_support::dice::Dice;

/// The numbers of a seed.
pub struct Random(Dice);

impl Random {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(Dice::new(seed))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.roll()
    }

    /// One from 0 to `end`, without that.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// The length of a state, from 100 bytes to a megabyte, as many of each
    /// order of magnitude.
    pub fn length(&mut self) -> u64 {
        let least = 100 << self.below(14);
        (least + self.below(least)).min(1_000_000)
    }
}
