//! A run of random operations on a store, some of which are cut short.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use session3_store::{Finding, Maintenance, SessionId, SessionState, StoreError, StoredSession};
use session3_store_directory::{DirectoryStore, Durability, Options};
use session3_test_support::dice::Dice;
use session3_test_support::id;
use session3_test_support::layer::Layer;
use tokio::runtime::Runtime;

use super::SESSIONS;
use super::history::{Found, How, NEVER, Step, Steps};
use super::materialised::Materialised;
use super::medium::{Cut, Event, Image, Medium};
use super::recorder::{Accident, Recorder};

/// Operations of a run.
pub const OPERATIONS: usize = 200;

pub const MINUTE: u64 = 60_000;

pub const USERS: [&str; 3] = ["alice", "bob", "carol"];

/// The events of a run, and the steps that it acknowledged.
pub struct Run {
    pub events: Vec<Event>,
    pub steps: Steps,
    /// Power cuts before this number of events are not examined.
    pub examined_from: usize,
    /// The number of operations that were cut short.
    pub cut_short: usize,
}

/// A store and a durability.
pub type Store = (Arc<dyn Maintenance>, Durability);

/// A run that is under way.
pub struct Runner<'a> {
    pub runtime: &'a Runtime,
    pub directory: Materialised,
    pub layer: Layer,
    pub stores: Vec<Store>,
    pub clock: Arc<AtomicU64>,
    pub recorder: Arc<Recorder>,
    pub steps: Steps,
    pub dice: &'a mut Dice,
    pub cut_short: usize,
}

impl Run {
    pub fn new(
        runtime: &Runtime,
        image: &Image,
        mut steps: Steps,
        (durabilities, layer): (&[Durability], Layer),
        dice: &mut Dice,
    ) -> Self {
        for step in steps.values_mut().flatten() {
            (step.begins, step.ends) = (0, 0);
        }
        let directory = Materialised::new();
        directory.write(image);
        let mut runner = Runner {
            runtime,
            directory,
            layer,
            stores: Vec::new(),
            clock: Arc::new(AtomicU64::new(MINUTE)),
            recorder: Arc::default(),
            steps,
            dice,
            cut_short: 0,
        };
        runner.open(durabilities);
        runner.recover();
        let examined_from = runner.write_back();
        for _ in 0..OPERATIONS {
            runner.operate();
        }
        let events = std::mem::take(&mut *runner.recorder.events.lock().unwrap());
        let mut medium = Medium::new(image);
        events.iter().for_each(|event| medium.apply(event));
        let seen = medium.image(|_| true, &mut Cut::All);
        let is_there = runner.directory.read();
        assert!(
            seen == is_there,
            "the simulated file system differs from the real one"
        );
        Self {
            events,
            steps: runner.steps,
            examined_from,
            cut_short: runner.cut_short,
        }
    }
}

