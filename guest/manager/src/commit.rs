//! The commit: what it does with a session, and the headers that it returns.

use crate::bindings::exports::session3::sessions::manager::{Header, Mode, SessionError};
use crate::bindings::session3::sessions::{events::EndReason, store::StoreError};
use crate::cookie;
use crate::ending::end_session;
use crate::errors::session_error;
use crate::imports::Imports;
use crate::session::{End, Session};
use crate::user_sessions::end_surplus_sessions;

impl Session {
    /// Commits the changes of the request and returns the headers to send.
    pub fn commit(&mut self, imports: &dyn Imports) -> Result<Vec<Header>, SessionError> {
        match self.end {
            End::Done => return Ok(Vec::new()),
            End::AtCommit | End::Deleted => return self.delete(imports),
            End::No if self.mode == Mode::ReadOnly => return Ok(Vec::new()),
            End::No => {}
        }
        if self.stored.is_some() {
            self.update(imports)?;
        } else if self.view.has_info() {
            self.create(imports)?;
        }
        if let (true, Some(max)) = (self.logged_in, self.config.max_sessions_per_user) {
            // The session is saved and its new token has to be sent, so the commit fails
            // only if the store can never keep to the limit.
            if let Err(error @ StoreError::Unsupported) = self.end_surplus(max, imports) {
                return Err(session_error(error));
            }
        }
        self.logged_in = false;
        self.lock = None;
        Ok(self.take_headers())
    }

    /// Ends the session, unless that is done, and returns the headers that delete the
    /// cookie.
    fn delete(&mut self, imports: &dyn Imports) -> Result<Vec<Header>, SessionError> {
        let mut headers = Vec::new();
        if let Some(id) = self.id() {
            if self.end == End::AtCommit {
                end_session(id, EndReason::ExpiredByApplication, imports)?;
            }
            headers = cookie::clear(&self.config.cookie);
        }
        self.end = End::Done;
        self.stored = None;
        self.lock = None;
        Ok(headers)
    }

    /// Saves or touches a stored session, as far as that is necessary.
    fn update(&mut self, imports: &dyn Imports) -> Result<(), SessionError> {
        self.check_lock()?;
        let now = imports.now();
        let has_changes = !self.changes.is_empty();
        let renews = self.is_renewal_due(now) || self.pending_token().is_some();
        if !has_changes && !renews {
            return self.touch(now, imports);
        }
        match self.save(now, imports) {
            // The application changed nothing. The request that committed first has renewed
            // the token, too, or a later request will.
            Err(SessionError::Conflict | SessionError::Ended) if !has_changes => Ok(()),
            // The store may have no room for the secrets of the renewal, for which the
            // application did not ask, so the second attempt does without them.
            Err(SessionError::Invalid(_)) if renews => {
                self.is_full = true;
                self.update(imports)
            }
            result => result,
        }
    }

    fn end_surplus(&self, max: u32, imports: &dyn Imports) -> Result<(), StoreError> {
        match &self.view.user {
            Some(user) => end_surplus_sessions(user, self.id(), max, imports),
            None => Ok(()),
        }
    }

    fn take_headers(&mut self) -> Vec<Header> {
        match &self.stored {
            Some(stored) if std::mem::take(&mut self.sends_cookie) => {
                let token = stored.token.secret.token(&stored.id);
                let mut headers = cookie::set(&self.config.cookie, &token);
                if std::mem::take(&mut self.clears_caches) {
                    headers.push(cookie::clear_caches());
                }
                headers
            }
            _ => Vec::new(),
        }
    }
}
