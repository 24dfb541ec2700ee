//! The session manager component: its exports, and nothing else.
//!
//! A request goes through these files in turn: `cookie` finds the token,
//! `token` checks it, `manager` opens the session, `session` shows it to the
//! application and notes `changes`, `commit` makes them last, and `state` is
//! what the store keeps.

mod bindings;
mod changes;
mod commit;
mod config;
mod cookie;
#[cfg(test)]
mod fake;
mod imports;
mod manager;
mod session;
mod state;
#[cfg(test)]
mod tests;
mod token;

use std::cell::RefCell;

use bindings::exports::session3::sessions::manager::{
    Config, Guest, GuestSession, GuestSessionManager, Header, Mode, Request, Session as Handle,
    SessionError,
};
use bindings::session3::sessions::{store, types::Value};
use imports::ComponentImports;
use manager::SessionManager;
use session::Session;

struct Component;

#[expect(unsafe_code, reason = "generated: the functions that the host calls")]
mod exports {
    use super::{Component, bindings};

    bindings::export!(Component with_types_in bindings);
}

impl Guest for Component {
    type SessionManager = SessionManager;
    type Session = RefCell<Session>;

    fn default_config() -> Config {
        config::default_config()
    }
}

impl GuestSessionManager for SessionManager {
    fn open(
        config: Config,
    ) -> Result<bindings::exports::session3::sessions::manager::SessionManager, SessionError> {
        Ok(
            bindings::exports::session3::sessions::manager::SessionManager::new(Self::open(
                config,
            )?),
        )
    }

    fn get_session(&self, request: Request, mode: Mode) -> Result<Handle, SessionError> {
        let session = self.get_session(&request, mode, &ComponentImports)?;
        Ok(Handle::new(RefCell::new(session)))
    }

    fn is_multiprocess_safe(&self) -> bool {
        store::is_multiprocess_safe()
    }

    fn is_thread_safe(&self) -> bool {
        store::is_thread_safe()
    }
}

impl GuestSession for RefCell<Session> {
    fn id(&self) -> Option<String> {
        self.borrow().id().map(str::to_owned)
    }

    fn is_new(&self) -> bool {
        self.borrow().is_new()
    }

    fn created(&self) -> u64 {
        self.borrow().view().created
    }

    fn accessed(&self) -> u64 {
        self.borrow().accessed()
    }

    fn remote_address(&self) -> Option<String> {
        self.borrow().view().remote_address.clone()
    }

    fn user(&self) -> Option<String> {
        self.borrow().view().user.clone()
    }

    fn set_user(&self, user: Option<String>) -> Result<(), SessionError> {
        self.borrow_mut().set_user(user, &ComponentImports)
    }

    fn authenticated(&self) -> Option<u64> {
        self.borrow().view().authenticated
    }

    fn has_info(&self) -> bool {
        self.borrow().view().has_info()
    }

    fn get(&self, name: String) -> Option<Value> {
        self.borrow().get(&name)
    }

    fn set(&self, name: String, value: Value) -> Result<(), SessionError> {
        self.borrow_mut().set(name, value)
    }

    fn remove(&self, name: String) -> Result<Option<Value>, SessionError> {
        self.borrow_mut().remove(name)
    }

    fn names(&self) -> Vec<String> {
        self.borrow().names()
    }

    fn add(&self, name: String, delta: i64) -> Result<i64, SessionError> {
        self.borrow_mut().add(name, delta)
    }

    fn commit(&self) -> Result<Vec<Header>, SessionError> {
        self.borrow_mut().commit(&ComponentImports)
    }

    fn forget_changes(&self) {
        self.borrow_mut().forget_changes();
    }

    fn expire(&self) -> Result<(), SessionError> {
        self.borrow_mut().expire()
    }
}
