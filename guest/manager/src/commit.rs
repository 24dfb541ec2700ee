//! The commit: what it does with a session, and the headers that it returns.

use crate::bindings::exports::session3::sessions::manager::{Header, Mode, SessionError};
use crate::bindings::session3::sessions::{
    events::{EndReason, Event},
    store::StoreError,
};
use crate::cookie;
use crate::ending::end_session;
use crate::errors::session_error;
use crate::imports::Imports;
use crate::session::{Arrival, End, Session};
use crate::user_sessions::end_surplus_sessions;

impl Session {
    /// Commits the changes of the request and returns the headers to send.
    pub fn commit(&mut self, imports: &dyn Imports) -> Result<Vec<Header>, SessionError> {
        if self.end == End::Closed {
            return Err(SessionError::Ended);
        }
        if matches!(self.mode, Mode::ReadOnly | Mode::DryRun) || self.end == End::Done {
            return Ok(self.page_headers());
        }
        if self.stored.is_none() && self.end == End::No && !self.view.has_info() {
            return Ok(self.page_headers());
        }
        let now = imports.now();
        if !self.has_to_write(now) {
            if self.end != End::No {
                return self.delete(imports);
            }
            self.check_lock()?;
            self.touch(now, imports)?;
            self.lock = None;
            return Ok(self.take_headers());
        }
        imports.report(&Event::CommitBegan);
        let headers = self.write(now, imports);
        imports.report(&Event::CommitEnded);
        headers
    }

    /// Returns whether the commit creates, saves or ends a session.
    fn has_to_write(&self, now: u64) -> bool {
        match (&self.stored, self.end) {
            (_, End::Deleted | End::Done | End::Closed) => false,
            (stored, End::AtCommit) => stored.is_some(),
            (None, End::No) => self.view.has_info(),
            (Some(_), End::No) => {
                !self.changes.is_empty() || self.has_to_save(now) || self.logged_in
            }
        }
    }

    /// Returns whether a save is due for which the application did not ask.
    fn has_to_save(&self, now: u64) -> bool {
        self.is_renewal_due(now) || self.pending_token().is_some() || self.has_wrong_times
    }

    fn write(&mut self, now: u64, imports: &dyn Imports) -> Result<Vec<Header>, SessionError> {
        if self.end == End::AtCommit {
            return self.delete(imports);
        }
        if self.stored.is_some() {
            self.update(now, imports)?;
        } else if self.arrival == Arrival::Late && self.view.user.is_none() {
            return Err(SessionError::Ended);
        } else {
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
        let id = self.id();
        if let (Some(id), End::AtCommit) = (id, self.end) {
            end_session(id, EndReason::ExpiredByApplication, imports)?;
        }
        let headers = if id.is_some() || self.arrival == Arrival::DeadCookie {
            let mut headers = cookie::clear(&self.config.cookie);
            headers.extend(self.config.clear_cache.then(cookie::clear_cache));
            headers
        } else {
            self.page_headers()
        };
        self.end = End::Done;
        self.stored = None;
        self.lock = None;
        Ok(headers)
    }

    /// Saves a stored session, or touches it if there is nothing to save after all.
    fn update(&mut self, now: u64, imports: &dyn Imports) -> Result<(), SessionError> {
        self.check_lock()?;
        let has_changes = !self.changes.is_empty();
        let renews = self.is_renewal_due(now) || self.pending_token().is_some();
        if !has_changes && !self.has_to_save(now) {
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
                self.update(now, imports)
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
                let mut headers = cookie::set(&self.config.cookie, &token, self.max_age());
                let clears_cache = std::mem::take(&mut self.takes_user_away);
                let clears_cache = clears_cache && self.config.clear_cache;
                headers.extend(clears_cache.then(cookie::clear_cache));
                headers
            }
            _ => self.page_headers(),
        }
    }

    /// Returns the headers of a response without the cookie. They keep caches from giving what
    /// depends on the session to another visitor.
    fn page_headers(&self) -> Vec<Header> {
        let mut headers = Vec::new();
        if self.is_looked_at() {
            headers.push(cookie::vary());
            if self.view.user.is_some() {
                headers.push(cookie::user_caching(self.config.user_caching));
            }
        }
        headers
    }
}
