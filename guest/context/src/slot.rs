//! The session of this instance, which serves a single request.

use std::cell::{Cell, OnceCell};

use crate::bindings::session3::sessions::manager::{
    self, Header, Mode, Request, Session, SessionError, SessionManager,
};

thread_local! {
    static SESSION: OnceCell<Session> = const { OnceCell::new() };
    /// Whether `end` was called: from then on, changes are refused.
    static HAS_ENDED: Cell<bool> = const { Cell::new(false) };
}

/// Opens the session of a request, with the default configuration and in mode merge.
///
/// # Errors
///
/// `Busy` if this instance already has a session, so that no request ever uses the session
/// of another one, and the errors of the session manager.
pub fn begin(request: &Request) -> Result<(), SessionError> {
    SESSION.with(|slot| {
        if slot.get().is_some() {
            return Err(SessionError::Busy);
        }
        let manager = SessionManager::open(&manager::default_config())?;
        let session = manager.get_session(request, Mode::Merge)?;
        slot.set(session).map_err(|_| SessionError::Busy)
    })
}

/// Ends the request: commits the session and returns the headers for the response, or
/// discards the changes if `commit` is false. From then on, changes are refused.
///
/// # Errors
///
/// `Ended` if there is no session or the request has already ended, and the errors of the
/// commit.
pub fn end(commit: bool) -> Result<Vec<Header>, SessionError> {
    let headers = change(|session| match commit {
        true => session.commit(),
        false => {
            session.forget_changes();
            Ok(Vec::new())
        }
    });
    HAS_ENDED.set(true);
    headers
}

/// Reads from the session with a function and returns its result, or `None` before the
/// session is opened. This works after the request has ended, too.
pub fn look<T>(what: impl FnOnce(&Session) -> T) -> Option<T> {
    SESSION.with(|slot| slot.get().map(what))
}

/// Changes the session with a function and returns its result.
///
/// # Errors
///
/// `Ended` if there is no session or the request has ended, since the change would never be
/// committed, and the errors of the function.
pub fn change<T>(
    what: impl FnOnce(&Session) -> Result<T, SessionError>,
) -> Result<T, SessionError> {
    match HAS_ENDED.get() {
        true => Err(SessionError::Ended),
        false => look(what).unwrap_or(Err(SessionError::Ended)),
    }
}
