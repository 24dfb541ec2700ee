//! One request's view of a session. `commit.rs` makes it last.

use std::rc::Rc;

use crate::bindings::exports::session3::sessions::manager::{Config, Mode, Request, SessionError};
use crate::bindings::session3::sessions::types::Value;
use crate::changes::{Changes, sum};
use crate::imports::Imports;
use crate::state::{Attribute, State};
use crate::token::Secret;

/// Bytes of an attribute's name.
const MAX_NAME: usize = 256;
/// Bytes of a user's name.
const MAX_USER: usize = 1024;

/// What a request sees of its session.
pub struct Session {
    pub(crate) config: Rc<Config>,
    pub(crate) mode: Mode,
    is_new: bool,
    accessed: u64,
    /// Where it is in the store; none before the first commit.
    pub(crate) stored: Option<Stored>,
    /// As the request found it, or as it last committed it.
    pub(crate) base: State,
    /// What the request changed since.
    pub(crate) changes: Changes,
    /// `base` with `changes`.
    pub(crate) view: State,
    pub(crate) end: End,
}

/// A session's place in the store.
#[derive(Clone)]
pub struct Stored {
    /// Its ID.
    pub id: String,
    /// The version that `base` was.
    pub version: u64,
    /// When it was last saved or touched, in milliseconds since 1970.
    pub used: u64,
    /// Likewise.
    pub expires: u64,
    /// What opens it; none when somebody else changed it meanwhile.
    pub secret: Option<Secret>,
}

/// Whether the request ends the session.
#[derive(Clone, Copy, PartialEq)]
pub enum End {
    /// It does not.
    No,
    /// It wants to.
    AtCommit,
    /// It did.
    Done,
}

impl Session {
    /// A session that is not in the store.
    pub fn new(config: Rc<Config>, mode: Mode, request: &Request, imports: &dyn Imports) -> Self {
        let now = imports.now();
        let base = State {
            created: now,
            remote_address: request.remote_address.clone(),
            user_agent: request.user_agent.clone(),
            ..State::default()
        };
        Self {
            is_new: true,
            ..Self::from_parts(config, mode, None, base, now)
        }
    }

    /// A session that the request's token opened.
    pub fn opened(config: Rc<Config>, mode: Mode, stored: Stored, state: State) -> Self {
        let accessed = stored.used;
        Self::from_parts(config, mode, Some(stored), state, accessed)
    }

    fn from_parts(
        config: Rc<Config>,
        mode: Mode,
        stored: Option<Stored>,
        base: State,
        accessed: u64,
    ) -> Self {
        Self {
            config,
            mode,
            is_new: false,
            accessed,
            stored,
            view: base.clone(),
            base,
            changes: Changes::default(),
            end: End::No,
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
            check_length("a user's name", name, MAX_USER)?;
        }
        if user.is_none() && self.view.user.is_none() {
            return Ok(());
        }
        let before = self.view.user.as_deref();
        self.changes.set_user(before, user, imports.now());
        self.view = self.changes.apply(&self.base)?;
        Ok(())
    }

    /// The names of the attributes, in the order of their bytes.
    pub fn names(&self) -> Vec<String> {
        self.view.attributes.keys().cloned().collect()
    }

    /// The value of an attribute.
    pub fn get(&self, name: &str) -> Option<Value> {
        self.view.attributes.get(name).cloned().map(Value::from)
    }

    /// Sets an attribute.
    pub fn set(&mut self, name: String, value: Value) -> Result<(), SessionError> {
        self.check_writable()?;
        check_length("an attribute's name", &name, MAX_NAME)?;
        let value = Attribute::from(value);
        self.view.set_attribute(&name, value.clone())?;
        self.changes.set(name, value);
        Ok(())
    }

    /// Removes an attribute; the value that it had.
    pub fn remove(&mut self, name: String) -> Result<Option<Value>, SessionError> {
        self.check_writable()?;
        let Some(value) = self.view.attributes.remove(&name) else {
            return Ok(None);
        };
        self.changes.remove(name);
        Ok(Some(value.into()))
    }

    /// Adds to an integer attribute; the sum as far as this request knows.
    pub fn add(&mut self, name: String, delta: i64) -> Result<i64, SessionError> {
        self.check_writable()?;
        check_length("an attribute's name", &name, MAX_NAME)?;
        let sum = sum(self.view.attributes.get(&name), delta.into(), &name)?;
        self.view.set_attribute(&name, Attribute::Integer(sum))?;
        self.changes.add(name, delta, sum);
        Ok(sum)
    }

    /// Drops what was changed and not committed.
    pub fn forget_changes(&mut self) {
        if self.end == End::Done {
            return;
        }
        self.end = End::No;
        self.changes = Changes::default();
        self.view = self.base.clone();
    }

    /// Ends the session at the commit.
    pub fn expire(&mut self) -> Result<(), SessionError> {
        if self.end == End::No {
            self.check_writable()?;
            self.end = End::AtCommit;
            self.view = self.base.emptied();
        }
        Ok(())
    }

    fn check_writable(&self) -> Result<(), SessionError> {
        if self.mode == Mode::ReadOnly {
            return Err(SessionError::ReadOnly);
        }
        match self.end {
            End::No => Ok(()),
            End::AtCommit | End::Done => Err(SessionError::Ended),
        }
    }
}

fn check_length(what: &str, text: &str, max: usize) -> Result<(), SessionError> {
    if (1..=max).contains(&text.len()) {
        return Ok(());
    }
    Err(SessionError::Invalid(format!(
        "{what} has 1 to {max} bytes, not {}",
        text.len()
    )))
}
