//! The session manager component. This file contains its exports.
//!
//! A module imports only modules of the layers below its own, and modules that are named
//! before it in its layer. From the bottom to the top:
//!
//! 1. The outside: `bindings` and `imports`, and the byte formats, `encoding` and `cookie`.
//! 2. Tools: `errors` turns the errors of the store and of decoding into those of an
//!    application, `sorted` is a map, `token` makes and parses tokens, `config` checks the
//!    configuration, `operator` reads the operator's policy.
//! 3. The parts of a session's state, which know nothing of the session: `attribute`, `csrf`,
//!    `forms`, `messages`, and `renewal`, which decides when the secret changes.
//! 4. `state` puts the parts together and encodes them for the record.
//! 5. Rules on states: `timeouts`, `client`, and `merge`, which applies the changes of one
//!    request to a newer state. Beside them are operations on stored sessions: `ending`, and
//!    `user_sessions` for the sessions of one user.
//! 6. `session` is one request's view of a state, with its changes.
//! 7. What a request does with a session: `flash` and `submission` for messages and form
//!    tokens, `own_sessions` for all sessions of its user, `save`, which writes to the store,
//!    and `commit`.
//! 8. The entry points: `manager` opens the session of a request, and `admin` serves
//!    administration programs.

mod admin;
mod attribute;
mod bindings;
mod client;
mod commit;
mod config;
mod cookie;
mod csrf;
mod encoding;
mod ending;
mod errors;
#[cfg(test)]
mod fake;
mod flash;
mod forms;
mod imports;
mod manager;
mod merge;
mod messages;
mod operator;
mod own_sessions;
mod renewal;
mod save;
mod session;
mod sorted;
mod state;
mod submission;
#[cfg(test)]
mod tests;
mod timeouts;
mod token;
mod user_sessions;

use std::cell::{Ref, RefCell, RefMut};

use bindings::exports::session3::sessions::{
    admin::{Guest as Admin, InfoPage, SessionInfo, SweepReport},
    manager::{
        Config, Guest, GuestSession, GuestSessionManager, Header, Mode, Request, Session as Handle,
        SessionError, SessionManager as ManagerHandle, SessionSummary,
    },
};
use bindings::session3::sessions::{session_types::Value, store};
use imports::ComponentImports;
use manager::SessionManager;
use operator::Operator;
use session::Session;

struct Component;

#[expect(
    unsafe_code,
    reason = "wit-bindgen generates the functions that the host calls"
)]
mod exports {
    use super::{Component, bindings};

    bindings::export!(Component with_types_in bindings);
}

impl Guest for Component {
    type SessionManager = SessionManager;
    type Session = RefCell<Session>;

    fn default_config() -> Config {
        // This function cannot fail. If the policy cannot be read, `open` refuses it.
        match Operator::written_by_host() {
            Ok(Some(operator)) => operator.config,
            _ => config::default_config(),
        }
    }
}

impl GuestSessionManager for SessionManager {
    fn open(config: Config) -> Result<ManagerHandle, SessionError> {
        if let Some(operator) = Operator::written_by_host()? {
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

/// Borrows a session for a function of the application, whose response may then depend on it.
fn look(session: &RefCell<Session>) -> Ref<'_, Session> {
    let session = session.borrow();
    session.note_look();
    session
}

/// Borrows a session for a function that changes it.
fn change(session: &RefCell<Session>) -> RefMut<'_, Session> {
    let session = session.borrow_mut();
    session.note_look();
    session
}

impl GuestSession for RefCell<Session> {
    fn id(&self) -> Option<String> {
        look(self).id().map(str::to_owned)
    }

    fn is_new(&self) -> bool {
        look(self).is_new()
    }

    fn created(&self) -> u64 {
        look(self).view().created
    }

    fn accessed(&self) -> u64 {
        look(self).accessed()
    }

    fn remote_address(&self) -> Option<String> {
        look(self).view().remote_address.clone()
    }

    fn user(&self) -> Option<String> {
        look(self).view().user.clone()
    }

    fn set_user(&self, user: Option<String>) -> Result<(), SessionError> {
        change(self).set_user(user, &ComponentImports)
    }

    fn authenticated(&self) -> Option<u64> {
        look(self).view().authenticated
    }

    fn remember(&self, remember: bool) -> Result<(), SessionError> {
        change(self).remember(remember)
    }

    fn is_remembered(&self) -> bool {
        look(self).view().is_remembered
    }

    fn has_info(&self) -> bool {
        look(self).view().has_info()
    }

    fn get(&self, name: String) -> Option<Value> {
        look(self).get(&name)
    }

    fn set(&self, name: String, value: Value) -> Result<(), SessionError> {
        change(self).set(&name, value)
    }

    fn remove(&self, name: String) -> Result<Option<Value>, SessionError> {
        change(self).remove(&name)
    }

    fn names(&self) -> Vec<String> {
        look(self).names()
    }

    fn add(&self, name: String, delta: i64) -> Result<i64, SessionError> {
        change(self).add(&name, delta)
    }

    fn csrf_token(&self) -> Result<String, SessionError> {
        change(self).csrf_token(&ComponentImports)
    }

    fn is_csrf_token(&self, token: String) -> bool {
        look(self).is_csrf_token(&token)
    }

    fn create_form_token(&self) -> Result<String, SessionError> {
        change(self).create_form_token(&ComponentImports)
    }

    fn has_form_token(&self, token: String) -> bool {
        look(self).has_form_token(&token)
    }

    fn remove_form_token(&self, token: String) -> Result<bool, SessionError> {
        change(self).remove_form_token(&token, &ComponentImports)
    }

    fn flash(&self, message: String) -> Result<(), SessionError> {
        change(self).flash(message)
    }

    fn take_flashes(&self) -> Result<Vec<String>, SessionError> {
        change(self).take_flashes()
    }

    fn renew(&self) -> Result<(), SessionError> {
        change(self).renew()
    }

    fn commit(&self) -> Result<Vec<Header>, SessionError> {
        self.borrow_mut().commit(&ComponentImports)
    }

    fn forget_changes(&self) {
        self.borrow_mut().forget_changes();
    }

    fn expire(&self) -> Result<(), SessionError> {
        change(self).expire()
    }

    fn own_sessions(&self) -> Result<Vec<SessionSummary>, SessionError> {
        look(self).own_sessions(&ComponentImports)
    }

    fn expire_own(&self, id: String) -> Result<bool, SessionError> {
        change(self).expire_own(&id, &ComponentImports)
    }

    fn expire_others(&self) -> Result<u32, SessionError> {
        look(self).expire_others(&ComponentImports)
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
