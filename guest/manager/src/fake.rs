//! The manager's imports for tests: a store in memory, a clock that the test sets, and random
//! numbers that are the same in every run.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::bindings::session3::sessions::{
    events::Event,
    store::{SessionPage, SessionState, StoreError, StoredSession, SweepReport},
};
use crate::imports::{Imports, SessionLock};

/// The actions of another request, which run at some point of this one.
pub type OtherRequest = Box<dyn FnOnce(&Fake)>;

/// The lease of a session's lock.
#[derive(Clone, Copy, PartialEq)]
pub enum Lease {
    /// The lock is held and the deadline has not passed.
    Held,
    /// The deadline has passed.
    Over,
    /// The holder has released the lock.
    Dropped,
}

struct FakeLock(Rc<Cell<Lease>>);

impl SessionLock for FakeLock {
    fn is_held(&self) -> bool {
        self.0.get() == Lease::Held
    }
}

impl Drop for FakeLock {
    fn drop(&mut self) {
        self.0.set(Lease::Dropped);
    }
}

/// The imports for a test.
pub struct Fake {
    /// The time, in milliseconds since 1970.
    pub now: Cell<u64>,
    /// The stored sessions by their IDs.
    pub sessions: RefCell<BTreeMap<String, StoredSession>>,
    /// The events that were reported, without the beginnings and ends of commits.
    pub events: RefCell<Vec<Event>>,
    /// The number of commits that began to write.
    pub commits_began: Cell<u32>,
    /// The number of these commits that ended.
    pub commits_ended: Cell<u32>,
    /// The number of times that the clock was read or a random number was taken.
    pub readings: Cell<u32>,
    /// The number of loads.
    pub loads: Cell<u32>,
    /// The number of creates, saves, touches and deletes, including those that failed.
    pub writes: Cell<u32>,
    /// The error that the next call of the store returns.
    pub fault: RefCell<Option<StoreError>>,
    /// The error that the next call of `sessions_of_user` returns.
    pub fault_of_user: RefCell<Option<StoreError>>,
    /// The size that a state may have, in bytes.
    pub limit: Cell<Option<usize>>,
    /// The time that a page of `iter_sessions` takes, in seconds.
    pub slow_iteration: Cell<u64>,
    /// What other requests do before the next saves. The last one runs first.
    pub before_save: RefCell<Vec<OtherRequest>>,
    /// What the lock holder does before the next call of `lock_session` takes the lock.
    pub before_lock: RefCell<Option<OtherRequest>>,
    /// What another request does before the next load.
    pub before_load: RefCell<Option<OtherRequest>>,
    /// What another request does before the next call of `sessions_of_user`.
    pub before_list: RefCell<Option<OtherRequest>>,
    /// The IDs of the sessions whose records are damaged.
    pub damaged: RefCell<Vec<String>>,
    /// The IDs of the sessions that cannot be deleted now.
    pub busy: RefCell<Vec<String>>,
    /// The leases of all locks that were taken, by session ID.
    pub locks: RefCell<BTreeMap<String, Rc<Cell<Lease>>>>,
    /// Whether all random numbers are equal.
    pub stuck: Cell<bool>,
    random: Cell<u128>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            now: Cell::new(1_700_000_000_000),
            sessions: RefCell::default(),
            events: RefCell::default(),
            commits_began: Cell::new(0),
            commits_ended: Cell::new(0),
            readings: Cell::new(0),
            loads: Cell::new(0),
            writes: Cell::new(0),
            fault: RefCell::new(None),
            fault_of_user: RefCell::new(None),
            limit: Cell::new(None),
            slow_iteration: Cell::new(0),
            before_save: RefCell::default(),
            before_lock: RefCell::default(),
            before_load: RefCell::default(),
            before_list: RefCell::default(),
            damaged: RefCell::default(),
            busy: RefCell::default(),
            locks: RefCell::default(),
            stuck: Cell::new(false),
            random: Cell::new(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
        }
    }
}

impl Fake {
    /// Advances the clock.
    pub fn wait(&self, seconds: u64) {
        self.now.set(self.now.get() + seconds * 1000);
    }

    /// Returns the events that were reported since the last call.
    pub fn take_events(&self) -> Vec<Event> {
        self.events.take()
    }

    /// Returns the error that the test has set, once.
    fn take_fault(&self) -> Result<(), StoreError> {
        self.fault.take().map_or(Ok(()), Err)
    }

    fn check_size(&self, state: &SessionState) -> Result<(), StoreError> {
        match self.limit.get() {
            Some(limit) if state.data.len() > limit => Err(StoreError::TooLarge(limit as u64)),
            _ => Ok(()),
        }
    }

