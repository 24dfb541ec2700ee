//! One-time tokens against cross-site request forgery.

use serde::Serialize;
use subtle::{Choice, ConstantTimeEq};

use crate::encoding::{DecodeError, Input};
use crate::token::{decode_base64, sha_256};

/// The number of form tokens that one session keeps. A user may have forms open in many
/// tabs.
const MAX_TOKENS: usize = 32;

/// The first half of the SHA-256 of a form token's 128 random bits. The record contains
/// only hashes, so that a stolen copy of the store has no valid form tokens.
#[derive(Clone, Copy, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct FormTokenHash([u8; 16]);

/// The hashes of the valid form tokens, oldest first.
#[derive(Clone, Default, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct FormTokens(Vec<FormTokenHash>);

impl FormTokenHash {
    /// Hashes the bits of a form token.
    pub fn new(token: &[u8; 16]) -> Self {
        let hash = sha_256(token);
        Self(std::array::from_fn(|index| hash[index]))
    }

    /// Hashes a form token as a browser sends it. Returns `None` if the text is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        decode_base64::<16>(text).map(|token| Self::new(&token))
    }

    fn is(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl FormTokens {
    /// Decodes the hashes.
    pub fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let hashes = input.list(|input| input.value().map(FormTokenHash));
        hashes.map(Self)
    }

    /// Returns whether there are no valid form tokens.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of valid form tokens.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds a form token. If there are too many, the oldest is dropped.
    pub fn add(&mut self, token: FormTokenHash) {
        self.0.push(token);
        if self.0.len() > MAX_TOKENS {
            self.0.remove(0);
        }
    }

    /// Adds all form tokens of `added`.
    pub fn add_all(&mut self, added: &Self) {
        for token in &added.0 {
            self.add(*token);
        }
    }

    /// Returns whether a form token is valid. The time that this takes does not depend on
    /// the result.
    pub fn has(&self, token: &FormTokenHash) -> bool {
        let found = self.0.iter().map(|other| other.is(token));
        found.fold(Choice::from(0), |any, is| any | is).into()
    }

    /// Removes a form token and returns whether it was valid.
    pub fn remove(&mut self, token: &FormTokenHash) -> bool {
        let was_valid = self.has(token);
        if was_valid {
            self.0.retain(|other| !bool::from(other.is(token)));
        }
        was_valid
    }

    /// Hashes the form tokens of a record that contains the tokens themselves.
    pub fn hash(&mut self) {
        for token in &mut self.0 {
            *token = FormTokenHash::new(&token.0);
        }
    }

    /// Removes all form tokens.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
