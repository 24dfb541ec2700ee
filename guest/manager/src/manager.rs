//! Opening the session of a request: from the cookies to the session that their token opens.

use std::cell::Cell;
use std::rc::Rc;

use crate::bindings::exports::session3::sessions::manager::{
    Config, Mode, Policy, Request, SessionError,
};
use crate::bindings::session3::sessions::{
    events::{EndReason, Event, RejectReason},
    store::{StoreError, StoredSession},
};
use crate::client::is_other_client;
use crate::config::{check, milliseconds};
use crate::cookie;
use crate::encoding::DecodeError;
use crate::ending::end_session;
use crate::errors::{session_error, undecodable};
use crate::imports::Imports;
use crate::renewal::{KnownToken, Standing};
use crate::session::{Arrival, Session, Stored};
use crate::state::State;
use crate::timeouts::timed_out;
use crate::token::{SecretHash, Token};

/// The number of well-formed cookies with the configured name that are tried in a request.
/// Several hosts of one domain may each set such a cookie, but no client may cause hundreds of
/// loads with one request.
const MAX_COOKIES: usize = 4;
/// The number of malformed cookies with the configured name that are reported in a request.
/// Other applications may have set them. They cost no load.
const MAX_MALFORMED: usize = 4;

/// Opens sessions under one configuration.
pub struct SessionManager {
    config: Rc<Config>,
}

impl SessionManager {
    /// Creates a manager.
    ///
    /// # Errors
    ///
    /// `invalid` if the configuration contradicts itself.
    pub fn open(config: Config) -> Result<Self, SessionError> {
        check(&config)?;
        Ok(Self {
            config: Rc::new(config),
        })
    }

    /// Returns the session that a token of the request opens, or a new session that is not
    /// stored yet.
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
            arrival: Cell::new(Arrival::Ordinary),
        };
        let (mut tried, mut malformed) = (0, 0);
        for value in cookie::values(&request.cookies, &self.config.cookie.name) {
            match str::from_utf8(value).ok().and_then(Token::parse) {
                Some(token) if tried < MAX_COOKIES => {
                    tried += 1;
                    if let Some(session) = attempt.open(&token)? {
                        return Ok(session);
                    }
                }
                None if malformed < MAX_MALFORMED => {
                    malformed += 1;
                    let _: Option<()> = attempt.rejected(None, RejectReason::Malformed);
                }
                _ => {}
            }
        }
        let (config, arrival) = (self.config.clone(), attempt.arrival.get());
        Ok(Session::new(config, mode, request, arrival, imports.now()))
    }
}

/// The attempt to open the session of a request.
struct Attempt<'a> {
    config: &'a Rc<Config>,
    request: &'a Request,
    mode: Mode,
    imports: &'a dyn Imports,
    /// What the cookies that were tried tell.
    arrival: Cell<Arrival>,
}

/// A stored session and the token that opens it.
struct Found {
    stored: StoredSession,
    state: State,
    token: KnownToken,
    /// The time when the session was loaded, in milliseconds since 1970.
    now: u64,
}

impl Attempt<'_> {
    /// Returns the session that a token opens, if it opens one.
    fn open(&self, token: &Token) -> Result<Option<Session>, SessionError> {
        let hash = token.secret.hash();
        let Some(found) = self.find(token, &hash)? else {
            return Ok(None);
        };
        if self.mode != Mode::Exclusive {
            return self.check_client(found);
        }
        // The secret is checked before the lock is taken, so that a client without the
        // secret makes no other request wait. The session may change while this request
        // waits for the lock, so it is loaded again.
        let lock = self.imports.lock_session(&token.id);
        let lock = lock.map_err(session_error)?;
        let Some(found) = self.find(token, &hash)? else {
            return Ok(None);
        };
        let session = self.check_client(found)?;
        Ok(session.map(|session| session.with_lock(lock)))
    }

    /// Loads the session that a token names, and returns it if the token opens it.
    fn find(&self, token: &Token, hash: &SecretHash) -> Result<Option<Found>, SessionError> {
        let Token { id, secret } = token;
        let Some((stored, state)) = self.load(id)? else {
            return Ok(None);
        };
        let now = self.imports.now();
        let grace = milliseconds(self.config.renew_grace);
        let standing = state.secrets.standing(hash, grace, now);
        match standing {
            Standing::Unknown => {
                return Ok(self.rejected(Some(id), RejectReason::WrongSecret));
            }
            Standing::Late => {
                let rejected = self.rejected(Some(id), RejectReason::ReplacedToken);
                self.arrival.set(Arrival::Late);
                return Ok(rejected);
            }
            Standing::Replaced => {
                return Ok(self.rejected(Some(id), RejectReason::ReplacedToken));
            }
            _ => {}
        }
        if let Some(reason) = timed_out(self.config, &stored, &state, now) {
            // If the store fails here, the next sweep deletes the session. No token opens it
            // any more.
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
            standing,
        };
        Ok(Some(Found {
            stored,
            state,
            token,
            now,
        }))
    }

    /// Returns the session, unless its client has changed and the policy forbids that.
    fn check_client(&self, found: Found) -> Result<Option<Session>, SessionError> {
        let Found {
            stored,
            state,
            token,
            now,
        } = found;
        if is_other_client(&state, self.request) {
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
                    return Err(SessionError::ClientChanged);
                }
            }
        }
        let place = Stored {
            id: stored.id,
            version: stored.version,
            last_used: stored.modified,
            token,
        };
        let config = self.config.clone();
        let session = Session::from_store(config, self.mode, place, stored.state, state, now);
        Ok(Some(session))
    }

    /// Loads and decodes a session. Returns `None` if there is none, or if its record is
    /// damaged and the policy allows that.
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
            // Another server can read the session: one of a newer release, or one with the key. If
            // this one began a new session, the user would be logged out of the other, too.
            Err(error @ (DecodeError::Newer | DecodeError::Sealed)) => Err(undecodable(error)),
        }
    }

    /// Follows the policy for damaged records.
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

    /// Ends a session, unless the request may write nothing. Refusing this one token would not
    /// suffice: the session would still open with another token, from its own client, or
    /// under a more lenient configuration.
    fn end(&self, id: &str, reason: EndReason) -> Result<(), SessionError> {
        if !matches!(self.mode, Mode::ReadOnly | Mode::DryRun) {
            end_session(id, reason, self.imports)?;
        }
        Ok(())
    }

    /// Reports that a token opened no session, and returns `None`.
    fn rejected<T>(&self, id: Option<&str>, reason: RejectReason) -> Option<T> {
        if self.arrival.get() == Arrival::Ordinary {
            self.arrival.set(Arrival::DeadCookie);
        }
        let id = id.map(str::to_owned);
        self.imports.report(&Event::Rejected((id, reason)));
        None
    }
}
