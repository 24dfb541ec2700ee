//! One request's view of a session: the state as the request found it, and its changes.

use std::cell::Cell;
use std::rc::Rc;

use crate::attribute::{Attribute, invalid, sum};
use crate::bindings::exports::session3::sessions::manager::{Config, Mode, Request, SessionError};
use crate::bindings::session3::sessions::{session_types::Value, store::SessionState};
use crate::client::kept_part;
use crate::config::milliseconds;
use crate::csrf::CsrfSeed;
use crate::errors::undecodable;
use crate::imports::{Imports, SessionLock};
use crate::merge::Changes;
use crate::renewal::{KnownToken, Rules};
use crate::state::State;
use crate::timeouts::{expires, is_touch_due, max_age};
use crate::token::SecretHash;

/// The length of an attribute's name, in bytes.
const MAX_NAME: usize = 256;
/// The length of a user's name, in bytes.
const MAX_USER: usize = 1024;

/// A session as one request sees it.
pub struct Session {
    pub(crate) config: Rc<Config>,
    pub(crate) mode: Mode,
    is_new: bool,
    /// What the request's cookie tells of a session that it does not open.
    pub(crate) arrival: Arrival,
    accessed: u64,
    /// Whether the application has called any function but the commit. If so, the response may
    /// depend on the session.
    is_looked_at: Cell<bool>,
    /// Whether the base has times in the future, which a save corrects.
    pub(crate) has_wrong_times: bool,
    /// The place of the session in the store; `None` before its first commit.
    pub(crate) stored: Option<Stored>,
    /// The session without the changes.
    pub(crate) base: Base,
    /// The changes since the request found the session or last committed it.
    pub(crate) changes: Changes,
    /// The base with the changes.
    pub(crate) view: State,
    pub(crate) end: End,
    /// The lock of an exclusive session, until its commit.
    pub(crate) lock: Option<Box<dyn SessionLock>>,
    /// Whether the next successful commit sends the cookie.
    pub(crate) sends_cookie: bool,
    /// Whether that commit takes a user away, so that the browser may clear its cache.
    pub(crate) takes_user_away: bool,
    /// Whether a user was logged in and the number of the user's sessions is to be
    /// checked.
    pub(crate) logged_in: bool,
    /// Whether the store has no room for secrets that the application did not ask for.
    pub(crate) is_full: bool,
}

/// How a request without a session arrived.
#[derive(Clone, Copy, PartialEq)]
pub enum Arrival {
    /// The request has a session, or no cookie with the configured name.
    Ordinary,
    /// The request has such a cookie, but it opens no session.
    DeadCookie,
    /// The request has the token from before a recent change of user. The browser has a newer
    /// token, or is about to receive it, so no response may replace that.
    Late,
}

/// The place of a session in the store.
pub struct Stored {
    /// The session's ID.
    pub id: String,
    /// The version of the base.
    pub version: u64,
    /// The time when the session was last saved or touched, in milliseconds since 1970.
    pub last_used: u64,
    /// The newest token that the request knows.
    pub token: KnownToken,
}

/// The session as the request found it, or as the request last committed it.
pub struct Base {
    /// The encoded state, so that no decoded copy is needed unless changes are forgotten or a
    /// form token is used up; empty if the session is not stored.
    pub record: SessionState,
    /// The user epoch of the state.
    pub user_epoch: u64,
    /// The newest secret of the state.
    pub newest_secret: SecretHash,
}

/// Whether and when the request ends the session.
#[derive(Clone, Copy, PartialEq)]
pub enum End {
    /// The request does not end the session.
    No,
    /// The next commit ends the session.
    AtCommit,
    /// The session was ended, and the next commit deletes the cookie.
    Deleted,
    /// The session was ended, and a commit has deleted the cookie.
    Done,
    /// The request has ended, so that this view of the session is of no use any more.
    Closed,
}

