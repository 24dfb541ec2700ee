//! The handle of a session, which an application holds during a request.

use std::cell::{Cell, Ref, RefCell, RefMut};

use crate::session::Session;

thread_local! {
    /// The number of requests that this instance has ended.
    static ENDED_REQUESTS: Cell<u64> = const { Cell::new(0) };
}

/// Ends the request: no handle of it opens its session any more.
pub fn end_request() {
    ENDED_REQUESTS.set(ENDED_REQUESTS.get().wrapping_add(1));
}

/// A session, and the request for which it was opened.
pub struct SessionHandle {
    session: RefCell<Session>,
    request: u64,
}

impl SessionHandle {
    /// Creates the handle of a session for the request that is being served.
    pub fn new(session: Session) -> Self {
        Self {
            session: RefCell::new(session),
            request: ENDED_REQUESTS.get(),
        }
    }

    /// Borrows the session for a function of the application, whose response may then depend
    /// on it.
    pub fn look(&self) -> Ref<'_, Session> {
        let session = self.current().borrow();
        session.note_look();
        session
    }

    /// Borrows the session for a function that changes it.
    pub fn change(&self) -> RefMut<'_, Session> {
        let session = self.borrow_mut();
        session.note_look();
        session
    }

    /// Borrows the session for a function that tells the application nothing of it.
    pub fn borrow_mut(&self) -> RefMut<'_, Session> {
        self.current().borrow_mut()
    }

    /// Returns the session, which is closed if its request has ended.
    fn current(&self) -> &RefCell<Session> {
        if self.request != ENDED_REQUESTS.get() {
            self.session.borrow_mut().close();
        }
        &self.session
    }
}
