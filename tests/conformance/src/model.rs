//! Random sequences of operations, whose results on a store are compared with those of a
//! simple model.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use session3_store::{SessionId, SessionState, StoreError, StoredSession};

use crate::{Given, random};

/// One operation of a sequence. The first number of an operation on a session says which of
/// five sessions that is.
#[derive(Clone, Debug)]
enum Operation {
    Create(u8, SessionState),
    Load(u8),
    /// The last number is the difference between the version that the save expects and the
    /// stored version.
    Save(u8, SessionState, i8),
    /// The numbers are the session, its new expiry, and the same difference as for a save.
    Touch(u8, u64, i8),
    Delete(u8),
    Sweep(u32),
    Walk(u32),
    OfUser(String),
    /// Sets the clock, forwards or backwards.
    Clock(u64),
}

fn states() -> impl Strategy<Value = SessionState> {
    let sizes = prop_oneof![0..20_usize, 400..600_usize, 0..9000_usize];
    let users = proptest::option::of(users());
    (users, 0..2_000_000_u64, sizes, any::<u8>()).prop_map(|(user, expires, size, byte)| {
        SessionState {
            user,
            expires,
            data: vec![byte; size],
        }
    })
}

fn users() -> impl Strategy<Value = String> {
    prop_oneof![Just("alice".to_owned()), Just("bob".to_owned())]
}

fn operations() -> impl Strategy<Value = Operation> {
    let id = || 0..5_u8;
    // Most saves and touches expect the stored version.
    let off = || prop_oneof![8 => Just(0_i8), 1 => -2..3_i8];
    prop_oneof![
        3 => (id(), states()).prop_map(|(id, state)| Operation::Create(id, state)),
        4 => id().prop_map(Operation::Load),
        6 => (id(), states(), off()).prop_map(|(id, state, off)| Operation::Save(id, state, off)),
        3 => (id(), 0..2_000_000_u64, off()).prop_map(|(id, at, off)| Operation::Touch(id, at, off)),
        1 => id().prop_map(Operation::Delete),
        1 => (0..30_u32).prop_map(Operation::Sweep),
        1 => (0..7_u32).prop_map(Operation::Walk),
        2 => users().prop_map(Operation::OfUser),
        2 => (0..2_000_000_u64).prop_map(Operation::Clock),
    ]
}

/// The sessions that the store must hold, and the time of its clock.
#[derive(Default)]
struct Model {
    sessions: BTreeMap<SessionId, StoredSession>,
    now: u64,
}

impl Model {
    fn change(
        &mut self,
        id: SessionId,
        expected: u64,
        change: impl FnOnce(&mut StoredSession),
    ) -> Result<u64, StoreError> {
        let session = self.sessions.get_mut(&id).ok_or(StoreError::Absent)?;
        if session.version != expected {
            return Err(StoreError::Conflict(session.version));
        }
        session.modified = self.now;
        change(session);
        Ok(session.version)
    }

    fn create(&mut self, id: SessionId, state: SessionState) -> Result<u64, StoreError> {
        if self.sessions.contains_key(&id) {
            return Err(StoreError::Exists);
        }
        let session = StoredSession {
            id,
            version: 1,
            modified: self.now,
            state,
        };
        self.sessions.insert(id, session);
        Ok(1)
    }

    fn version(&self, id: SessionId, off: i8) -> u64 {
        let version = self.sessions.get(&id).map_or(1, |session| session.version);
        version.saturating_add_signed(off.into())
    }

    fn sweep(&mut self, minutes: u32) -> u64 {
        let before = self.sessions.len();
        let now = self.now;
        self.sessions.retain(|_, session| {
            let is_idle = session.modified + u64::from(minutes) * 60_000 < now;
            session.state.expires > now && !is_idle
        });
        (before - self.sessions.len()) as u64
    }
}

async fn agrees_with_the_model(given: &Given, operations: Vec<Operation>) {
    let store = &*given.store;
    let mut model = Model::default();
    given.clock.store(0, Ordering::SeqCst);
    let id = |number: u8| SessionId::from(u128::from(number) << 118);
    for operation in operations {
        match operation {
            Operation::Create(number, state) => {
                let created = store.create_session(&id(number), &state).await;
                assert_eq!(created, model.create(id(number), state));
            }
            Operation::Load(number) => {
                let loaded = store.load_session(&id(number)).await.unwrap();
                assert_eq!(loaded.as_ref(), model.sessions.get(&id(number)));
            }
            Operation::Save(number, state, off) => {
                let expected = model.version(id(number), off);
                let saved = store.save_session(&id(number), &state, expected).await;
                let wanted = model.change(id(number), expected, |session| {
                    session.state = state;
                    session.version += 1;
                });
                assert_eq!(saved, wanted);
            }
            Operation::Touch(number, expires, off) => {
                let expected = model.version(id(number), off);
                let touched = store.touch_session(&id(number), expires, expected).await;
                let wanted = model.change(id(number), expected, |session| {
                    session.state.expires = expires;
                });
                assert_eq!(touched, wanted.map(|_| ()));
            }
            Operation::Delete(number) => {
                let deleted = store.delete_session(&id(number)).await;
                let wanted = model.sessions.remove(&id(number)).is_some();
                assert_eq!(deleted, Ok(wanted));
            }
            Operation::Sweep(minutes) => {
                let report = store.delete_old_sessions(minutes, None).await.unwrap();
                assert_eq!(report.deleted, model.sweep(minutes));
                assert_eq!(report.remaining, model.sessions.len() as u64);
            }
            Operation::Walk(limit) => {
                let (mut seen, mut cursor) = (Vec::new(), None);
                loop {
                    let page = store.iter_sessions(cursor.as_deref(), limit).await.unwrap();
                    seen.extend(page.sessions);
                    cursor = page.next;
                    if cursor.is_none() {
                        break;
                    }
                }
                seen.sort_by_key(|session| session.id);
                assert!(seen.iter().eq(model.sessions.values()));
            }
            Operation::OfUser(user) => {
                let mut ids = store.sessions_of_user(&user).await.unwrap();
                ids.sort();
                let of_user = |session: &&StoredSession| session.state.user.as_ref() == Some(&user);
                let wanted = model.sessions.values().filter(of_user);
                assert!(ids.iter().eq(wanted.map(|session| &session.id)));
            }
            Operation::Clock(now) => {
                model.now = now;
                given.clock.store(now, Ordering::SeqCst);
            }
        }
    }
}

/// Runs random sequences of operations on a store and on the model, which must agree.
///
/// `make` returns a new empty store for each sequence. A sequence that fails is reduced to a
/// short one. The test prints this sequence, and the seed of its random numbers.
///
/// # Panics
///
/// If the store disagrees with the model.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use session3_store::MemoryStore;
/// use session3_store_tests::{Given, TestClock, model};
///
/// async fn memory() -> Given {
///     let clock = TestClock::default();
///     let store = Arc::new(MemoryStore::new(clock.reader()));
///     Given::new(store, clock)
/// }
///
/// model::check(memory);
/// ```
pub fn check<F: Future<Output = Given>>(make: impl Fn() -> F) {
    let sequences = proptest::collection::vec(operations(), 1..60);
    random::runner(64)
        .run(&sequences, |operations| {
            crate::run(&make, async |given| {
                agrees_with_the_model(&given, operations).await;
            });
            Ok(())
        })
        .unwrap();
}
