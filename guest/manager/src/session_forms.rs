//! The form tokens of a session: created, checked, and used up in the store.

use crate::bindings::exports::session3::sessions::manager::{Mode, SessionError};
use crate::bindings::session3::sessions::store::StoreError;
use crate::commit::MAX_ROUNDS;
use crate::errors::session_error;
use crate::forms::FormTokenHash;
use crate::imports::Imports;
use crate::session::Session;
use crate::token::base64;

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
