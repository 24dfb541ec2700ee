//! The manager's imports for tests: a store in memory, a clock that moves when
//! the test says so, random numbers that repeat from run to run.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::bindings::session3::sessions::{
    events::Event,
    store::{SessionState, StoreError, StoredSession},
};
use crate::imports::Imports;

/// What another request does.
pub type Meanwhile = Box<dyn FnOnce(&Fake)>;

/// See the module.
pub struct Fake {
    /// The time.
    pub now: Cell<u64>,
    /// The sessions.
    pub sessions: RefCell<BTreeMap<String, StoredSession>>,
    /// What was reported.
    pub events: RefCell<Vec<Event>>,
    /// Changes of the store that were asked for, granted or not.
    pub writes: Cell<u32>,
    /// Taken as the answer of the next call of the store.
    pub fault: RefCell<Option<StoreError>>,
    /// Done before the next save: what another request does meanwhile.
    pub meanwhile: RefCell<Vec<Meanwhile>>,
    /// Whether the random numbers are all the same.
    pub stuck: Cell<bool>,
    random: Cell<u128>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            now: Cell::new(1_700_000_000_000),
            sessions: RefCell::default(),
            events: RefCell::default(),
            writes: Cell::new(0),
            fault: RefCell::new(None),
            meanwhile: RefCell::default(),
            stuck: Cell::new(false),
            random: Cell::new(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
        }
    }
}

impl Fake {
    /// Lets time pass.
    pub fn wait(&self, seconds: u64) {
        self.now.set(self.now.get() + seconds * 1000);
    }

    /// What was reported since the last call.
    pub fn take_events(&self) -> Vec<Event> {
        self.events.take()
    }

    fn fail_if_told(&self) -> Result<(), StoreError> {
        self.fault.take().map_or(Ok(()), Err)
    }

    fn change<T>(
        &self,
        id: &str,
        expected: u64,
        change: impl FnOnce(&mut StoredSession) -> T,
    ) -> Result<T, StoreError> {
        self.writes.set(self.writes.get() + 1);
        self.fail_if_told()?;
        let mut sessions = self.sessions.borrow_mut();
        let session = sessions.get_mut(id).ok_or(StoreError::Absent)?;
        if session.version != expected {
            return Err(StoreError::Conflict(session.version));
        }
        session.modified = self.now.get();
        Ok(change(session))
    }
}

impl Imports for Fake {
    fn now(&self) -> u64 {
        self.now.get()
    }

    fn random(&self) -> u128 {
        if self.stuck.get() {
            return 4;
        }
        // A linear congruential generator: only its not repeating counts.
        let next = self
            .random
            .get()
            .wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645)
            .wrapping_add(0x5851_f42d_4c95_7f2d_1405_7b7e_f767_814f);
        self.random.set(next);
        next
    }

    fn report(&self, event: &Event) {
        self.events.borrow_mut().push(event.clone());
    }

    fn create_session(&self, id: &str, state: &SessionState) -> Result<u64, StoreError> {
        self.writes.set(self.writes.get() + 1);
        self.fail_if_told()?;
        let mut sessions = self.sessions.borrow_mut();
        if sessions.contains_key(id) {
            return Err(StoreError::Exists);
        }
        let session = StoredSession {
            id: id.to_owned(),
            version: 1,
            modified: self.now.get(),
            state: state.clone(),
        };
        sessions.insert(id.to_owned(), session);
        Ok(1)
    }

    fn load_session(&self, id: &str) -> Result<Option<StoredSession>, StoreError> {
        self.fail_if_told()?;
        Ok(self.sessions.borrow().get(id).cloned())
    }

    fn save_session(
        &self,
        id: &str,
        state: &SessionState,
        expected: u64,
    ) -> Result<u64, StoreError> {
        let meanwhile = self.meanwhile.borrow_mut().pop();
        if let Some(other_request) = meanwhile {
            other_request(self);
        }
        self.change(id, expected, |session| {
            session.state = state.clone();
            session.version += 1;
            session.version
        })
    }

    fn touch_session(&self, id: &str, expires: u64, expected: u64) -> Result<(), StoreError> {
        self.change(id, expected, |session| session.state.expires = expires)
    }

    fn delete_session(&self, id: &str) -> Result<bool, StoreError> {
        self.writes.set(self.writes.get() + 1);
        self.fail_if_told()?;
        Ok(self.sessions.borrow_mut().remove(id).is_some())
    }
}
