//! The session manager component: its exports, and nothing else.
//!
//! The files form layers, and each imports only files of the layers below it:
//!
//! 1. `encoding` reads and writes values; `imports` is what the component has of the world;
//!    `errors` and `ending` say what a failure of the store means, and end sessions.
//! 2. `token`, `cookie` and `config`: the token, the cookie that carries it, and the
//!    configuration.
//! 3. `sorted`, `forms`, `messages` and `renewal`: the parts of a session.
//! 4. `state` is what the store keeps of a session; `changes` is what one request changed,
//!    and merges it with a newer state.
//! 5. `session` is one request's view of a session; `commit`, `own`, `session_forms` and
//!    `session_messages` add what an application does with it.
//! 6. `manager` opens the session of a request; `admin` serves administration programs.

mod admin;
mod bindings;
mod changes;
mod commit;
mod config;
mod cookie;
mod encoding;
mod ending;
mod errors;
#[cfg(test)]
mod fake;
mod forms;
mod imports;
mod manager;
mod messages;
mod operator;
mod own;
mod renewal;
mod session;
mod session_forms;
mod session_messages;
mod sorted;
mod state;
#[cfg(test)]
mod tests;
mod token;

use std::cell::RefCell;

use bindings::exports::session3::sessions::{
    admin::{Guest as Admin, InfoPage, SessionInfo, SweepReport},
    manager::{
        Config, Guest, GuestSession, GuestSessionManager, Header, Mode, Request, Session as Handle,
        SessionError, SessionManager as ManagerHandle, SessionSummary,
    },
};
use bindings::session3::sessions::{store, types::Value};
use imports::ComponentImports;
use manager::SessionManager;
use operator::Operator;
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
        // What cannot be read is refused where it matters: by `open`.
        match Operator::of_host() {
            Ok(Some(operator)) => operator.config,
            _ => config::default_config(),
        }
    }
}

impl GuestSessionManager for SessionManager {
    fn open(config: Config) -> Result<ManagerHandle, SessionError> {
        if let Some(operator) = Operator::of_host()? {
            operator.check(&config)?;
        }
        Ok(ManagerHandle::new(Self::open(config)?))
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
        self.borrow_mut().set(&name, value)
    }

    fn remove(&self, name: String) -> Result<Option<Value>, SessionError> {
        self.borrow_mut().remove(&name)
    }

    fn names(&self) -> Vec<String> {
        self.borrow().names()
    }

    fn add(&self, name: String, delta: i64) -> Result<i64, SessionError> {
        self.borrow_mut().add(&name, delta)
    }

    fn create_form_token(&self) -> Result<String, SessionError> {
        self.borrow_mut().create_form_token(&ComponentImports)
    }

    fn has_form_token(&self, token: String) -> bool {
        self.borrow().has_form_token(&token)
    }

    fn remove_form_token(&self, token: String) -> Result<bool, SessionError> {
        self.borrow_mut()
            .remove_form_token(&token, &ComponentImports)
    }

    fn flash(&self, message: String) -> Result<(), SessionError> {
        self.borrow_mut().flash(message)
    }

    fn take_flashes(&self) -> Result<Vec<String>, SessionError> {
        self.borrow_mut().take_flashes()
    }

    fn renew(&self) -> Result<(), SessionError> {
        self.borrow_mut().renew()
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

    fn own_sessions(&self) -> Result<Vec<SessionSummary>, SessionError> {
        self.borrow().own_sessions(&ComponentImports)
    }

    fn expire_own(&self, id: String) -> Result<bool, SessionError> {
        self.borrow_mut().expire_own(&id, &ComponentImports)
    }

    fn expire_others(&self) -> Result<u32, SessionError> {
        self.borrow().expire_others(&ComponentImports)
    }
}

impl Admin for Component {
    fn show_session(id: String) -> Result<Option<SessionInfo>, String> {
        admin::show(&id, &ComponentImports)
    }

    fn list_sessions(cursor: Option<String>, limit: u32) -> Result<InfoPage, String> {
        admin::list(cursor.as_deref(), limit, &ComponentImports)
    }

    fn list_sessions_of_user(user: String) -> Result<Vec<SessionInfo>, String> {
        admin::list_of_user(&user, &ComponentImports)
    }

    fn delete_session(id: String) -> Result<bool, String> {
        admin::delete(&id, &ComponentImports)
    }

    fn delete_sessions_of_user(user: String) -> Result<u32, String> {
        admin::delete_of_user(&user, &ComponentImports)
    }

    fn delete_all_sessions() -> Result<SweepReport, String> {
        admin::delete_all(&ComponentImports)
    }

    fn delete_old_sessions(minutes: u32) -> Result<SweepReport, String> {
        admin::delete_old(minutes, &ComponentImports)
    }
}
