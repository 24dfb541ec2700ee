//! The session of one request.

use std::cell::OnceCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;
use session3_store::value::{from_value, to_value};

#[cfg(feature = "middleware")]
use crate::bindings::behind_middleware::session3::sessions::current;
use crate::bindings::session3::sessions::manager as wit;
use crate::bindings::session3::sessions::session_types::Value;
use crate::error::Error;
use crate::headers::CommitHeaders;
use crate::manager::{Config, Mode, Request, SessionSummary};

/// The session of one request, which the first call opens: a request that calls no function of
/// its session needs no store.
///
/// All changes take effect when the request commits, except where a function says so. After a
/// request that failed, the session is as it was before.
///
/// The functions have the names of the type `Session` in the crate
/// [`session3`](https://docs.rs/session3), for native programs. They need no `await`: a call
/// lets the whole instance wait.
///
/// # Errors
///
/// Every function returns an [`Error`] if the session cannot be opened: [`Error::Store`] if the
/// store fails, [`Error::Busy`] if an exclusive session is not available in time, and
/// [`Error::ClientChanged`] or [`Error::Invalid`] as the configuration says. The functions that
/// change the session fail with [`Error::Ended`] after [`expire`](Self::expire).
pub struct Session {
    source: Source,
}

/// Where a session comes from.
enum Source {
    /// The session manager opens it.
    Manager(Box<Opening>),
    /// The middleware has opened it.
    #[cfg(feature = "middleware")]
    Middleware,
}

/// What opens the session of a request.
struct Opening {
    request: Request,
    mode: Mode,
    configure: Box<dyn Fn(&mut Config)>,
    opened: OnceCell<wit::Session>,
}

impl Opening {
    fn session(&self) -> Result<&wit::Session, Error> {
        if let Some(session) = self.opened.get() {
            return Ok(session);
        }
        let mut config = wit::default_config();
        (self.configure)(&mut config);
        let manager = wit::SessionManager::open(&config)?;
        let session = manager.get_session(&self.request, self.mode)?;
        Ok(self.opened.get_or_init(|| session))
    }
}

/// Calls a function of the session, which has the same name in both interfaces.
macro_rules! call {
    ($session:ident.$function:ident($($argument:expr),*)) => {
        match &$session.source {
            Source::Manager(opening) => opening.session()?.$function($($argument),*),
            #[cfg(feature = "middleware")]
            Source::Middleware => current::$function($($argument),*),
        }
    };
}

impl Session {
    /// Returns the session of a request in this mode. `configure` changes the configuration,
    /// which is the operator's before.
    ///
    /// [`Sessions`](crate::Sessions) calls this for requests with the types of the crate `http`.
    pub fn open(request: Request, mode: Mode, configure: impl Fn(&mut Config) + 'static) -> Self {
        let opening = Opening {
            request,
            mode,
            configure: Box::new(configure),
            opened: OnceCell::new(),
        };
        Self {
            source: Source::Manager(Box::new(opening)),
        }
    }

    /// Returns the session that the middleware has opened for the current request.
    ///
    /// The middleware commits it if the response has a status below 500. After the application
    /// has returned its response, changes fail with [`Error::Ended`].
    #[cfg(feature = "middleware")]
    pub fn current() -> Self {
        Self {
            source: Source::Middleware,
        }
    }

    /// Returns the ID; `None` before the first commit that stores the session. The ID may be
    /// shown and logged, since it gives no access.
    pub fn id(&self) -> Result<Option<String>, Error> {
        Ok(call!(self.id()))
    }

    /// Returns whether the session is new, because no cookie of the request opened one.
    pub fn is_new(&self) -> Result<bool, Error> {
        Ok(call!(self.is_new()))
    }

    /// Returns when the session began.
    pub fn created(&self) -> Result<SystemTime, Error> {
        Ok(time(call!(self.created())))
    }

    /// Returns when the session was used before this request.
    pub fn accessed(&self) -> Result<SystemTime, Error> {
        Ok(time(call!(self.accessed())))
    }

