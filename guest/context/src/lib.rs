//! A component that holds the session of one request between the middleware and the
//! application. The middleware opens and commits the session with the interface `context`;
//! the application uses it with the interface `current`.
//!
//! This file contains the exports; the module `slot` holds the session.

mod bindings;
mod slot;

use bindings::exports::session3::sessions::context::Guest as Context;
use bindings::exports::session3::sessions::current::Guest as Current;
use bindings::session3::sessions::manager::{Header, Mode, Request, SessionError, SessionSummary};
use bindings::session3::sessions::session_types::Value;
use slot::{change, look};

struct Component;

#[expect(unsafe_code, reason = "generated: the functions that components call")]
mod exports {
    use super::{Component, bindings};

    bindings::export!(Component with_types_in bindings);
}

impl Context for Component {
    fn begin(request: Request, mode: Mode) -> Result<(), SessionError> {
        slot::begin(&request, mode)
    }

    fn end(commit: bool) -> Result<Vec<Header>, SessionError> {
        slot::end(commit)
    }
}

impl Current for Component {
    fn id() -> Option<String> {
        look(|session| session.id()).flatten()
    }

    fn is_new() -> bool {
        look(|session| session.is_new()).unwrap_or(true)
    }

    fn created() -> u64 {
        look(|session| session.created()).unwrap_or_default()
    }

    fn accessed() -> u64 {
        look(|session| session.accessed()).unwrap_or_default()
    }

    fn remote_address() -> Option<String> {
        look(|session| session.remote_address()).flatten()
    }

    fn user() -> Option<String> {
        look(|session| session.user()).flatten()
    }

    fn set_user(user: Option<String>) -> Result<(), SessionError> {
        change(|session| session.set_user(user.as_deref()))
    }

    fn authenticated() -> Option<u64> {
        look(|session| session.authenticated()).flatten()
    }

    fn remember(remember: bool) -> Result<(), SessionError> {
        change(|session| session.remember(remember))
    }

    fn is_remembered() -> bool {
        look(|session| session.is_remembered()).unwrap_or_default()
    }

    fn has_info() -> bool {
        look(|session| session.has_info()).unwrap_or_default()
    }

    fn get(name: String) -> Option<Value> {
        look(|session| session.get(&name)).flatten()
    }

    fn set(name: String, value: Value) -> Result<(), SessionError> {
        change(|session| session.set(&name, &value))
    }

    fn remove(name: String) -> Result<Option<Value>, SessionError> {
        change(|session| session.remove(&name))
    }

    fn names() -> Vec<String> {
        look(|session| session.names()).unwrap_or_default()
    }

    fn add(name: String, delta: i64) -> Result<i64, SessionError> {
        change(|session| session.add(&name, delta))
    }

    fn csrf_token() -> Result<String, SessionError> {
        change(|session| session.csrf_token())
    }

    fn is_csrf_token(token: String) -> bool {
        look(|session| session.is_csrf_token(&token)).unwrap_or_default()
    }

    fn create_form_token() -> Result<String, SessionError> {
        change(|session| session.create_form_token())
    }

    fn has_form_token(token: String) -> bool {
        look(|session| session.has_form_token(&token)).unwrap_or_default()
    }

    fn remove_form_token(token: String) -> Result<bool, SessionError> {
        change(|session| session.remove_form_token(&token))
    }

    fn flash(message: String) -> Result<(), SessionError> {
        change(|session| session.flash(&message))
    }

    fn take_flashes() -> Result<Vec<String>, SessionError> {
        change(|session| session.take_flashes())
    }

    fn renew() -> Result<(), SessionError> {
        change(|session| session.renew())
    }

    fn forget_changes() {
        look(|session| session.forget_changes());
    }

    fn expire() -> Result<(), SessionError> {
        change(|session| session.expire())
    }

    fn own_sessions() -> Result<Vec<SessionSummary>, SessionError> {
        look(|session| session.own_sessions()).unwrap_or(Err(SessionError::Ended))
    }

    fn expire_own(id: String) -> Result<bool, SessionError> {
        change(|session| session.expire_own(&id))
    }

    fn expire_others() -> Result<u32, SessionError> {
        change(|session| session.expire_others())
    }
}
