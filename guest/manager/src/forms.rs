//! One-time tokens against cross-site request forgery.

use serde::Serialize;
use subtle::{Choice, ConstantTimeEq};

use crate::encoding::{DecodeError, Input};
use crate::token::{from_base64, sha_256};

/// Form tokens of one session: forms that are open in many tabs.
const MAX_TOKENS: usize = 32;

/// What the record keeps of a form token: the first half of the SHA-256 of its
/// 128 random bits, so that a stolen copy of the store has none that is good.
#[derive(Clone, Copy, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct FormTokenHash([u8; 16]);

/// The tokens that are good, oldest first.
#[derive(Clone, Default, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct FormTokens(Vec<FormTokenHash>);

impl FormTokenHash {
    /// Of a token's bits.
    pub fn of(token: &[u8; 16]) -> Self {
        let hash = sha_256(token);
        Self(std::array::from_fn(|index| hash[index]))
    }

    /// None for everything that was never issued in this form.
    pub fn parse(text: &str) -> Option<Self> {
        from_base64(text).map(|token| Self::of(&token))
    }

    fn is(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl FormTokens {
    /// Those of a record.
    pub fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let hashes = input.list(|input| input.value().map(FormTokenHash));
        hashes.map(Self)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds one; the oldest goes when there are too many.
    pub fn add(&mut self, token: FormTokenHash) {
        self.0.push(token);
        if self.0.len() > MAX_TOKENS {
            self.0.remove(0);
        }
    }

    /// Adds those of another request.
    pub fn add_all(&mut self, others: &Self) {
        for token in &others.0 {
            self.add(*token);
        }
    }

    /// Whether the token is good. It takes as long whether it is or not.
    pub fn has(&self, token: &FormTokenHash) -> bool {
        let found = self.0.iter().map(|other| other.is(token));
        found.fold(Choice::from(0), |any, is| any | is).into()
    }

    /// Takes a token out; whether it was there.
    pub fn remove(&mut self, token: &FormTokenHash) -> bool {
        let had = self.has(token);
        if had {
            self.0.retain(|other| !bool::from(other.is(token)));
        }
        had
    }

    /// Hashes those of a record that has them as they were sent.
    pub fn hash(&mut self) {
        for token in &mut self.0 {
            *token = FormTokenHash::of(&token.0);
        }
    }

    /// Takes all of them out.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
