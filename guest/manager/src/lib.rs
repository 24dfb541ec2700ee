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
//! 8. The entry points: `manager` opens the session of a request, `handle` is what the
//!    application holds of it, and `admin` serves administration programs.

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
mod handle;
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

use bindings::exports::session3::sessions::{
    admin::{Guest as Admin, InfoPage, SessionInfo, SweepReport},
    manager::{
        Config, Guest, GuestSession, GuestSessionManager, Header, Mode, Request, Session as Handle,
        SessionError, SessionManager as ManagerHandle, SessionSummary,
    },
    reuse::Guest as Reuse,
};
use bindings::session3::sessions::{session_types::Value, store};
use handle::SessionHandle;
use imports::ComponentImports;
use manager::SessionManager;
use operator::Operator;

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
    type Session = SessionHandle;

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
        Ok(Handle::new(SessionHandle::new(session)))
    }

    fn is_multiprocess_safe(&self) -> bool {
        store::is_multiprocess_safe()
    }

    fn is_thread_safe(&self) -> bool {
        store::is_thread_safe()
    }
}

impl GuestSession for SessionHandle {
    fn id(&self) -> Option<String> {
        self.look().id().map(str::to_owned)
    }

    fn is_new(&self) -> bool {
        self.look().is_new()
    }

    fn created(&self) -> u64 {
        self.look().view().created
    }

    fn accessed(&self) -> u64 {
        self.look().accessed()
    }

    fn remote_address(&self) -> Option<String> {
        self.look().view().remote_address.clone()
    }

    fn user(&self) -> Option<String> {
        self.look().view().user.clone()
    }

    fn set_user(&self, user: Option<String>) -> Result<(), SessionError> {
        self.change().set_user(user, &ComponentImports)
    }

    fn authenticated(&self) -> Option<u64> {
        self.look().view().authenticated
    }

    fn remember(&self, remember: bool) -> Result<(), SessionError> {
        self.change().remember(remember)
    }

    fn is_remembered(&self) -> bool {
        self.look().view().is_remembered
    }

    fn has_info(&self) -> bool {
        self.look().view().has_info()
    }

    fn get(&self, name: String) -> Option<Value> {
        self.look().get(&name)
    }

    fn set(&self, name: String, value: Value) -> Result<(), SessionError> {
        self.change().set(&name, value)
    }

    fn remove(&self, name: String) -> Result<Option<Value>, SessionError> {
        self.change().remove(&name)
    }

    fn names(&self) -> Vec<String> {
        self.look().names()
    }

    fn add(&self, name: String, delta: i64) -> Result<i64, SessionError> {
        self.change().add(&name, delta)
    }

    fn csrf_token(&self) -> Result<String, SessionError> {
        self.change().csrf_token(&ComponentImports)
    }

    fn is_csrf_token(&self, token: String) -> bool {
        self.look().is_csrf_token(&token)
    }

    fn create_form_token(&self) -> Result<String, SessionError> {
        self.change().create_form_token(&ComponentImports)
    }

    fn has_form_token(&self, token: String) -> bool {
        self.look().has_form_token(&token)
    }

    fn remove_form_token(&self, token: String) -> Result<bool, SessionError> {
        self.change().remove_form_token(&token, &ComponentImports)
    }

    fn flash(&self, message: String) -> Result<(), SessionError> {
        self.change().flash(message)
    }

    fn take_flashes(&self) -> Result<Vec<String>, SessionError> {
        self.change().take_flashes()
    }

    fn renew(&self) -> Result<(), SessionError> {
        self.change().renew()
    }

    fn commit(&self) -> Result<Vec<Header>, SessionError> {
        self.borrow_mut().commit(&ComponentImports)
    }

    fn forget_changes(&self) {
        self.borrow_mut().forget_changes();
    }

    fn expire(&self) -> Result<(), SessionError> {
        self.change().expire()
    }

    fn own_sessions(&self) -> Result<Vec<SessionSummary>, SessionError> {
        self.look().own_sessions(&ComponentImports)
    }

    fn expire_own(&self, id: String) -> Result<bool, SessionError> {
        self.change().expire_own(&id, &ComponentImports)
    }

    fn expire_others(&self) -> Result<u32, SessionError> {
        self.look().expire_others(&ComponentImports)
    }
}

impl Reuse for Component {
    fn end_request() {
        handle::end_request();
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