impl Session {
    /// Creates a session that is not stored yet.
    pub fn new(
        config: Rc<Config>,
        mode: Mode,
        request: &Request,
        arrival: Arrival,
        now: u64,
    ) -> Self {
        let record = SessionState {
            user: None,
            expires: 0,
            data: Vec::new(),
        };
        let kept = |text: &Option<String>| text.as_deref().map(|t| kept_part(t).to_owned());
        let view = State {
            created: now,
            remote_address: kept(&request.remote_address),
            user_agent: kept(&request.user_agent),
            ..State::default()
        };
        Self {
            is_new: true,
            arrival,
            ..Self::from_parts(config, mode, None, record, view, now)
        }
    }

    /// Creates the view of a stored session, which the request's token opened.
    pub fn from_store(
        config: Rc<Config>,
        mode: Mode,
        stored: Stored,
        record: SessionState,
        mut view: State,
        now: u64,
    ) -> Self {
        let accessed = stored.last_used.min(now);
        let grace = milliseconds(config.renew_grace);
        let has_wrong_times = view.correct_times(now, grace);
        Self {
            has_wrong_times,
            ..Self::from_parts(config, mode, Some(stored), record, view, accessed)
        }
    }

    fn from_parts(
        config: Rc<Config>,
        mode: Mode,
        stored: Option<Stored>,
        record: SessionState,
        view: State,
        accessed: u64,
    ) -> Self {
        Self {
            config,
            mode,
            is_new: false,
            arrival: Arrival::Ordinary,
            accessed,
            is_looked_at: Cell::new(false),
            has_wrong_times: false,
            stored,
            base: Base::new(record, &view),
            changes: Changes::default(),
            view,
            end: End::No,
            lock: None,
            sends_cookie: false,
            takes_user_away: false,
            logged_in: false,
            is_full: false,
        }
    }

    /// Adds the lock of an exclusive session.
    pub fn with_lock(self, lock: Box<dyn SessionLock>) -> Self {
        Self {
            lock: Some(lock),
            ..self
        }
    }

    /// Notes that the application has looked at the session.
    pub fn note_look(&self) {
        self.is_looked_at.set(true);
    }

    /// Returns whether the response may depend on the session.
    pub(crate) fn is_looked_at(&self) -> bool {
        self.is_looked_at.get()
    }

    /// Returns the session's ID, or `None` before its first commit.
    pub fn id(&self) -> Option<&str> {
        self.stored.as_ref().map(|stored| stored.id.as_str())
    }

    /// Returns whether the request came without a session.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Returns the time of the use before this request, in milliseconds since 1970.
    pub fn accessed(&self) -> u64 {
        self.accessed
    }

    /// Returns the state as this request sees it.
    pub fn view(&self) -> &State {
        &self.view
    }

    /// Logs a user in, changes the user, or logs the user out.
    pub fn set_user(
        &mut self,
        user: Option<String>,
        imports: &dyn Imports,
    ) -> Result<(), SessionError> {
        self.check_writable()?;
        if let Some(name) = &user {
            let rule = "user: a name has 1 to 1024 bytes, so shorten it, or give none to log out";
            check_length(rule, name, MAX_USER)?;
        }
        let view = &mut self.view;
        if user.is_none() && view.user.is_none() {
            return Ok(());
        }
        let clears_contents = view.user.is_some() && view.user != user;
        if clears_contents {
            view.clear_contents();
        }
        self.changes.set_user(clears_contents);
        let is_other = self.changes.clears_contents() || user != self.base.record.user;
        if view.user != user {
            view.csrf = None;
            self.changes.creates_csrf = false;
        }
        view.user_epoch = self.base.user_epoch.saturating_add(is_other.into());
        view.authenticated = user.is_some().then(|| imports.now());
        view.user = user;
        Ok(())
    }

    /// Remembers the session beyond the end of the browser, or no longer does.
    pub fn remember(&mut self, is_remembered: bool) -> Result<(), SessionError> {
        self.check_writable()?;
        if is_remembered && self.config.remember.is_none() {
            return Err(SessionError::Invalid(
                "the session was not remembered: give the configuration the times of `remember`"
                    .into(),
            ));
        }
        if self.view.is_remembered != is_remembered {
            self.view.is_remembered = is_remembered;
            self.changes.remembers = Some(is_remembered);
            // The commit sends the cookie with its new lifetime, which takes a new secret: the
            // browser may have a newer one than this request.
            self.changes.renews = self.stored.is_some();
        }
        Ok(())
    }

