//! How requests get their sessions.

use std::error::Error as StdError;

use http::header::{CONTENT_TYPE, COOKIE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};

use crate::error::Error;
use crate::manager::{Config, Mode, Request};
use crate::session::Session;

/// How requests get their sessions, and what the response is if a session fails. The defaults
/// suit most applications.
///
/// ```
/// use session3_guest::Sessions;
/// use session3_guest::manager::Mode;
///
/// const SESSIONS: Sessions = Sessions::new()
///     .mode(|request| match request.uri.path() {
///         "/transfer" => Mode::Exclusive,
///         _ => Mode::Merge,
///     })
///     .configure(|config, _| config.idle_timeout = 5 * 60);
/// # let _ = SESSIONS;
/// ```
#[derive(Clone, Copy)]
pub struct Sessions {
    mode: fn(&Parts) -> Mode,
    configure: fn(&mut Config, &Uri),
    remote_address: fn(&Parts) -> Option<String>,
    error_page: fn(&Error) -> Response<String>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new()
    }
}

impl Sessions {
    /// Returns the defaults.
    pub const fn new() -> Self {
        Self {
            mode: |_| Mode::Merge,
            configure: |_, _| (),
            remote_address: forwarded_address,
            error_page: plain_page,
        }
    }

    /// Chooses the mode of each request but those with the method HEAD, whose mode is always
    /// [`Mode::DryRun`]. By default it is [`Mode::Merge`].
    pub const fn mode(mut self, mode: fn(&Parts) -> Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Changes the configuration, which is the operator's before. The operator's policy may
    /// refuse one that is weaker. The URI is that of the request.
    pub const fn configure(mut self, configure: fn(&mut Config, &Uri)) -> Self {
        self.configure = configure;
        self
    }

    /// Finds the client's address, which is stored with a new session and compared with that of
    /// later requests. By default, it is the header X-Forwarded-For, which `session3 serve`
    /// sets. Of another host, that header may be what the client claims.
    pub const fn remote_address(mut self, address: fn(&Parts) -> Option<String>) -> Self {
        self.remote_address = address;
        self
    }

    /// Creates the response to a request whose session or form failed. It should have the status
    /// of [`Error::status`]. By default, it is a text with [`Error::advice`].
    pub const fn error_page(mut self, page: fn(&Error) -> Response<String>) -> Self {
        self.error_page = page;
        self
    }

    /// Returns the session of a request. Its first use opens it.
    pub fn open(&self, request: &Parts) -> Session {
        let info = Request {
            cookies: cookies(&request.headers),
            remote_address: (self.remote_address)(request),
            user_agent: text(&request.headers, USER_AGENT.as_str()),
        };
        let mode = match request.method {
            // The response is that of a GET request, and nothing else happens.
            Method::HEAD => Mode::DryRun,
            _ => (self.mode)(request),
        };
        let (configure, uri) = (self.configure, request.uri.clone());
        Session::open(info, mode, move |config| configure(config, &uri))
    }

    /// Commits the session and adds the headers of the commit to the response, unless the status
    /// is that of a server error. The handlers of this crate call this.
    ///
    /// # Errors
    ///
    /// As [`Session::commit`]. The response must not be sent then.
    pub fn commit<B>(&self, session: &Session, response: &mut Response<B>) -> Result<(), Error> {
        match response.status().is_server_error() {
            true => Ok(()),
            false => session.commit()?.add_to(response.headers_mut()),
        }
    }

    /// Returns the response to send: that of the handler after a commit, or one that says what
    /// failed. After an error of the handler, nothing is committed. If the error is one of this
    /// crate, the response has its [`status`](Error::status); after any other error, the response
    /// has the status 500, and the error is in the log.
    ///
    /// [`serve!`](crate::serve) calls this. Call it where the crate has no handler of its own,
    /// such as in an application for WASI 0.3.
    pub fn respond<B, E>(&self, session: &Session, answered: Result<Response<B>, E>) -> Response<B>
    where
        B: From<String>,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let committed = match answered {
            Ok(mut response) => self.commit(session, &mut response).map(|()| response),
            Err(error) => match error.into().downcast::<Error>() {
                Ok(error) => Err(*error),
                Err(error) => return self.fail(session, &*error).map(B::from),
            },
        };
        committed.unwrap_or_else(|error| self.refuse(session, &error).map(B::from))
    }

    /// Drops the changes of the session, and returns the response to a request whose session or
    /// form failed. Logs what the application has done wrong; the host logs that a store has
    /// failed.
    pub fn refuse(&self, session: &Session, error: &Error) -> Response<String> {
        if matches!(
            error,
            Error::Invalid(_) | Error::ReadOnly | Error::Type { .. }
        ) {
            crate::log::line(&format!("the request was refused: {error}"));
        }
        session.forget_changes();
        (self.error_page)(error)
    }

    /// Drops the changes of the session, and returns the response after an error that is not one
    /// of this crate.
    fn fail(&self, session: &Session, error: &dyn StdError) -> Response<String> {
        crate::log::line(&format!("the application failed: {error}"));
        session.forget_changes();
        let mut response = Response::default();
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    }
}

fn cookies(headers: &HeaderMap) -> Vec<Vec<u8>> {
    let cookies = headers.get_all(COOKIE).iter();
    cookies.map(|value| value.as_bytes().to_vec()).collect()
}

/// Returns the first value of a header, if it is valid UTF-8.
fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    String::from_utf8(headers.get(name)?.as_bytes().to_vec()).ok()
}

fn forwarded_address(request: &Parts) -> Option<String> {
    text(&request.headers, "x-forwarded-for")
}

/// Returns a page with nothing but the advice.
fn plain_page(error: &Error) -> Response<String> {
    let mut response = Response::new(format!("{}\n", error.advice()));
    *response.status_mut() = error.status();
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}
