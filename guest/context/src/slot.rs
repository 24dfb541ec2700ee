//! The session of the request that this instance serves.

use std::cell::RefCell;

use crate::bindings::session3::sessions::manager::{
    self, Header, Mode, Request, Session, SessionError, SessionManager,
};

thread_local! {
    static SLOT: RefCell<Slot> = const { RefCell::new(Slot::Empty) };
}

enum Slot {
    /// No request has begun.
    Empty,
    /// A request is being served.
    Open(Session),
    /// The request has ended. Its session can be read until the next request begins.
    Ended(Session),
}

/// Opens the session of a request, with the default configuration.
///
/// # Errors
///
/// `Busy` if another request is being served, so that no request ever uses the session of
/// another one, and the errors of the session manager.
pub fn begin(request: &Request, mode: Mode) -> Result<(), SessionError> {
    SLOT.with_borrow_mut(|slot| {
        if matches!(slot, Slot::Open(_)) {
            return Err(SessionError::Busy);
        }
        // If the session cannot be opened, that of the earlier request is gone nevertheless.
        *slot = Slot::Empty;
        let manager = SessionManager::open(&manager::default_config())?;
        *slot = Slot::Open(manager.get_session(request, mode)?);
        Ok(())
    })
}

/// Ends the request: commits the session and returns the headers for the response, or
/// discards the changes if `commit` is false. From then on, changes are refused.
///
/// # Errors
///
/// `Ended` if there is no session or the request has already ended, and the errors of the
/// commit, after which the changes are discarded.
pub fn end(commit: bool) -> Result<Vec<Header>, SessionError> {
    let headers = change(|session| {
        let headers = match commit {
            true => session.commit(),
            false => Ok(Vec::new()),
        };
        session.forget_changes();
        headers
    });
    SLOT.with_borrow_mut(|slot| {
        *slot = match std::mem::replace(slot, Slot::Empty) {
            Slot::Open(session) => Slot::Ended(session),
            other => other,
        };
    });
    headers
}

/// Reads from the session with a function and returns its result, or `None` before the
/// session is opened. This works after the request has ended, too.
pub fn look<T>(what: impl FnOnce(&Session) -> T) -> Option<T> {
    SLOT.with_borrow(|slot| match slot {
        Slot::Empty => None,
        Slot::Open(session) | Slot::Ended(session) => Some(what(session)),
    })
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
    SLOT.with_borrow(|slot| match slot {
        Slot::Open(session) => what(session),
        Slot::Empty | Slot::Ended(_) => Err(SessionError::Ended),
    })
}
