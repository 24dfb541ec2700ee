//! Creating the form tokens of a session, and using them up when forms are submitted.

use crate::bindings::exports::session3::sessions::manager::{Mode, SessionError};
use crate::bindings::session3::sessions::store::StoreError;
use crate::errors::session_error;
use crate::forms::FormTokenHash;
use crate::imports::Imports;
use crate::merge::{MAX_ATTEMPTS, load_newer};
use crate::session::Session;
use crate::token::encode_base64;

impl Session {
    /// Creates a form token, which is valid once this request has committed.
    pub fn create_form_token(&mut self, imports: &dyn Imports) -> Result<String, SessionError> {
        self.check_writable()?;
        let token = imports.random().to_le_bytes();
        let hash = FormTokenHash::new(&token);
        self.view.forms.add(hash);
        self.changes.forms.add(hash);
        Ok(encode_base64(&token))
    }

    /// Returns whether a form token is valid.
    pub fn has_form_token(&self, text: &str) -> bool {
        FormTokenHash::parse(text).is_some_and(|token| self.view.forms.has(&token))
    }

    /// Uses a form token up in the store, and returns whether it was valid.
    pub fn remove_form_token(
        &mut self,
        text: &str,
        imports: &dyn Imports,
    ) -> Result<bool, SessionError> {
        self.check_immediate()?;
        let Some(token) = FormTokenHash::parse(text).filter(|token| self.view.forms.has(token))
        else {
            return Ok(false);
        };
        // A form token that this request created is not stored yet.
        let was_valid =
            self.changes.forms.remove(&token) || self.remove_stored_form_token(&token, imports)?;
        self.view.forms.remove(&token);
        Ok(was_valid)
    }

    /// Saves the session without the form token and without the changes of this request,
    /// which wait for the commit. Returns whether the form token was valid.
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
        for attempt in 0..MAX_ATTEMPTS {
            if !state.forms.remove(token) {
                self.remove_from_base(token)?;
                return Ok(false);
            }
            let now = imports.now();
            let record = state.encode(self.expires(&state, now))?;
            match imports.save_session(&stored.id, &record, version) {
                Err(StoreError::Conflict(_)) if self.mode == Mode::Merge => {
                    (state, version) = load_newer(&stored.id, self.base.user_epoch, imports)?;
                }
                Err(error) => return Err(session_error(error)),
                Ok(saved) => {
                    let sends =
                        self.is_touch_due(now, record.expires) && self.may_send_again(&state, now);
                    self.sends_cookie |= sends;
                    // If other requests committed meanwhile, the version stays as it is,
                    // so that the commit finds a conflict and merges with their changes.
                    if attempt > 0 {
                        self.remove_from_base(token)?;
                    } else if let Some(stored) = &mut self.stored {
                        stored.version = saved;
                        stored.last_used = now;
                        self.base.record = record;
                    }
                    return Ok(true);
                }
            }
        }
        Err(SessionError::Conflict)
    }

    /// Removes a form token from the base, so that it stays used up if the changes are
    /// forgotten.
    fn remove_from_base(&mut self, token: &FormTokenHash) -> Result<(), SessionError> {
        let mut state = self.decode_base()?;
        state.forms.remove(token);
        self.base.record = state.encode(self.base.record.expires)?;
        Ok(())
    }
}
