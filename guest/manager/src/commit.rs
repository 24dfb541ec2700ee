//! Making a request's changes last: create, compare-and-swap with merge, touch,
//! delete.

use crate::bindings::exports::session3::sessions::manager::{Header, Mode, SessionError};
use crate::bindings::session3::sessions::{
    events::{EndReason, Event},
    store::{SessionState, StoreError},
};
use crate::changes::Changes;
use crate::config::milliseconds;
use crate::cookie;
use crate::ending::end;
use crate::errors::session_error;
use crate::imports::Imports;
use crate::session::{Base, End, KnownToken, Session, Stored};
use crate::state::State;
use crate::token::{Secret, SecretHash, new_id};

/// Attempts of one commit. Each one that fails means that another commit got
/// through, so 64 requests at once on one session all do. The component cannot
/// sleep between them.
pub const MAX_ROUNDS: u32 = 64;

/// A secret that a commit gives to the session.
struct NewSecret {
    secret: Secret,
    hash: SecretHash,
    is_for_user: bool,
}

impl Session {
    /// Saves what was changed; the headers to send.
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
            // Whatever else fails here, the session is saved, and its new token
            // has to be sent.
            if let Err(error @ StoreError::Unsupported) = self.end_surplus(max, imports) {
                return Err(session_error(error));
            }
        }
        self.logged_in = false;
        self.lock = None;
        Ok(self.take_headers())
    }

    fn delete(&mut self, imports: &dyn Imports) -> Result<Vec<Header>, SessionError> {
        let mut headers = Vec::new();
        if let Some(id) = self.id() {
            if self.end == End::AtCommit {
                end(id, EndReason::ExpiredByApplication, imports)?;
            }
            headers = cookie::clear(&self.config.cookie);
        }
        self.end = End::Done;
        self.stored = None;
        self.lock = None;
        Ok(headers)
    }

    fn create(&mut self, imports: &dyn Imports) -> Result<(), SessionError> {
        let secret = Secret::new(imports);
        let hash = secret.hash();
        let now = imports.now();
        self.view.secrets.start(hash.clone(), now);
        let record = self.view.encode(self.expires(&self.view, now))?;
        for _ in 0..MAX_ROUNDS {
            let id = new_id(imports);
            match imports.create_session(&id, &record) {
                Err(StoreError::Exists) => {}
                Err(error) => return Err(session_error(error)),
                Ok(version) => {
                    imports.report(&Event::Created(id.clone()));
                    self.stored = Some(Stored {
                        id,
                        version,
                        used: now,
                        token: KnownToken::sent(secret, hash),
                    });
                    self.sends_cookie = true;
                    self.committed(record, imports);
                    return Ok(());
                }
            }
        }
        Err(SessionError::Store(
            "every new ID is taken: the random source repeats itself".into(),
        ))
    }

    fn update(&mut self, imports: &dyn Imports) -> Result<(), SessionError> {
        self.check_lock()?;
        let now = imports.now();
        let asks = !self.changes.is_empty();
        let renews = self.is_renewal_due(now) || self.presents_pending_token();
        if !asks && !renews {
            return self.touch(now, imports);
        }
        match self.save(now, imports) {
            // The application asked for nothing, and whoever was faster did
            // this too, or a later request will.
            Err(SessionError::Conflict | SessionError::Ended) if !asks => Ok(()),
            // It may be the secrets that are too much, which it did not ask for.
            Err(SessionError::Invalid(_)) if renews => {
                self.is_full = true;
                self.update(imports)
            }
            result => result,
        }
    }

    /// Compare-and-swap until it succeeds: when others committed first, what
    /// this request changed is applied to what they made.
    fn save(&mut self, now: u64, imports: &dyn Imports) -> Result<(), SessionError> {
        let Some(stored) = &self.stored else {
            return Ok(());
        };
        let new_secret = self.new_secret(now, imports);
        let merges = self.mode == Mode::Merge && !self.changes.is_empty();
        let mut version = stored.version;
        let mut others = None;
        for round in 0..MAX_ROUNDS {
            let next = self.next_state(others.take(), new_secret.as_ref(), now)?;
            let state = next.as_ref().unwrap_or(&self.view);
            let record = state.encode(self.expires(state, now))?;
            match imports.save_session(&stored.id, &record, version) {
                Err(StoreError::Conflict(_)) if merges => {
                    let (state, latest) = self.reload(&stored.id, imports)?;
                    others = Some(state);
                    version = latest;
                }
                Err(error) => return Err(session_error(error)),
                Ok(version) => {
                    if round > 0 {
                        imports.report(&Event::Merged(stored.id.clone()));
                    }
                    self.view = next.unwrap_or_else(|| std::mem::take(&mut self.view));
                    self.saved(version, record, new_secret, now, imports);
                    return Ok(());
                }
            }
        }
        Err(SessionError::Conflict)
    }

    /// What to save, where that is not just the view: with what others made of
    /// the session, or with other secrets.
    fn next_state(
        &self,
        others: Option<State>,
        new_secret: Option<&NewSecret>,
        now: u64,
    ) -> Result<Option<State>, SessionError> {
        let stored = self.stored.as_ref();
        let confirmed = stored.filter(|_| self.presents_pending_token());
        if others.is_none() && new_secret.is_none() && confirmed.is_none() {
            return Ok(None);
        }
        let mut next = match others {
            None => self.view.clone(),
            Some(mut state) => {
                self.changes.apply(&self.view, &mut state)?;
                state
            }
        };
        if let Some(stored) = confirmed {
            let grace = milliseconds(self.config.renew_grace);
            next.secrets
                .confirm(&stored.token.hash, now.saturating_add(grace));
        }
        if let Some(new) = new_secret {
            if new.is_for_user {
                next.secrets.replace_all(new.hash.clone(), now);
            } else if next.secrets.is_newest(&self.base.newest_secret) {
                next.secrets.add(new.hash.clone(), now);
            }
        }
        Ok(Some(next))
    }

    /// What others made of the session; `ended` when it is not this request's
    /// any more.
    pub(crate) fn reload(
        &self,
        id: &str,
        imports: &dyn Imports,
    ) -> Result<(State, u64), SessionError> {
        let stored = imports
            .load_session(id)
            .map_err(session_error)?
            .ok_or(SessionError::Ended)?;
        let state = State::decode(&stored.state)
            .map_err(|error| SessionError::Store(error.text().into()))?;
        if state.user_epoch != self.base.user_epoch {
            return Err(SessionError::Ended);
        }
        Ok((state, stored.version))
    }

    fn saved(
        &mut self,
        version: u64,
        record: SessionState,
        new_secret: Option<NewSecret>,
        now: u64,
        imports: &dyn Imports,
    ) {
        let was_due = self.is_due(now, record.expires);
        if let Some(stored) = &mut self.stored {
            stored.version = version;
            stored.used = now;
            stored.token.is_pending = false;
            // In a merge, a renewal yields to any other.
            if let Some(new) = new_secret.filter(|new| self.view.secrets.is_newest(&new.hash)) {
                stored.token = KnownToken::sent(new.secret, new.hash);
                self.sends_cookie = true;
                if !new.is_for_user {
                    imports.report(&Event::Renewed(stored.id.clone()));
                }
            }
        }
        self.sends_cookie |= was_due && self.may_send_again(&self.view, now);
        self.committed(record, imports);
    }

    fn committed(&mut self, record: SessionState, imports: &dyn Imports) {
        if self.changes.set_a_user() {
            self.logged_in = self.view.user.is_some();
            self.clears_caches |= self.changes.clear_contents();
            if let Some(id) = self.id() {
                imports.report(&Event::UserChanged(id.to_owned()));
            }
        }
        self.base = Base::new(record, &self.view);
        self.changes = Changes::default();
    }

    /// Notes that the session was used, if that was not noted lately.
    fn touch(&mut self, now: u64, imports: &dyn Imports) -> Result<(), SessionError> {
        let expires = self.expires(&self.view, now);
        if !self.is_due(now, expires) {
            return Ok(());
        }
        let Some(stored) = &mut self.stored else {
            return Ok(());
        };
        match imports.touch_session(&stored.id, expires, stored.version) {
            // Whoever saved has moved it too; whoever ended it meant to.
            Err(StoreError::Conflict(_) | StoreError::Absent) => return Ok(()),
            touched => touched.map_err(session_error)?,
        }
        stored.used = now;
        self.base.record.expires = expires;
        self.sends_cookie |= self.may_send_again(&self.view, now);
        Ok(())
    }

    /// Whether it is time to note a use. The second condition is for the first
    /// use, which moves the expiry far, however soon it comes.
    pub(crate) fn is_due(&self, now: u64, expires: u64) -> bool {
        let touch_after = milliseconds(self.config.touch_after);
        let used = self.stored.as_ref().map_or(now, |stored| stored.used);
        now.saturating_sub(used) >= touch_after
            || expires.saturating_sub(self.base.record.expires) > touch_after
    }

    /// From when on the store may delete a session of this state.
    pub(crate) fn expires(&self, state: &State, now: u64) -> u64 {
        let config = &self.config;
        let timeout = if self.is_new() || !state.has_more_than_form_tokens() {
            config.first_use_timeout.min(config.idle_timeout)
        } else {
            config.idle_timeout
        };
        let absolute = state
            .created
            .saturating_add(milliseconds(config.absolute_timeout));
        now.saturating_add(milliseconds(timeout)).min(absolute)
    }

    fn new_secret(&self, now: u64, imports: &dyn Imports) -> Option<NewSecret> {
        let is_for_user = self.changes.set_a_user();
        if !is_for_user && !self.changes.renews && !self.is_renewal_due(now) {
            return None;
        }
        let secret = Secret::new(imports);
        Some(NewSecret {
            hash: secret.hash(),
            secret,
            is_for_user,
        })
    }

    /// Whether it is time for an automatic renewal. A token in its grace is
    /// given none: its browser has, or is about to get, a newer one already.
    fn is_renewal_due(&self, now: u64) -> bool {
        let is_in_grace = |stored: &Stored| stored.token.is_in_grace;
        self.renewal_time(&self.view)
            .is_some_and(|time| now >= time)
            && !self.stored.as_ref().is_some_and(is_in_grace)
    }

    /// When the next renewal is due. As long as the newest token has not come
    /// back, its response may be lost, and a cookie with a lifetime would lapse
    /// meanwhile: it may not be sent again beside a newer one, so one that is
    /// newer still follows.
    fn renewal_time(&self, state: &State) -> Option<u64> {
        let config = &self.config;
        let seconds = if config.cookie.max_age.is_some() && !self.has_newest_token(state) {
            config.renew_grace
        } else {
            config.renew_after
        };
        let time = state
            .secrets
            .renewal
            .renewed
            .saturating_add(milliseconds(seconds));
        (seconds > 0 && !self.is_full).then_some(time)
    }

    fn has_newest_token(&self, state: &State) -> bool {
        let stored = self.stored.as_ref();
        stored.is_some_and(|stored| state.secrets.is_newest(&stored.token.hash))
    }

    fn presents_pending_token(&self) -> bool {
        let stored = self.stored.as_ref();
        !self.is_full && stored.is_some_and(|stored| stored.token.is_pending)
    }

    /// A cookie with a lifetime of its own has to be sent again while the
    /// session is used. But never an older token: the browser would drop the
    /// newer one for it. Nor shortly before a renewal, whose response might
    /// arrive first.
    pub(crate) fn may_send_again(&self, state: &State, now: u64) -> bool {
        let grace = milliseconds(self.config.renew_grace);
        let soon = now.saturating_add(grace);
        self.config.cookie.max_age.is_some()
            && self.renewal_time(state).is_none_or(|time| soon < time)
            && self.has_newest_token(state)
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
