//! A store component for hosts that have WASI 0.2 but no store of session3. It keeps
//! sessions in the directory that the host provides as `/sessions`, in the same files as
//! the native directory store. `README.md` says what is safe there.

mod bindings;
mod clock;
mod directory;
mod log;

use std::cell::{OnceCell, RefCell};
use std::rc::{Rc, Weak};

use bindings::exports::session3::sessions::{events, store as wit};
use directory::{Directory, Lock};
use session3_store::{SessionId, StoreError};

session3_store::convert_store_bindings!(wit);

struct Component;

#[expect(unsafe_code, reason = "generated: the functions that the host calls")]
mod exports {
    use super::{Component, bindings};

    bindings::export!(Component with_types_in bindings);
}

thread_local! {
    static DIRECTORY: OnceCell<Rc<Directory>> = const { OnceCell::new() };
    /// The sessions that exclusive requests of this instance hold.
    static REQUESTS: RefCell<Vec<(SessionId, Weak<Lock>)>> = const { RefCell::new(Vec::new()) };
}

/// Returns the directory, which this instance opens once.
fn directory() -> Result<Rc<Directory>, StoreError> {
    if let Some(directory) = DIRECTORY.with(|cell| cell.get().cloned()) {
        return Ok(directory);
    }
    let opened = Directory::open().inspect_err(log::open_failed);
    let directory = Rc::new(opened?);
    Ok(DIRECTORY.with(|cell| cell.get_or_init(|| directory).clone()))
}

/// The lock of an exclusive request.
struct SessionLock(Rc<Lock>);

impl wit::GuestSessionLock for SessionLock {
    fn is_held(&self) -> bool {
        self.0.is_held()
    }
}

impl events::Guest for Component {
    fn report(event: events::Event) {
        log::report(&event);
    }
}

impl wit::Guest for Component {
    type SessionLock = SessionLock;

    fn setup() -> Result<(), wit::StoreError> {
        directory()?;
        Ok(())
    }

    fn create_session(id: String, state: wit::SessionState) -> Result<u64, wit::StoreError> {
        let id = parse(&id)?;
        Ok(directory()?.create(&id, &state.into())?)
    }

    fn load_session(id: String) -> Result<Option<wit::StoredSession>, wit::StoreError> {
        let id = parse(&id)?;
        Ok(directory()?.load(&id)?.map(Into::into))
    }

    fn save_session(
        id: String,
        state: wit::SessionState,
        expected: u64,
    ) -> Result<u64, wit::StoreError> {
        let id = parse(&id)?;
        Ok(directory()?.save(&id, &state.into(), expected)?)
    }

    fn touch_session(id: String, expires: u64, expected: u64) -> Result<(), wit::StoreError> {
        let id = parse(&id)?;
        Ok(directory()?.touch(&id, expires, expected)?)
    }

    fn delete_session(id: String) -> Result<bool, wit::StoreError> {
        let id = parse(&id)?;
        Ok(directory()?.delete(&id)?)
    }

    fn has_session(id: String) -> Result<bool, wit::StoreError> {
        let id = parse(&id)?;
        Ok(directory()?.load(&id)?.is_some())
    }

    fn delete_old_sessions(minutes: u32) -> Result<wit::SweepReport, wit::StoreError> {
        Ok(directory()?.sweep(minutes)?.into())
    }

    fn iter_sessions(
        cursor: Option<String>,
        limit: u32,
    ) -> Result<wit::SessionPage, wit::StoreError> {
        Ok(directory()?.iterate(cursor.as_deref(), limit)?.into())
    }

    fn sessions_of_user(user: String) -> Result<Vec<String>, wit::StoreError> {
        let ids = directory()?.sessions_of_user(&user)?;
        Ok(ids.iter().map(SessionId::to_string).collect())
    }

    fn lock_session(id: String) -> Result<wit::SessionLock, wit::StoreError> {
        let id = parse(&id)?;
        let directory = directory()?;
        if has_locked(&id) {
            return Err(wit::StoreError::Busy);
        }
        let lock = Rc::new(directory.lock_request(&id)?);
        REQUESTS.with_borrow_mut(|requests| requests.push((id, Rc::downgrade(&lock))));
        Ok(wit::SessionLock::new(SessionLock(lock)))
    }

    fn is_multiprocess_safe() -> bool {
        false
    }

    fn is_thread_safe() -> bool {
        true
    }
}

/// Returns whether this instance holds the session exclusively. Waiting for itself would
/// block it forever.
fn has_locked(id: &SessionId) -> bool {
    let is_held = |lock: &Weak<Lock>| lock.upgrade().is_some_and(|lock| lock.is_held());
    REQUESTS.with_borrow_mut(|requests| {
        requests.retain(|(_, lock)| is_held(lock));
        requests.iter().any(|(locked, _)| locked == id)
    })
}

/// Parses an ID before anything is done with it.
fn parse(id: &str) -> Result<SessionId, StoreError> {
    id.parse()
}