    /// Returns the remote address of the request that started the session.
    pub fn remote_address(&self) -> Result<Option<String>, Error> {
        Ok(call!(self.remote_address()))
    }

    /// Returns the user who is logged in.
    pub fn user(&self) -> Result<Option<String>, Error> {
        Ok(call!(self.user()))
    }

    /// Logs a user in, changes the user, or logs the user out with `None`.
    ///
    /// The commit replaces the cookie's token, so a token from before the log-in opens nothing.
    /// When a user logs in, the attributes stay. When the user changes or logs out, the
    /// attributes, tokens and messages are removed at once.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] unless the name has 1 to 1024 bytes.
    pub fn set_user(&self, user: Option<&str>) -> Result<(), Error> {
        Ok(call!(self.set_user(user))?)
    }

    /// Returns when the user was last set, for actions that need a recent authentication;
    /// `None` without a user.
    pub fn authenticated(&self) -> Result<Option<SystemTime>, Error> {
        Ok(call!(self.authenticated()).map(time))
    }

    /// Sets whether the session is remembered beyond the end of the browser: from the commit on,
    /// it has the times of [`Config::remember`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the session is to be remembered and the configuration has no such
    /// times.
    pub fn remember(&self, remember: bool) -> Result<(), Error> {
        Ok(call!(self.remember(remember))?)
    }

    /// Returns whether the session is remembered.
    pub fn is_remembered(&self) -> Result<bool, Error> {
        Ok(call!(self.is_remembered()))
    }

    /// Returns whether the session has anything to store: a user, an attribute, a token or a
    /// message.
    pub fn has_info(&self) -> Result<bool, Error> {
        Ok(call!(self.has_info()))
    }

