//! One request's view of a session. `commit.rs` makes it last.

use std::rc::Rc;

use crate::bindings::exports::session3::sessions::manager::{Config, Mode, Request, SessionError};
use crate::bindings::session3::sessions::{store::SessionState, types::Value};
use crate::changes::{Changes, sum};
use crate::imports::{Imports, SessionLock};
use crate::state::{Attribute, State};
use crate::token::{Secret, SecretHash};

/// Bytes of an attribute's name.
const MAX_NAME: usize = 256;
/// Bytes of a user's name.
const MAX_USER: usize = 1024;

/// Bytes of a remote address or a user agent: robots send any number.
const MAX_CLIENT: usize = 512;

/// What a request sees of its session.
pub struct Session {
    pub(crate) config: Rc<Config>,
    pub(crate) mode: Mode,
    is_new: bool,
    accessed: u64,
    /// Where it is in the store; none before the first commit.
    pub(crate) stored: Option<Stored>,
    pub(crate) base: Base,
    /// What the request changed since.
    pub(crate) changes: Changes,
    /// The base with the changes.
    pub(crate) view: State,
    pub(crate) end: End,
    /// Of an exclusive session, until its commit.
    pub(crate) lock: Option<Box<dyn SessionLock>>,
    /// Whether the next commit that succeeds sends the cookie.
    pub(crate) sends_cookie: bool,
    /// Whether it clears the browser's caches too: a user has gone.
    pub(crate) clears_caches: bool,
    /// Whether the user's sessions are to be counted.
    pub(crate) logged_in: bool,
    /// Whether the store has no room for secrets that nobody asked for.
    pub(crate) is_full: bool,
}

/// A session's place in the store.
pub struct Stored {
    /// Its ID.
    pub id: String,
    /// The version that the base was.
    pub version: u64,
    /// When it was last saved or touched, in milliseconds since 1970.
    pub used: u64,
    /// The newest token that this request knows of.
    pub token: KnownToken,
}

/// A token that opens the session, or did when the request came.
pub struct KnownToken {
    /// To send it again.
    pub secret: Secret,
    /// What the record has of it.
    pub hash: SecretHash,
    /// Whether it is this request that presents it for the first time.
    pub is_pending: bool,
    /// Whether the browser may be about to get a newer one.
    pub is_in_grace: bool,
}

/// The session as the request found it, or as it last committed it.
pub struct Base {
    /// With the state's bytes, so that nothing has to be copied as long as
    /// nothing is forgotten or merged; empty for what is not in the store.
    pub record: SessionState,
    /// The state's user epoch.
    pub user_epoch: u64,
    /// The state's newest secret.
    pub newest_secret: SecretHash,
}

/// Whether the request ends the session.
#[derive(Clone, Copy, PartialEq)]
pub enum End {
    /// It does not.
    No,
    /// It wants to.
    AtCommit,
    /// It did, and the browser is to hear of it.
    Deleted,
    /// It did.
    Done,
}

impl Session {
    /// A session that is not in the store.
    pub fn new(config: Rc<Config>, mode: Mode, request: &Request, now: u64) -> Self {
        let record = SessionState {
            user: None,
            expires: 0,
            data: Vec::new(),
        };
        let kept = |text: &Option<String>| text.as_deref().map(|t| beginning(t).to_owned());
        let view = State {
            created: now,
            remote_address: kept(&request.remote_address),
            user_agent: kept(&request.user_agent),
            ..State::default()
        };
        Self {
            is_new: true,
            ..Self::from_parts(config, mode, None, record, view, now)
        }
    }

