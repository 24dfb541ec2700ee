//! Making a request's changes last: create, compare-and-swap with merge, touch,
//! delete.

use crate::bindings::exports::session3::sessions::manager::{Header, Mode, SessionError};
use crate::bindings::session3::sessions::{
    events::{EndReason, Event},
    store::StoreError,
};
use crate::changes::Changes;
use crate::config::milliseconds;
use crate::cookie;
use crate::imports::Imports;
use crate::session::{End, Session, Stored};
use crate::state::State;
use crate::token::{Secret, new_id};

/// Attempts of one commit. Each one that fails means that another commit got
/// through, so 64 requests at once on one session all do. The component cannot
/// sleep between them.
const MAX_ROUNDS: u32 = 64;

impl Session {
    /// Saves what was changed; the headers to send.
    pub fn commit(&mut self, imports: &dyn Imports) -> Result<Vec<Header>, SessionError> {
        match self.end {
            End::Done => return Ok(Vec::new()),
            End::AtCommit => return self.delete(imports),
            End::No => {}
        }
        match self.stored.clone() {
            None if self.view.has_info() => self.create(imports),
            Some(stored) if !self.changes.is_empty() => self.save(stored, imports),
            Some(stored) if self.mode != Mode::ReadOnly => self.touch(stored, imports),
            _ => Ok(Vec::new()),
        }
    }

    fn delete(&mut self, imports: &dyn Imports) -> Result<Vec<Header>, SessionError> {
        let mut headers = Vec::new();
        if let Some(id) = self.id() {
            if imports.delete_session(id).map_err(session_error)? {
                let reason = EndReason::ExpiredByApplication;
                imports.report(&Event::Ended((id.to_owned(), reason)));
            }
            headers = cookie::clear(&self.config.cookie);
        }
        self.end = End::Done;
        self.stored = None;
        Ok(headers)
    }

    fn create(&mut self, imports: &dyn Imports) -> Result<Vec<Header>, SessionError> {
        let secret = Secret::new(imports);
        let mut state = self.view.clone();
        state.secret = secret.hash();
        let now = imports.now();
        let record = state.encode(self.expires(&state, now))?;
        for _ in 0..MAX_ROUNDS {
            let id = new_id(imports);
            match imports.create_session(&id, &record) {
                Err(StoreError::Exists) => {}
                Err(error) => return Err(session_error(error)),
                Ok(version) => {
                    imports.report(&Event::Created(id.clone()));
                    let stored = Stored {
                        id,
                        version,
                        used: now,
                        expires: record.expires,
                        secret: Some(secret),
                    };
                    self.committed(state, stored, imports);
                    return Ok(self.set_cookie());
                }
            }
        }
        Err(SessionError::Store(
            "every new ID is taken: the random source repeats itself".into(),
        ))
    }

    /// Compare-and-swap until it succeeds: when others committed first, what
    /// this request changed is applied to what they made.
    fn save(
        &mut self,
        mut stored: Stored,
        imports: &dyn Imports,
    ) -> Result<Vec<Header>, SessionError> {
        let new_secret = self.changes.set_a_user().then(|| Secret::new(imports));
        let mut others = None;
        for _ in 0..MAX_ROUNDS {
            let mut state = self.changes.apply(others.as_ref().unwrap_or(&self.base))?;
            if let Some(secret) = &new_secret {
                state.secret = secret.hash();
            }
            let now = imports.now();
            let record = state.encode(self.expires(&state, now))?;
            match imports.save_session(&stored.id, &record, stored.version) {
                Err(StoreError::Conflict(_)) if self.mode != Mode::Strict => {
                    let (state, version) = self.reload(&stored.id, imports)?;
                    others = Some(state);
                    stored.version = version;
                }
                Err(error) => return Err(session_error(error)),
                Ok(version) => {
                    if others.is_some() {
                        imports.report(&Event::Merged(stored.id.clone()));
                    }
                    let is_due = self.is_due(&stored, now, record.expires);
                    let sends_cookie = new_secret.is_some() || self.renews_cookie(is_due);
                    // When another request gave the session a new secret, ours
                    // opens nothing any more.
                    let old_secret = stored.secret.filter(|_| state.secret == self.base.secret);
                    stored = Stored {
                        version,
                        used: now,
                        expires: record.expires,
                        secret: new_secret.or(old_secret),
                        ..stored
                    };
                    self.committed(state, stored, imports);
                    return Ok(self.set_cookie_if(sends_cookie));
                }
            }
        }
        Err(SessionError::Conflict)
    }

