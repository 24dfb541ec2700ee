//! The token against cross-site request forgery that a session gives to all of its forms
//! (OWASP, "Cross-Site Request Forgery Prevention").
//!
//! The session stores a seed. Each page gets the seed under another mask, so that an attacker
//! who makes the browser compress the page with guesses learns nothing (BREACH).

use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::encoding::{DecodeError, Input};
use crate::token::{SecretHash, decode_base64, encode_base64};

const LENGTH: usize = 16;

/// The seed of a session's CSRF tokens.
#[derive(Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(Debug))]
pub struct CsrfSeed([u8; LENGTH]);

impl CsrfSeed {
    /// Creates a seed from 128 random bits.
    pub fn new(random: u128) -> Self {
        Self(random.to_le_bytes())
    }

    /// Derives a seed from the current secret of a stored session. Concurrent requests that
    /// need the first seed of a session derive the same one, so that the forms of all their
    /// pages are valid.
    pub fn derive(secret: &SecretHash, user_epoch: u64) -> Self {
        let digest = Sha256::new_with_prefix(b"session3 csrf")
            .chain_update(user_epoch.to_le_bytes())
            .chain_update(secret.bytes())
            .finalize();
        Self(std::array::from_fn(|index| digest[index]))
    }

    /// Decodes a seed.
    pub fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.value().map(Self)
    }

    /// Returns the token for a page: a random mask, and the seed under that mask.
    pub fn token(&self, mask: u128) -> String {
        let mask = mask.to_le_bytes();
        let mut token = [0; 2 * LENGTH];
        let (first, second) = token.split_at_mut(LENGTH);
        first.copy_from_slice(&mask);
        second.copy_from_slice(&masked(&self.0, &mask));
        encode_base64(&token)
    }

    /// Returns whether a text is a token of this seed. It compares in constant time.
    pub fn is_token(&self, text: &str) -> bool {
        let Some(token) = decode_base64::<{ 2 * LENGTH }>(text) else {
            return false;
        };
        let (mask, seed) = token.split_at(LENGTH);
        masked(&self.0, mask).ct_eq(seed).into()
    }
}

fn masked(seed: &[u8; LENGTH], mask: &[u8]) -> [u8; LENGTH] {
    let mut masked = *seed;
    for (byte, mask) in masked.iter_mut().zip(mask) {
        *byte ^= mask;
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_has_another_token_and_all_are_valid() {
        let seed = CsrfSeed::new(7);
        let tokens = [seed.token(1), seed.token(2), seed.token(u128::MAX)];
        assert!(tokens.iter().all(|token| token.len() == 43));
        assert!(tokens.iter().all(|token| seed.is_token(token)));
        assert_ne!(tokens[0], tokens[1]);
        // Neither half of a token is the same on two pages.
        assert_ne!(tokens[0][22..], tokens[1][22..]);
    }

    #[test]
    fn what_is_not_a_token_of_the_seed_is_refused() {
        let seed = CsrfSeed::new(7);
        let token = seed.token(1);
        let other = CsrfSeed::new(8).token(1);
        let unmasked = encode_base64(&7_u128.to_le_bytes());
        let longer = format!("{token}A");
        for text in ["", &other, &unmasked, &longer, &token[1..], "é"] {
            assert!(!seed.is_token(text), "{text}");
        }
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(!seed.is_token(&changed), "{changed}");
        }
    }

    #[test]
    fn a_derived_seed_depends_on_the_secret_and_the_epoch() {
        let (one, other) = (
            SecretHash::default(),
            crate::token::Secret::example().hash(),
        );
        let seed = CsrfSeed::derive(&one, 0);
        assert!(seed == CsrfSeed::derive(&one, 0));
        assert!(seed != CsrfSeed::derive(&one, 1));
        assert!(seed != CsrfSeed::derive(&other, 0));
    }
}
