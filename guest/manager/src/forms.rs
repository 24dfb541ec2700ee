//! One-time tokens against cross-site request forgery.

use serde::Serialize;
use subtle::{Choice, ConstantTimeEq};

use crate::bindings::exports::session3::sessions::manager::{Mode, SessionError};
use crate::bindings::session3::sessions::store::StoreError;
use crate::commit::{MAX_ROUNDS, session_error};
use crate::encoding::Input;
use crate::imports::Imports;
use crate::session::Session;
use crate::state::DecodeError;
use crate::token::{base64, from_base64, sha_256};

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
    fn parse(text: &str) -> Option<Self> {
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

impl Session {
    /// A new form token.
    pub fn create_form_token(&mut self, imports: &dyn Imports) -> Result<String, SessionError> {
        self.check_writable()?;
        let token = imports.random().to_le_bytes();
        let hash = FormTokenHash::of(&token);
        self.view.forms.add(hash);
        self.changes.forms.add(hash);
        Ok(base64(&token))
    }

    /// Whether a form token is good.
    pub fn has_form_token(&self, text: &str) -> bool {
        FormTokenHash::parse(text).is_some_and(|token| self.view.forms.has(&token))
    }

    /// Uses a form token up in the store; whether it was good.
    pub fn remove_form_token(
        &mut self,
        text: &str,
        imports: &dyn Imports,
    ) -> Result<bool, SessionError> {
        self.check_writable()?;
        let Some(token) = FormTokenHash::parse(text).filter(|token| self.view.forms.has(token))
        else {
            return Ok(false);
        };
        // One that this request made, nobody else knows.
        let was_good =
            self.changes.forms.remove(&token) || self.remove_stored_form_token(&token, imports)?;
        self.view.forms.remove(&token);
        Ok(was_good)
    }

    /// Saves the session as the request found it, without the token: what the
    /// request changed is not committed yet.
    fn remove_stored_form_token(
        &mut self,
        token: &FormTokenHash,
        imports: &dyn Imports,
    ) -> Result<bool, SessionError> {
        self.check_lock()?;
        let Some(stored) = &self.stored else {
            return Ok(false);
        };
        let mut version = stored.version;
        let mut state = self.decode_base()?;
        for round in 0..MAX_ROUNDS {
            if !state.forms.remove(token) {
                self.remove_from_base(token)?;
                return Ok(false);
            }
            let now = imports.now();
            let record = state.encode(self.expires(&state, now))?;
            match imports.save_session(&stored.id, &record, version) {
                Err(StoreError::Conflict(_)) if self.mode == Mode::Merge => {
                    (state, version) = self.reload(&stored.id, imports)?;
                }
                Err(error) => return Err(session_error(error)),
                Ok(saved) => {
                    let sends =
                        self.is_due(now, record.expires) && self.may_send_again(&state, now);
                    self.sends_cookie |= sends;
                    // After others' commits, the version stays as it was, so
                    // that the next commit finds a conflict and merges with
                    // theirs.
                    if round > 0 {
                        self.remove_from_base(token)?;
                    } else if let Some(stored) = &mut self.stored {
                        stored.version = saved;
                        stored.used = now;
                        self.base.record = record;
                    }
                    return Ok(true);
                }
            }
        }
        Err(SessionError::Conflict)
    }

    /// Forgotten changes do not bring it back.
    fn remove_from_base(&mut self, token: &FormTokenHash) -> Result<(), SessionError> {
        let mut state = self.decode_base()?;
        state.forms.remove(token);
        self.base.record = state.encode(self.base.record.expires)?;
        Ok(())
    }
}
