//! From the request's cookies to its session.

use std::rc::Rc;

use crate::bindings::exports::session3::sessions::manager::{
    Config, Mode, Policy, Request, SessionError,
};
use crate::bindings::session3::sessions::{
    events::{EndReason, Event, RejectReason},
    store::{StoreError, StoredSession},
};
use crate::commit::session_error;
use crate::config::{check, milliseconds};
use crate::cookie;
use crate::imports::Imports;
use crate::session::{Session, Stored};
use crate::state::{DecodeError, State};
use crate::token::Token;

/// Cookies of our name that are tried: two hosts of one domain may each set
/// one, but nobody may make a request cost hundreds of loads.
const MAX_COOKIES: usize = 4;

/// Opens sessions by one configuration.
pub struct SessionManager {
    config: Rc<Config>,
}

impl SessionManager {
    /// A manager; `invalid` when the configuration contradicts itself.
    pub fn open(config: Config) -> Result<Self, SessionError> {
        check(&config)?;
        Ok(Self {
            config: Rc::new(config),
        })
    }

    /// The request's session, or a new one that is not in the store.
    pub fn get_session(
        &self,
        request: &Request,
        mode: Mode,
        imports: &dyn Imports,
    ) -> Result<Session, SessionError> {
        if mode == Mode::Exclusive {
            return Err(SessionError::Invalid(
                "mode: this version has no exclusive sessions, use merge or strict".into(),
            ));
        }
        let attempt = Attempt {
            config: &self.config,
            mode,
            imports,
        };
        for value in cookie::values(&request.cookies, &self.config.cookie.name).take(MAX_COOKIES) {
            if let Some(session) = attempt.open(value)? {
                return Ok(session);
            }
        }
        Ok(Session::new(self.config.clone(), mode, request, imports))
    }
}

/// Trying a cookie's value.
struct Attempt<'a> {
    config: &'a Rc<Config>,
    mode: Mode,
    imports: &'a dyn Imports,
}

impl Attempt<'_> {
    /// The session that the token opens, if it opens one.
    fn open(&self, value: &[u8]) -> Result<Option<Session>, SessionError> {
        let Some(token) = str::from_utf8(value).ok().and_then(Token::parse) else {
            return Ok(self.rejected(None, RejectReason::Malformed));
        };
        let Token { id, secret } = token;
        let Some((stored, state)) = self.load(&id)? else {
            return Ok(None);
        };
        if !state.secret.matches(&secret) {
            return Ok(self.rejected(Some(id), RejectReason::WrongSecret));
        }
        if let Some(reason) = self.timed_out(&stored, &state) {
            self.end(&id, reason);
            return Ok(self.rejected(Some(id), RejectReason::Ended));
        }
        let stored = Stored {
            id,
            version: stored.version,
            used: stored.modified,
            expires: stored.state.expires,
            secret: Some(secret),
        };
        let config = self.config.clone();
        Ok(Some(Session::opened(config, self.mode, stored, state)))
    }

    fn load(&self, id: &str) -> Result<Option<(StoredSession, State)>, SessionError> {
        let stored = match self.imports.load_session(id) {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok(self.rejected(Some(id.into()), RejectReason::Unknown)),
            Err(StoreError::Corrupt(why)) => return self.damaged(id, why),
            Err(error) => return Err(session_error(error)),
        };
        match State::decode(&stored.state) {
            Ok(state) => Ok(Some((stored, state))),
            Err(DecodeError::Damaged(why)) => self.damaged(id, why),
            // A later release runs beside this one: a new session would log
            // the user out there too.
            Err(error @ DecodeError::Newer(_)) => {
                Err(SessionError::Store(format!("session {id}: {error}")))
            }
        }
    }

    fn damaged<T>(&self, id: &str, why: String) -> Result<Option<T>, SessionError> {
        if self.config.on_damage != Policy::Ignore {
            let event = Event::Damaged((id.to_owned(), why.clone()));
            self.imports.report(&event);
        }
        match self.config.on_damage {
            Policy::Fail => Err(SessionError::Store(format!(
                "session {id} is damaged: {why}"
            ))),
            Policy::Ignore | Policy::Report | Policy::End => Ok(None),
        }
    }

    fn timed_out(&self, stored: &StoredSession, state: &State) -> Option<EndReason> {
        let now = self.imports.now();
        let absolute = milliseconds(self.config.absolute_timeout);
        if now >= state.created.saturating_add(absolute) {
            Some(EndReason::TooOld)
        } else if now >= stored.state.expires {
            Some(EndReason::Idle)
        } else {
            None
        }
    }

    /// Deletes a session that timed out, so that it stays ended even if the
    /// timeouts are made longer. A store that fails here leaves it to the next
    /// sweep: it opens no more either way.
    fn end(&self, id: &str, reason: EndReason) {
        if self.mode != Mode::ReadOnly && self.imports.delete_session(id) == Ok(true) {
            self.imports.report(&Event::Ended((id.to_owned(), reason)));
        }
    }

    fn rejected<T>(&self, id: Option<String>, reason: RejectReason) -> Option<T> {
        self.imports.report(&Event::Rejected((id, reason)));
        None
    }
}