    /// Returns a CSRF token, which is valid once this request has committed.
    pub fn csrf_token(&mut self, imports: &dyn Imports) -> Result<String, SessionError> {
        if let Some(seed) = &self.view.csrf {
            return Ok(seed.token(imports.random()));
        }
        self.check_writable()?;
        let seed = match &self.stored {
            Some(_) => CsrfSeed::derive(self.view.secrets.current(), self.view.user_epoch),
            None => CsrfSeed::new(imports.random()),
        };
        let token = seed.token(imports.random());
        self.view.csrf = Some(seed);
        self.changes.creates_csrf = true;
        Ok(token)
    }

    /// Returns whether a CSRF token is valid.
    pub fn is_csrf_token(&self, token: &str) -> bool {
        self.view
            .csrf
            .as_ref()
            .is_some_and(|seed| seed.is_token(token))
    }

    /// Returns the names of the attributes, in the order of their bytes.
    pub fn names(&self) -> Vec<String> {
        let names = self.view.attributes.iter().map(|(name, _)| name.to_owned());
        names.collect()
    }

    /// Returns the value of an attribute.
    pub fn get(&self, name: &str) -> Option<Value> {
        self.view.attributes.get(name).cloned().map(Value::from)
    }

    /// Sets an attribute.
    pub fn set(&mut self, name: &str, value: Value) -> Result<(), SessionError> {
        self.check_writable()?;
        check_name(name)?;
        if matches!(value, Value::Number(number) if !number.is_finite()) {
            let why = "it was not set, since JSON has no infinite numbers and no NaN: set a text, \
                       or none";
            return Err(invalid(name, why));
        }
        self.view.set_attribute(name, value.into())?;
        self.changes.set_attribute(name);
        Ok(())
    }

    /// Removes an attribute and returns the value that it had.
    pub fn remove(&mut self, name: &str) -> Result<Option<Value>, SessionError> {
        self.check_writable()?;
        let value = self.view.attributes.remove(name);
        if value.is_some() {
            self.changes.set_attribute(name);
        }
        Ok(value.map(Value::from))
    }

    /// Adds to an integer attribute and returns the sum, without the additions of
    /// concurrent requests.
    pub fn add(&mut self, name: &str, delta: i64) -> Result<i64, SessionError> {
        self.check_writable()?;
        check_name(name)?;
        let sum = sum(self.view.attributes.get(name), delta.into(), name)?;
        self.view.set_attribute(name, Attribute::Integer(sum))?;
        self.changes.add_to_attribute(name, delta);
        Ok(sum)
    }

    /// Asks for a renewal at the commit. A session that is not stored has no secret to
    /// renew.
    pub fn renew(&mut self) -> Result<(), SessionError> {
        self.check_writable()?;
        self.changes.renews = self.stored.is_some();
        Ok(())
    }

    /// Drops the changes that were not committed.
    pub fn forget_changes(&mut self) {
        self.lock = None;
        if matches!(self.end, End::Deleted | End::Done | End::Closed) {
            return;
        }
        self.end = End::No;
        self.changes = Changes::default();
        match self.decode_base() {
            Ok(view) => self.view = view,
            // The session is not stored, so its base is empty.
            Err(_) => {
                self.view.clear_user_and_contents();
                self.view.user_epoch = 0;
            }
        }
    }

    /// Closes this view, since its request has ended. The session in the store stays as it is.
    pub fn close(&mut self) {
        self.end = End::Closed;
        self.lock = None;
        self.changes = Changes::default();
        self.view = State::default();
        self.base = Base::new(
            SessionState {
                user: None,
                expires: 0,
                data: Vec::new(),
            },
            &self.view,
        );
        self.stored = None;
        (self.is_new, self.accessed) = (true, 0);
    }

