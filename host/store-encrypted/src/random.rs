//! Where random bytes come from, which is passed in so that tests control it.

use rand::Rng;

/// A source of random bytes that an attacker cannot predict.
pub trait RandomSource: Send + Sync {
    /// Fills the whole of `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The generator of this thread, which the operating system seeds.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl RandomSource for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

impl<F: Fn(&mut [u8]) + Send + Sync> RandomSource for F {
    fn fill(&self, bytes: &mut [u8]) {
        self(bytes);
    }
}