    /// A session that the request's token opened.
    pub fn opened(
        config: Rc<Config>,
        mode: Mode,
        stored: Stored,
        record: SessionState,
        view: State,
    ) -> Self {
        let accessed = stored.used;
        Self::from_parts(config, mode, Some(stored), record, view, accessed)
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
            accessed,
            stored,
            base: Base::new(record, &view),
            changes: Changes::default(),
            view,
            end: End::No,
            lock: None,
            sends_cookie: false,
            clears_caches: false,
            logged_in: false,
            is_full: false,
        }
    }

    /// The session, which other exclusive requests wait for.
    pub fn locked(self, lock: Box<dyn SessionLock>) -> Self {
        Self {
            lock: Some(lock),
            ..self
        }
    }

    /// The ID, once it is in the store.
    pub fn id(&self) -> Option<&str> {
        self.stored.as_ref().map(|stored| stored.id.as_str())
    }

    /// Whether the request came without a session.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// When it was used before this request.
    pub fn accessed(&self) -> u64 {
        self.accessed
    }

    /// The session as this request sees it.
    pub fn view(&self) -> &State {
        &self.view
    }

    /// Logs in, changes the user or logs out.
    pub fn set_user(
        &mut self,
        user: Option<String>,
        imports: &dyn Imports,
    ) -> Result<(), SessionError> {
        self.check_writable()?;
        if let Some(name) = &user {
            check_length("a user's name has 1 to 1024 bytes", name, MAX_USER)?;
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
        let is_other = self.changes.clear_contents() || user != self.base.record.user;
        view.user_epoch = self.base.user_epoch + u64::from(is_other);
        view.authenticated = user.is_some().then(|| imports.now());
        view.user = user;
        Ok(())
    }

    /// The names of the attributes, in the order of their bytes.
    pub fn names(&self) -> Vec<String> {
        let names = self.view.attributes.iter().map(|(name, _)| name.to_owned());
        names.collect()
    }

    /// The value of an attribute.
    pub fn get(&self, name: &str) -> Option<Value> {
        self.view.attributes.get(name).cloned().map(Value::from)
    }

    /// Sets an attribute.
    pub fn set(&mut self, name: &str, value: Value) -> Result<(), SessionError> {
        self.check_writable()?;
        check_name(name)?;
        self.view.set_attribute(name, value.into())?;
        self.changes.set(name);
        Ok(())
    }

    /// Removes an attribute; the value that it had.
    pub fn remove(&mut self, name: &str) -> Result<Option<Value>, SessionError> {
        self.check_writable()?;
        let value = self.view.attributes.remove(name);
        if value.is_some() {
            self.changes.set(name);
        }
        Ok(value.map(Value::from))
    }

    /// Adds to an integer attribute; the sum as far as this request knows.
    pub fn add(&mut self, name: &str, delta: i64) -> Result<i64, SessionError> {
        self.check_writable()?;
        check_name(name)?;
        let sum = sum(self.view.attributes.get(name), delta.into(), name)?;
        self.view.set_attribute(name, Attribute::Integer(sum))?;
        self.changes.add(name, delta);
        Ok(sum)
    }

    /// Changes the token at the commit.
    pub fn renew(&mut self) -> Result<(), SessionError> {
        self.check_writable()?;
        self.changes.renews = self.stored.is_some();
        Ok(())
    }

    /// Drops what was changed and not committed.
    pub fn forget_changes(&mut self) {
        self.lock = None;
        if matches!(self.end, End::Deleted | End::Done) {
            return;
        }
        self.end = End::No;
        self.changes = Changes::default();
        match self.decode_base() {
            Ok(view) => self.view = view,
            // It is not in the store.
            Err(_) => {
                self.view.empty();
                self.view.user_epoch = 0;
            }
        }
    }

    /// Ends the session at the commit.
    pub fn expire(&mut self) -> Result<(), SessionError> {
        if self.end == End::No {
            self.check_writable()?;
            self.end = End::AtCommit;
            self.view.empty();
        }
        Ok(())
    }

    /// The base once more.
    pub(crate) fn decode_base(&self) -> Result<State, SessionError> {
        State::decode(&self.base.record).map_err(|error| SessionError::Store(error.text().into()))
    }

    pub(crate) fn check_writable(&self) -> Result<(), SessionError> {
        if self.mode == Mode::ReadOnly {
            return Err(SessionError::ReadOnly);
        }
        match self.end {
            End::No => Ok(()),
            End::AtCommit | End::Deleted | End::Done => Err(SessionError::Ended),
        }
    }

    /// After its deadline, others may have had the session.
    pub(crate) fn check_lock(&self) -> Result<(), SessionError> {
        match &self.lock {
            Some(lock) if !lock.is_held() => Err(SessionError::Conflict),
            _ => Ok(()),
        }
    }
}

impl KnownToken {
    /// One that this request sends.
    pub fn sent(secret: Secret, hash: SecretHash) -> Self {
        Self {
            secret,
            hash,
            is_pending: false,
            is_in_grace: false,
        }
    }
}

impl Base {
    /// `record` is what the store has of `state`.
    pub fn new(record: SessionState, state: &State) -> Self {
        Self {
            record,
            user_epoch: state.user_epoch,
            newest_secret: state.secrets.newest().clone(),
        }
    }
}

/// What is kept, and compared, of a remote address or a user agent.
pub fn beginning(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_CLIENT))
        .unwrap_or(text)
}

fn check_name(name: &str) -> Result<(), SessionError> {
    check_length("an attribute's name has 1 to 256 bytes", name, MAX_NAME)
}

fn check_length(rule: &str, text: &str, max: usize) -> Result<(), SessionError> {
    if (1..=max).contains(&text.len()) {
        Ok(())
    } else {
        Err(SessionError::Invalid(rule.into()))
    }
}