    /// Returns an attribute; `None` if no attribute has this name.
    ///
    /// # Errors
    ///
    /// [`Error::Type`] if the attribute is not of the type `T`, or `T` cannot hold it exactly.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        match call!(self.get(name)) {
            Some(value) => from_value(value.into()).map(Some).map_err(of_type(name)),
            None => Ok(None),
        }
    }

    /// Returns an attribute as the session manager stores it, for applications that do not know
    /// its type; `None` if no attribute has this name.
    pub fn value(&self, name: &str) -> Result<Option<Value>, Error> {
        Ok(call!(self.get(name)))
    }

    /// Sets an attribute. If concurrent requests set the same attribute, the last commit counts.
    /// The crate's documentation has a table of the types.
    ///
    /// # Errors
    ///
    /// [`Error::Type`] if JSON could not give the value back as it is, such as NaN or a map
    /// whose keys are numbers. [`Error::Invalid`] unless the name has 1 to 256 bytes and the
    /// session has at most 1,000 attributes.
    pub fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), Error> {
        let value = to_value(value).map_err(of_type(name))?;
        self.set_value(name, &value.into())
    }

    /// Sets an attribute to a value of the session manager, which [`value`](Self::value) returns.
    /// A JSON text is stored unchanged and without a check.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if a number is infinite or NaN, and for the names that
    /// [`set`](Self::set) refuses.
    pub fn set_value(&self, name: &str, value: &Value) -> Result<(), Error> {
        Ok(call!(self.set(name, value))?)
    }

    /// Removes an attribute. Returns whether there was one.
    pub fn remove(&self, name: &str) -> Result<bool, Error> {
        Ok(call!(self.remove(name))?.is_some())
    }

    /// Returns the names of the attributes, sorted by their bytes.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        Ok(call!(self.names()))
    }

    /// Adds to an integer attribute, which starts at 0, and returns the sum. The additions of
    /// concurrent requests all count.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the attribute is no integer, or the sum does not fit.
    pub fn add(&self, name: &str, delta: i64) -> Result<i64, Error> {
        Ok(call!(self.add(name, delta))?)
    }

    /// Returns the session's token against cross-site request forgery, for a hidden field of any
    /// number of forms. Each call masks it anew.
    pub fn csrf_token(&self) -> Result<String, Error> {
        Ok(call!(self.csrf_token())?)
    }

    /// Returns whether a token is one that [`csrf_token`](Self::csrf_token) returned for this
    /// session.
    pub fn is_csrf_token(&self, token: &str) -> Result<bool, Error> {
        Ok(call!(self.is_csrf_token(token)))
    }

    /// Creates a token for a single submission of a form.
    pub fn create_form_token(&self) -> Result<String, Error> {
        Ok(call!(self.create_form_token())?)
    }

    /// Returns whether a form token is valid, without using it up.
    pub fn has_form_token(&self, token: &str) -> Result<bool, Error> {
        Ok(call!(self.has_form_token(token)))
    }

    /// Uses up a form token, in the store and at once. Returns whether the token was valid: of
    /// several requests with the same token, at most one gets true.
    pub fn remove_form_token(&self, token: &str) -> Result<bool, Error> {
        Ok(call!(self.remove_form_token(token))?)
    }

    /// Adds a message for the next page.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the session has 100 messages.
    pub fn flash(&self, message: &str) -> Result<(), Error> {
        Ok(call!(self.flash(message))?)
    }

    /// Returns the messages, oldest first. The commit removes them.
    pub fn take_flashes(&self) -> Result<Vec<String>, Error> {
        Ok(call!(self.take_flashes())?)
    }

    /// Renews the token at the commit.
    pub fn renew(&self) -> Result<(), Error> {
        Ok(call!(self.renew())?)
    }

    /// Ends the session at the commit, which deletes the cookie. This empties the session at
    /// once.
    pub fn expire(&self) -> Result<(), Error> {
        Ok(call!(self.expire())?)
    }

    /// Drops the changes that were not committed, including an [`expire`](Self::expire). A
    /// session that no function has used has no changes, and is not opened for this.
    pub fn forget_changes(&self) {
        match &self.source {
            Source::Manager(opening) => {
                if let Some(session) = opening.opened.get() {
                    session.forget_changes();
                }
            }
            #[cfg(feature = "middleware")]
            Source::Middleware => current::forget_changes(),
        }
    }

    /// Returns the sessions of this session's user, including this one.
    pub fn own_sessions(&self) -> Result<Vec<SessionSummary>, Error> {
        Ok(call!(self.own_sessions())?)
    }

    /// Ends one of the user's sessions at once. Returns whether there was one with this ID.
    pub fn expire_own(&self, id: &str) -> Result<bool, Error> {
        Ok(call!(self.expire_own(id))?)
    }

    /// Ends all other sessions of the user at once, as after a change of password. Returns their
    /// number.
    pub fn expire_others(&self) -> Result<u32, Error> {
        Ok(call!(self.expire_others())?)
    }

    /// Saves the changes of this request, and returns the headers for the response.
    ///
    /// Handlers that are called with a session need not call this: it is called after them. A
    /// session that no function has used has nothing to commit, and neither has one behind the
    /// middleware, which commits it: then there are no headers.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] if the session was ended in the meantime, or its user changed;
    /// [`Error::Conflict`] in the modes `Strict` and `Exclusive`; [`Error::Invalid`] if the
    /// session is too large; [`Error::Busy`] and [`Error::Store`]. After an error, the response
    /// must not show what the session contains.
    pub fn commit(&self) -> Result<CommitHeaders, Error> {
        let headers = match &self.source {
            Source::Manager(opening) => match opening.opened.get() {
                Some(session) => session.commit()?,
                None => Vec::new(),
            },
            #[cfg(feature = "middleware")]
            Source::Middleware => Vec::new(),
        };
        Ok(CommitHeaders::new(headers))
    }
}

/// Returns what makes an error for the attribute of this name.
fn of_type(name: &str) -> impl FnOnce(serde_json::Error) -> Error {
    let name = name.to_owned();
    |source| Error::Type { name, source }
}

fn time(milliseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(milliseconds)
}