    /// What others made of the session; `ended` when it is not this request's
    /// any more.
    fn reload(&self, id: &str, imports: &dyn Imports) -> Result<(State, u64), SessionError> {
        let stored = imports
            .load_session(id)
            .map_err(session_error)?
            .ok_or(SessionError::Ended)?;
        let state = State::decode(&stored.state)
            .map_err(|error| SessionError::Store(format!("session {id}: {error}")))?;
        if state.user_epoch != self.base.user_epoch {
            return Err(SessionError::Ended);
        }
        Ok((state, stored.version))
    }

    /// Notes that the session was used, if that was not noted lately.
    fn touch(
        &mut self,
        mut stored: Stored,
        imports: &dyn Imports,
    ) -> Result<Vec<Header>, SessionError> {
        let now = imports.now();
        let expires = self.expires(&self.base, now);
        if !self.is_due(&stored, now, expires) {
            return Ok(Vec::new());
        }
        match imports.touch_session(&stored.id, expires, stored.version) {
            // Whoever saved has moved it too; whoever ended it meant to.
            Err(StoreError::Conflict(_) | StoreError::Absent) => return Ok(Vec::new()),
            touched => touched.map_err(session_error)?,
        }
        stored.used = now;
        stored.expires = expires;
        self.stored = Some(stored);
        Ok(self.set_cookie_if(self.renews_cookie(true)))
    }

    /// Whether it is time to note a use. The second condition is for the first
    /// use, which moves the expiry far, however soon it comes.
    fn is_due(&self, stored: &Stored, now: u64, expires: u64) -> bool {
        let touch_after = milliseconds(self.config.touch_after);
        now.saturating_sub(stored.used) >= touch_after
            || expires.saturating_sub(stored.expires) > touch_after
    }

    /// From when on the store may delete a session of this state.
    fn expires(&self, state: &State, now: u64) -> u64 {
        let config = &self.config;
        let timeout = if self.is_new() || !state.has_info() {
            config.first_use_timeout.min(config.idle_timeout)
        } else {
            config.idle_timeout
        };
        let absolute = state
            .created
            .saturating_add(milliseconds(config.absolute_timeout));
        now.saturating_add(milliseconds(timeout)).min(absolute)
    }

    fn committed(&mut self, state: State, stored: Stored, imports: &dyn Imports) {
        if self.changes.set_a_user() {
            imports.report(&Event::UserChanged(stored.id.clone()));
        }
        self.stored = Some(stored);
        self.changes = Changes::default();
        self.view = state.clone();
        self.base = state;
    }

    /// A cookie with a lifetime of its own has to be sent again while the
    /// session is used.
    fn renews_cookie(&self, is_due: bool) -> bool {
        is_due && self.config.cookie.max_age.is_some()
    }

    fn set_cookie_if(&self, condition: bool) -> Vec<Header> {
        if condition {
            self.set_cookie()
        } else {
            Vec::new()
        }
    }

    fn set_cookie(&self) -> Vec<Header> {
        let Some(Stored {
            id,
            secret: Some(secret),
            ..
        }) = &self.stored
        else {
            return Vec::new();
        };
        cookie::set(&self.config.cookie, &secret.token(id))
    }
}

/// What a failure of the store means to an application.
pub fn session_error(error: StoreError) -> SessionError {
    match error {
        StoreError::Absent => SessionError::Ended,
        StoreError::Conflict(_) => SessionError::Conflict,
        StoreError::Busy => SessionError::Busy,
        StoreError::TooLarge(limit) => SessionError::Invalid(format!(
            "the session is larger than the store's limit of {limit} bytes: keep less in it"
        )),
        StoreError::Corrupt(why) => SessionError::Store(format!("the record is damaged: {why}")),
        StoreError::Unavailable(why) => SessionError::Store(why),
        StoreError::InvalidId | StoreError::Exists | StoreError::Unsupported => {
            SessionError::Store(error.to_string())
        }
    }
}