impl Runner<'_> {
    /// Opens a store for each durability, as new processes do.
    pub fn open(&mut self, durabilities: &[Durability]) {
        let stores = durabilities.iter().map(|durability| {
            let now = self.clock.clone();
            let options = Options::default()
                .durability(*durability)
                .clock(move || now.load(Ordering::SeqCst))
                .watch(self.recorder.clone());
            let store = DirectoryStore::open(self.directory.path(), options).unwrap();
            (self.layer.over(store), *durability)
        });
        self.stores = stores.collect();
    }

    pub fn is_disk(&self) -> bool {
        self.stores.iter().all(|store| store.1 == Durability::Disk)
    }

    /// Does what an operator does after a power cut: loads every session, repairs the index,
    /// and deletes damaged sessions.
    pub fn recover(&mut self) {
        for session in SESSIONS.map(id) {
            let state = self.load(&session);
            let begin = Step {
                how: How::WriteBack,
                durability: Durability::Disk,
                begins: 0,
                ends: 0,
                state,
            };
            self.steps.entry(session).or_default().push(begin);
        }
        self.check(0).unwrap();
        for session in SESSIONS.map(id) {
            if *self.state(&session) == Found::Corrupt {
                self.delete(&session);
            }
        }
    }

    /// Checks the directory and repairs its index, with the store of this number.
    pub fn check(&mut self, store: usize) -> Result<(), StoreError> {
        let is_disk = self.is_disk();
        let mut found = |finding| {
            let is_broken = matches!(finding, Finding::Missing(_) | Finding::Damaged(..));
            assert!(!is_disk || !is_broken, "under disk: {finding:?}");
        };
        let (store, _) = &self.stores[store];
        let checked = self.runtime.block_on(store.check(true, &mut found));
        checked.map(drop)
    }

    pub fn now(&self) -> u64 {
        self.clock.load(Ordering::SeqCst)
    }

    pub fn state(&self, session: &SessionId) -> &Found {
        &self.steps[session].last().unwrap().state
    }

    pub fn load(&self, session: &SessionId) -> Found {
        let store = &self.stores[0].0;
        Found::from_load(self.runtime.block_on(store.load_session(session)))
    }

    pub fn operate(&mut self) {
        self.clock.fetch_add(1000, Ordering::SeqCst);
        let session = id(*self.dice.pick(&SESSIONS));
        let accident = self.random_accident();
        self.recorder.plan(accident);
        match self.state(&session).clone() {
            // A delete is also repeated, as after one that was cut short.
            Found::Absent if self.dice.percent(30) => self.delete(&session),
            Found::Absent => self.create(&session),
            Found::Whole(stored) => match self.dice.below(100) {
                0..58 => self.save(&session, stored),
                58..76 => self.touch(&session, stored),
                76..86 => self.delete(&session),
                86..89 => self.sweep(),
                89..92 => self.repair(),
                _ => {
                    self.write_back();
                }
            },
            Found::Corrupt => self.delete(&session),
        }
        self.recorder.plan(None);
    }

    /// A store under `process` makes no flush that could fail.
    pub fn random_accident(&mut self) -> Option<Accident> {
        match self.dice.below(100) {
            0..8 => Some(Accident::Kill(self.dice.below(9))),
            8..14 if self.is_disk() => Some(Accident::FailedFlush(self.dice.below(4))),
            _ => None,
        }
    }

    /// Returns whether an accident cut an operation short. If so, adds steps that were never
    /// acknowledged: the change, and its undoing if a load finds the state before.
    pub fn is_cut_short<T>(
        &mut self,
        answer: &Result<T, StoreError>,
        planned: Option<Accident>,
        begun: impl IntoIterator<Item = (SessionId, Step)>,
    ) -> bool {
        let is_killed = self.recorder.plan(None) == Some(Accident::Kill(0));
        if !is_killed && answer.is_ok() {
            return false;
        }
        assert!(planned.is_some(), "{:?}", answer.as_ref().err());
        if is_killed {
            let durabilities: Vec<_> = self.stores.iter().map(|store| store.1).collect();
            self.open(&durabilities);
        }
        for (session, mut step) in begun {
            let (before, found) = (self.state(&session).clone(), self.load(&session));
            assert!(found == step.state || found == before, "{:?}", step.how);
            let is_undone = found != step.state;
            step.ends = NEVER;
            let undone = Step {
                state: before,
                ..step.clone()
            };
            let steps = self.steps.get_mut(&session).unwrap();
            steps.push(step);
            steps.extend(is_undone.then_some(undone));
        }
        self.cut_short += 1;
        true
    }

    pub fn random_state(&mut self, user: Option<String>) -> SessionState {
        let size = match self.dice.below(20) {
            0 => 20_000,
            1 => 3_000,
            2..5 => 900,
            _ => 100,
        };
        let mut data = vec![0; 20 + self.dice.below(size)];
        for chunk in data.chunks_mut(8) {
            let random = self.dice.roll().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
        SessionState {
            user,
            expires: self.random_expires(),
            data,
        }
    }

    pub fn random_expires(&mut self) -> u64 {
        self.now() + 1000 * self.dice.below(500) as u64
    }

    pub fn random_user(&mut self) -> Option<String> {
        let user = *self.dice.pick(&USERS);
        self.dice.percent(75).then(|| user.to_owned())
    }

    /// Changes a session, and adds the step.
    pub fn step<T>(
        &mut self,
        session: &SessionId,
        how: How,
        state: Found,
        change: impl AsyncFnOnce(&dyn Maintenance) -> Result<T, StoreError>,
    ) {
        let (begins, planned) = (self.recorder.now(), self.recorder.planned());
        let (store, durability) = self.dice.pick(&self.stores);
        let (answer, durability) = (self.runtime.block_on(change(&**store)), *durability);
        let step = Step {
            how,
            durability,
            begins,
            ends: self.recorder.now(),
            state,
        };
        if self.is_cut_short(&answer, planned, [(*session, step.clone())]) {
            return;
        }
        assert_eq!(self.load(session), step.state, "{how:?}");
        self.steps.get_mut(session).unwrap().push(step);
    }

    pub fn create(&mut self, session: &SessionId) {
        let user = self.random_user();
        let state = self.random_state(user);
        let found = self.whole(session, 1, &state);
        self.step(session, How::Create, found, async |store| {
            store.create_session(session, &state).await
        });
    }

    pub fn save(&mut self, session: &SessionId, stored: StoredSession) {
        let user = match self.dice.percent(25) {
            true => self.random_user(),
            false => stored.state.user,
        };
        let state = self.random_state(user);
        let found = self.whole(session, stored.version + 1, &state);
        self.step(session, How::Save, found, async |store| {
            store.save_session(session, &state, stored.version).await
        });
    }

    pub fn whole(&self, session: &SessionId, version: u64, state: &SessionState) -> Found {
        Found::Whole(StoredSession {
            id: *session,
            version,
            modified: self.now(),
            state: state.clone(),
        })
    }

    pub fn touch(&mut self, session: &SessionId, mut stored: StoredSession) {
        let (version, expires) = (stored.version, self.random_expires());
        stored.state.expires = expires;
        stored.modified = self.now();
        let found = Found::Whole(stored);
        self.step(session, How::Touch, found, async |store| {
            store.touch_session(session, expires, version).await
        });
    }

    pub fn delete(&mut self, session: &SessionId) {
        self.step(session, How::Delete, Found::Absent, async |store| {
            store.delete_session(session).await
        });
    }

    /// Deletes all expired sessions. They have one step each, which begins and ends with the
    /// sweep.
    pub fn sweep(&mut self) {
        let (begins, planned) = (self.recorder.now(), self.recorder.planned());
        let (store, durability) = self.dice.pick(&self.stores);
        let (answer, durability) = (self.runtime.block_on(sweep_all(&**store)), *durability);
        self.note_tidying(durability, begins);
        let (ends, now) = (self.recorder.now(), self.now());
        let is_expired =
            |found: &Found| matches!(found, Found::Whole(stored) if stored.state.expires <= now);
        let expired = SESSIONS.map(id).into_iter();
        let expired: Vec<_> = expired
            .filter(|session| is_expired(self.state(session)))
            .collect();
        let step = Step {
            how: How::Delete,
            durability,
            begins,
            ends,
            state: Found::Absent,
        };
        let begun = expired.iter().map(|session| (*session, step.clone()));
        if self.is_cut_short(&answer, planned, begun) {
            return;
        }
        for session in &expired {
            self.steps.get_mut(session).unwrap().push(step.clone());
        }
        for session in SESSIONS.map(id) {
            assert_eq!(self.load(&session), *self.state(&session), "after a sweep");
        }
        assert_eq!(answer, Ok(expired.len() as u64));
    }

    /// Adds to every session the step in which the store may have removed entries of the
    /// index: those of changes that were cut short and may be lost.
    pub fn note_tidying(&mut self, durability: Durability, begins: usize) {
        for steps in self.steps.values_mut() {
            let state = steps.last().unwrap().state.clone();
            steps.push(Step {
                how: How::Tidy,
                durability,
                begins,
                ends: NEVER,
                state,
            });
        }
    }

    /// Repairs the index, which changes no session.
    pub fn repair(&mut self) {
        let (begins, planned) = (self.recorder.now(), self.recorder.planned());
        let store = self.dice.below(self.stores.len());
        let (answer, durability) = (self.check(store), self.stores[store].1);
        self.note_tidying(durability, begins);
        self.is_cut_short(&answer, planned, []);
    }

    /// Lets the system write everything back, and returns the number of events by then. Under
    /// `disk` this makes no difference and is left out.
    pub fn write_back(&mut self) -> usize {
        if self.is_disk() {
            return 0;
        }
        self.recorder.note(Event::WriteBack);
        let ends = self.recorder.now();
        for steps in self.steps.values_mut() {
            let state = steps.last().unwrap().state.clone();
            steps.push(Step {
                how: How::WriteBack,
                durability: Durability::Disk,
                begins: ends,
                ends,
                state,
            });
        }
        ends
    }
}

/// Sweeps until the end, from the beginning of the directory, and returns the number of
/// deleted sessions. A sweep that was cut short is finished first.
pub async fn sweep_all(store: &dyn Maintenance) -> Result<u64, StoreError> {
    let mut deleted = 0;
    if store.has_unfinished_sweep().await? {
        deleted += store.delete_old_sessions(u32::MAX, None).await?.deleted;
    }
    Ok(deleted + store.delete_old_sessions(u32::MAX, None).await?.deleted)
}
