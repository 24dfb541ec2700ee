//! Where the session of this instance's one request is.

use std::cell::{Cell, OnceCell};

use crate::bindings::session3::sessions::manager::{
    self, Header, Mode, Request, Session, SessionError, SessionManager,
};

thread_local! {
    static SESSION: OnceCell<Session> = const { OnceCell::new() };
    static HAS_ENDED: Cell<bool> = const { Cell::new(false) };
}

/// Opens the session, the first time. An instance that got no session gets no
/// second chance, since it has no second request.
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

/// Commits or not, and lets nothing be changed after that.
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

/// What is to be seen; none before the request has begun.
pub fn look<T>(what: impl FnOnce(&Session) -> T) -> Option<T> {
    SESSION.with(|slot| slot.get().map(what))
}

/// Changes the session while that still has an effect.
pub fn change<T>(
    what: impl FnOnce(&Session) -> Result<T, SessionError>,
) -> Result<T, SessionError> {
    match HAS_ENDED.get() {
        true => Err(SessionError::Ended),
        false => look(what).unwrap_or(Err(SessionError::Ended)),
    }
}