    /// Ends the session at the commit.
    pub fn expire(&mut self) -> Result<(), SessionError> {
        if self.end == End::No {
            self.check_writable()?;
            self.end = End::AtCommit;
            self.view.clear_user_and_contents();
        }
        Ok(())
    }

    /// Returns the state without the changes.
    pub(crate) fn decode_base(&self) -> Result<State, SessionError> {
        State::decode(&self.base.record).map_err(undecodable)
    }

    /// Returns an error if the mode allows nothing that takes effect before the commit.
    pub(crate) fn check_immediate(&self) -> Result<(), SessionError> {
        match self.mode {
            Mode::DryRun => Err(SessionError::ReadOnly),
            _ => self.check_writable(),
        }
    }

    /// Returns an error if the session is read-only or was ended.
    pub(crate) fn check_writable(&self) -> Result<(), SessionError> {
        if self.mode == Mode::ReadOnly {
            return Err(SessionError::ReadOnly);
        }
        match self.end {
            End::No => Ok(()),
            End::AtCommit | End::Deleted | End::Done | End::Closed => Err(SessionError::Ended),
        }
    }

    /// Returns a conflict if the lease of an exclusive session is over, since another
    /// request may have changed the session.
    pub(crate) fn check_lock(&self) -> Result<(), SessionError> {
        match &self.lock {
            Some(lock) if !lock.is_held() => Err(SessionError::Conflict),
            _ => Ok(()),
        }
    }

    /// Returns when a session of this state expires if it is used at the time `now`.
    pub(crate) fn expires(&self, state: &State, now: u64) -> u64 {
        expires(&self.config, state, self.is_new, now)
    }

    /// Returns whether a touch is due that moves the expiry to `new_expires`.
    pub(crate) fn is_touch_due(&self, now: u64, new_expires: u64) -> bool {
        let last_used = self.stored.as_ref().map_or(now, |stored| stored.last_used);
        let expires = self.base.record.expires;
        is_touch_due(&self.config, last_used, expires, new_expires, now)
    }

    /// Returns whether an automatic renewal is due.
    pub(crate) fn is_renewal_due(&self, now: u64) -> bool {
        let rules = self.rules(&self.view);
        self.stored
            .as_ref()
            .is_some_and(|stored| self.view.secrets.is_renewal_due(&stored.token, &rules, now))
    }

    /// Returns the lifetime of the cookie, in seconds; `None` if it ends with the browser.
    pub(crate) fn max_age(&self) -> Option<u32> {
        max_age(&self.config, &self.view)
    }

    fn rules(&self, state: &State) -> Rules<'_> {
        Rules {
            config: &self.config,
            cookie_expires: max_age(&self.config, state).is_some(),
            has_room: !self.is_full,
        }
    }

    /// Returns whether the response may send the cookie again after the store has saved
    /// `state`.
    pub(crate) fn may_send_again(&self, state: &State, now: u64) -> bool {
        let rules = self.rules(state);
        self.stored
            .as_ref()
            .is_some_and(|stored| state.secrets.may_send_again(&stored.token, &rules, now))
    }

    /// Returns the request's token if the request presents it for the first time, and if the
    /// store has room to note that.
    pub(crate) fn pending_token(&self) -> Option<&KnownToken> {
        let token = self.stored.as_ref().map(|stored| &stored.token);
        token.filter(|token| !self.is_full && token.is_pending())
    }
}

impl Base {
    /// Creates the base from a state and its encoding.
    pub fn new(record: SessionState, state: &State) -> Self {
        Self {
            record,
            user_epoch: state.user_epoch,
            newest_secret: state.secrets.newest().clone(),
        }
    }
}

fn check_name(name: &str) -> Result<(), SessionError> {
    let rule = "attribute name: it has 1 to 256 bytes, so choose another one";
    check_length(rule, name, MAX_NAME)
}

/// Returns an error with the text `rule` unless `text` has 1 to `max` bytes.
fn check_length(rule: &str, text: &str, max: usize) -> Result<(), SessionError> {
    if (1..=max).contains(&text.len()) {
        Ok(())
    } else {
        Err(SessionError::Invalid(rule.into()))
    }
}
