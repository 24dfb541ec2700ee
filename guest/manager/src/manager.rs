//! From the request's cookies to its session.

use std::rc::Rc;

use crate::bindings::exports::session3::sessions::manager::{
    Config, Mode, Policy, Request, SessionError,
};
use crate::bindings::session3::sessions::{
    events::{EndReason, Event, RejectReason},
    store::{StoreError, StoredSession},
};
use crate::config::{check, timed_out};
use crate::cookie;
use crate::encoding::DecodeError;
use crate::ending::end;
use crate::errors::session_error;
use crate::imports::Imports;
use crate::renewal::Standing;
use crate::session::{KnownToken, Session, Stored, beginning};
use crate::state::State;
use crate::token::{SecretHash, Token};

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
        let attempt = Attempt {
            config: &self.config,
            request,
            mode,
            imports,
        };
        for value in cookie::values(&request.cookies, &self.config.cookie.name).take(MAX_COOKIES) {
            if let Some(session) = attempt.open(value)? {
                return Ok(session);
            }
        }
        let config = self.config.clone();
        Ok(Session::new(config, mode, request, imports.now()))
    }
}

/// Trying a cookie's value.
struct Attempt<'a> {
    config: &'a Rc<Config>,
    request: &'a Request,
    mode: Mode,
    imports: &'a dyn Imports,
}

/// What a token opened.
struct Found {
    stored: StoredSession,
    state: State,
    token: KnownToken,
}

impl Attempt<'_> {
    /// The session that the token opens, if it opens one.
    fn open(&self, value: &[u8]) -> Result<Option<Session>, SessionError> {
        let Some(token) = str::from_utf8(value).ok().and_then(Token::parse) else {
            return Ok(self.rejected(None, RejectReason::Malformed));
        };
        let hash = token.secret.hash();
        let Some(found) = self.find(&token, &hash)? else {
            return Ok(None);
        };
        if self.mode != Mode::Exclusive {
            return self.session(found);
        }
        // Whoever has no secret must not make others wait, so the lock comes
        // second, and what was loaded before it may be out of date.
        let lock = self.imports.lock_session(&token.id);
        let lock = lock.map_err(session_error)?;
        let Some(found) = self.find(&token, &hash)? else {
            return Ok(None);
        };
        let session = self.session(found)?;
        Ok(session.map(|session| session.locked(lock)))
    }

    fn find(&self, token: &Token, hash: &SecretHash) -> Result<Option<Found>, SessionError> {
        let Token { id, secret } = token;
        let Some((stored, state)) = self.load(id)? else {
            return Ok(None);
        };
        let now = self.imports.now();
        let standing = state.secrets.standing(hash, now);
        match standing {
            Standing::Unknown => {
                return Ok(self.rejected(Some(id), RejectReason::WrongSecret));
            }
            Standing::Replaced => {
                return Ok(self.rejected(Some(id), RejectReason::ReplacedToken));
            }
            _ => {}
        }
        if let Some(reason) = timed_out(self.config, &stored, state.created, now) {
            // A store that fails here leaves it to the next sweep: it opens no
            // more either way.
            let _ = self.end(id, reason);
            return Ok(self.rejected(Some(id), RejectReason::Ended));
        }
        if standing == Standing::Reused {
            self.end(id, EndReason::ReplacedTokenReused)?;
            return Ok(self.rejected(Some(id), RejectReason::ReplacedToken));
        }
        let token = KnownToken {
            secret: secret.clone(),
            hash: hash.clone(),
            is_pending: standing == Standing::Pending,
            is_in_grace: standing == Standing::InGrace,
        };
        Ok(Some(Found {
            stored,
            state,
            token,
        }))
    }

    fn session(&self, found: Found) -> Result<Option<Session>, SessionError> {
        let Found {
            stored,
            state,
            token,
        } = found;
        if self.is_other_client(&state) {
            let id = &stored.id;
            match self.config.on_client_change {
                Policy::Ignore => {}
                Policy::End => {
                    self.end(id, EndReason::ClientChanged)?;
                    return Ok(self.rejected(Some(id), RejectReason::Ended));
                }
                Policy::Report => self.imports.report(&Event::ClientChanged(id.clone())),
                Policy::Fail => {
                    self.imports.report(&Event::ClientChanged(id.clone()));
                    return Err(SessionError::Invalid(
                        "the session began at another remote address or user agent".into(),
                    ));
                }
            }
        }
        let place = Stored {
            id: stored.id,
            version: stored.version,
            used: stored.modified,
            token,
        };
        let config = self.config.clone();
        let session = Session::opened(config, self.mode, place, stored.state, state);
        Ok(Some(session))
    }

    fn is_other_client(&self, state: &State) -> bool {
        let differ = |a: &Option<String>, b: &Option<String>| match (a, b) {
            (Some(a), Some(b)) => beginning(a) != beginning(b),
            _ => false,
        };
        differ(&state.remote_address, &self.request.remote_address)
            || differ(&state.user_agent, &self.request.user_agent)
    }

    fn load(&self, id: &str) -> Result<Option<(StoredSession, State)>, SessionError> {
        let stored = match self.imports.load_session(id) {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok(self.rejected(Some(id), RejectReason::Unknown)),
            Err(StoreError::Corrupt(why)) => return self.damaged(id, &why),
            Err(error) => return Err(session_error(error)),
        };
        match State::decode(&stored.state) {
            Ok(state) => Ok(Some((stored, state))),
            Err(DecodeError::Damaged(why)) => self.damaged(id, why),
            // A later release runs beside this one: a new session would log
            // the user out there too.
            Err(error @ DecodeError::Newer) => Err(SessionError::Store(error.text().into())),
        }
    }

    fn damaged<T>(&self, id: &str, why: &str) -> Result<Option<T>, SessionError> {
        if self.config.on_damage != Policy::Ignore {
            let event = Event::Damaged((id.to_owned(), why.to_owned()));
            self.imports.report(&event);
        }
        match self.config.on_damage {
            Policy::Fail => Err(session_error(StoreError::Corrupt(why.into()))),
            Policy::Ignore | Policy::Report | Policy::End => Ok(None),
        }
    }

    /// Deletes a session, so that it stays ended: under its other tokens, at its
    /// own client, and even if the configuration becomes more lenient.
    fn end(&self, id: &str, reason: EndReason) -> Result<(), SessionError> {
        if self.mode != Mode::ReadOnly {
            end(id, reason, self.imports)?;
        }
        Ok(())
    }

    fn rejected<T>(&self, id: Option<&str>, reason: RejectReason) -> Option<T> {
        let id = id.map(str::to_owned);
        self.imports.report(&Event::Rejected((id, reason)));
        None
    }
}