    /// Changes a session if its version is still `expected`.
    fn change<T>(
        &self,
        id: &str,
        expected: u64,
        change: impl FnOnce(&mut StoredSession) -> T,
    ) -> Result<T, StoreError> {
        self.writes.set(self.writes.get() + 1);
        self.take_fault()?;
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
        self.readings.set(self.readings.get() + 1);
        self.now.get()
    }

    fn random(&self) -> u128 {
        self.readings.set(self.readings.get() + 1);
        if self.stuck.get() {
            return 4;
        }
        // A linear congruential generator suffices, since its numbers do not repeat.
        let next = self
            .random
            .get()
            .wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645)
            .wrapping_add(0x5851_f42d_4c95_7f2d_1405_7b7e_f767_814f);
        self.random.set(next);
        next
    }

    fn report(&self, event: &Event) {
        match event {
            Event::CommitBegan => self.commits_began.set(self.commits_began.get() + 1),
            Event::CommitEnded => self.commits_ended.set(self.commits_ended.get() + 1),
            _ => self.events.borrow_mut().push(event.clone()),
        }
    }

    fn create_session(&self, id: &str, state: &SessionState) -> Result<u64, StoreError> {
        self.writes.set(self.writes.get() + 1);
        self.take_fault()?;
        self.check_size(state)?;
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
        self.loads.set(self.loads.get() + 1);
        self.take_fault()?;
        let before_load = self.before_load.take();
        if let Some(other_request) = before_load {
            other_request(self);
        }
        if self.damaged.borrow().iter().any(|damaged| damaged == id) {
            return Err(StoreError::Corrupt("torn".into()));
        }
        Ok(self.sessions.borrow().get(id).cloned())
    }

    fn save_session(
        &self,
        id: &str,
        state: &SessionState,
        expected: u64,
    ) -> Result<u64, StoreError> {
        let before_save = self.before_save.borrow_mut().pop();
        if let Some(other_request) = before_save {
            other_request(self);
        }
        self.check_size(state)?;
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
        self.take_fault()?;
        if self.busy.borrow().iter().any(|busy| busy == id) {
            return Err(StoreError::Busy);
        }
        Ok(self.sessions.borrow_mut().remove(id).is_some())
    }

    fn delete_old_sessions(&self, minutes: u32) -> Result<SweepReport, StoreError> {
        self.take_fault()?;
        let now = self.now.get();
        let mut sessions = self.sessions.borrow_mut();
        let before = sessions.len();
        sessions.retain(|_, session| {
            session.state.expires > now && now - session.modified <= u64::from(minutes) * 60_000
        });
        Ok(SweepReport {
            deleted: (before - sessions.len()) as u64,
            remaining: sessions.len() as u64,
            complete: true,
        })
    }

    /// Returns a page of sessions. The cursor is the ID after which the page starts.
    fn iter_sessions(&self, cursor: Option<&str>, limit: u32) -> Result<SessionPage, StoreError> {
        self.take_fault()?;
        self.wait(self.slow_iteration.get());
        let sessions = self.sessions.borrow();
        let mut rest = sessions
            .values()
            .filter(|session| cursor.is_none_or(|cursor| session.id.as_str() > cursor));
        let page: Vec<_> = rest.by_ref().take(limit as usize).cloned().collect();
        let last = page.last().map(|session| session.id.clone());
        let damaged = self.damaged.borrow();
        let (damaged, sound) = page
            .into_iter()
            .partition::<Vec<_>, _>(|session| damaged.contains(&session.id));
        Ok(SessionPage {
            sessions: sound,
            damaged: damaged.into_iter().map(|s| (s.id, "torn".into())).collect(),
            next: rest.next().and(last),
        })
    }

    fn sessions_of_user(&self, user: &str) -> Result<Vec<String>, StoreError> {
        self.take_fault()?;
        let before_list = self.before_list.take();
        if let Some(other_request) = before_list {
            other_request(self);
        }
        self.fault_of_user.take().map_or(Ok(()), Err)?;
        let sessions = self.sessions.borrow();
        let ids = sessions
            .values()
            .filter(|session| session.state.user.as_deref() == Some(user));
        Ok(ids.map(|session| session.id.clone()).collect())
    }

    /// Takes a session's lock. A test has one thread and cannot wait, so a lock that is held
    /// is `busy` at once.
    fn lock_session(&self, id: &str) -> Result<Box<dyn SessionLock>, StoreError> {
        self.take_fault()?;
        if let Some(other_request) = self.before_lock.take() {
            other_request(self);
        }
        let mut locks = self.locks.borrow_mut();
        if locks.get(id).is_some_and(|lock| lock.get() == Lease::Held) {
            return Err(StoreError::Busy);
        }
        let lease = Rc::new(Cell::new(Lease::Held));
        locks.insert(id.to_owned(), lease.clone());
        Ok(Box::new(FakeLock(lease)))
    }
}
