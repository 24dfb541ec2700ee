//! Power cuts, simulated: whatever the medium has afterwards, the store finds
//! what it promised.
//!
//! A run of a few hundred operations is watched, system call by system call.
//! After every prefix of these calls, the power may go. What was flushed is on
//! the medium. Of the rest, since the last flush of its file or directory:
//!
//! - each sector of 512 bytes has its bytes of some moment: a system may write
//!   back at any time, and in any order;
//! - so has the size of a file: it may end before its data, or after it, in
//!   zeros;
//! - so has each name in a directory: it may be missing still, there still, or
//!   lead to a file that was there before.
//!
//! Every prefix is examined with nothing of that on the medium, and with all of
//! it; then [`IMAGES`] images at random moments, each sector, size and name
//! chosen at random. There are far more combinations: this is a sample. An
//! image is of one session, with its record, its entries of the index and the
//! directories on the way: two sessions share nothing else. Where the same image
//! comes up again with the same things allowed, it is counted and not opened
//! again. One in [`WHOLE`] is of the whole directory, opened anew and walked
//! through.
//!
//! Life goes on from one such image: a store is opened on it, as after a
//! restart, for the next run and the next cuts.
//!
//! Some operations are cut short before that: by a kill at any call, after which
//! a new store goes on with what the system still knows, or by a flush that
//! fails. Nobody was told of these, so the power may take them back, until an
//! answer builds on them. What a flush that failed did not write, the system
//! takes for written from then on, unless its page is written again.
//!
//! Under `process`, the system writes everything back now and then, as it does
//! every half a minute. What was there by then is not lost, with one exception,
//! which a store that flushes nothing cannot help: when a session was saved
//! twice since, both of its slots were overwritten, and the medium may have
//! neither, or no more than the one that was already the older one then.
//! Likewise with the two cells of touches.
//!
//! What is not simulated: a sector that is itself torn, which disks rule out
//! (the header of a record, which has no checksum of its own, relies on that); a
//! later write to a sector that is there without an earlier one to the same
//! sector, since systems write back whole pages of what is cached; disks that
//! say "flushed" and lie.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use session3_store::{SessionId, SessionState, SessionStore, StoreError, StoredSession};
use session3_store_directory::{Call, DirectoryStore, Durability, Finding, Options, Watch};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use session3_test_support::dice::Dice;
use session3_test_support::random::{is_long, seed};
use session3_test_support::{files, id};

/// Random images of each of the three tests; ten times as many with
/// `TORTURE=long`.
const IMAGES: usize = 100_000;
/// Runs from one directory, each on what the cut of the one before left.
const LIVES: usize = 20;
/// Operations of a run.
const OPERATIONS: usize = 200;
/// One of so many images is of the whole directory.
const WHOLE: usize = 500;
const SECTOR: usize = 512;
/// Sectors that a system writes back together.
const PAGE: usize = 8;
const MINUTE: u64 = 60_000;
/// Two share a subdirectory.
const SESSIONS: [u128; 5] = [1, 2, 3 << 120, 4 << 120, 5 << 120];
const USERS: [&str; 3] = ["alice", "bob", "carol"];

/// Under `disk`, every acknowledged change is there, or the one that was under
/// way; and no session misses its entry of the index.
#[test]
fn a_power_cut_under_disk_takes_back_nothing_that_was_acknowledged() {
    torture("disk", &[Durability::Disk]);
}

/// Under `process`, every session is whole in some state that was saved since
/// the system last wrote everything back; or, where two saves came since, may
/// be in neither slot, and says so.
#[test]
fn a_power_cut_under_process_leaves_states_that_were_saved() {
    torture("process", &[Durability::Process]);
}

/// What a store under `disk` has acknowledged holds, whoever made the file or
/// saved before.
#[test]
fn a_power_cut_under_both_takes_back_nothing_that_disk_acknowledged() {
    torture("both", &[Durability::Disk, Durability::Process]);
}

fn torture(name: &str, durabilities: &[Durability]) {
    let mut dice = Dice::new(seed());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut bench = Bench::new(&runtime, durabilities[0]);
    let mut image = Image::new();
    let mut steps = Steps::new();
    let lives = if is_long() { 10 * LIVES } else { LIVES };
    for _ in 0..lives {
        let life = Life::live(&runtime, &image, steps, durabilities, &mut dice);
        image = bench.examine(&life, &image, &mut dice);
        steps = life.steps;
    }
    println!("power cut, {name}: {}", bench.figures());
}

/// A directory: names with the bytes of the file, or `None` for a directory.
type Image = BTreeMap<String, Option<Vec<u8>>>;

/// A change of the file system.
#[derive(Clone, Debug)]
enum Event {
    Create(String),
    Write(String, u64, Vec<u8>),
    Flush(String),
    /// It failed, and the system takes everything for written.
    FailedFlush(String),
    Unlink(String),
    MakeDirectory(String),
    FlushDirectory(String),
    /// The system has written back everything, as it does every half a minute.
    WriteBack,
}

/// What cuts an operation short.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Accident {
    /// A kill after so many changes.
    Kill(usize),
    /// One flush fails, after so many that do not.
    FailedFlush(usize),
}

/// Notes the changes that a store makes.
#[derive(Default)]
struct Recorder {
    events: Mutex<Vec<Event>>,
    accident: Mutex<Option<Accident>>,
}

impl Recorder {
    fn now(&self) -> usize {
        self.events.lock().unwrap().len()
    }

    fn note(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }

    fn planned(&self) -> Option<Accident> {
        *self.accident.lock().unwrap()
    }

    fn plan(&self, accident: Option<Accident>) -> Option<Accident> {
        std::mem::replace(&mut *self.accident.lock().unwrap(), accident)
    }

    /// An error for the call that the accident befalls.
    fn befall(&self, event: Option<&Event>) -> io::Result<()> {
        let mut accident = self.accident.lock().unwrap();
        match (&mut *accident, event) {
            (Some(Accident::Kill(0)), _) => return Err(io::ErrorKind::Other.into()),
            (Some(Accident::FailedFlush(0)), Some(Event::Flush(name))) => {
                self.note(Event::FailedFlush(name.clone()));
                *accident = None;
                return Err(io::ErrorKind::Other.into());
            }
            (Some(Accident::FailedFlush(0)), Some(Event::FlushDirectory(_))) => {
                *accident = None;
                return Err(io::ErrorKind::Other.into());
            }
            (Some(Accident::Kill(left)), Some(_))
            | (
                Some(Accident::FailedFlush(left)),
                Some(Event::Flush(_) | Event::FlushDirectory(_)),
            ) => *left -= 1,
            _ => {}
        }
        Ok(())
    }
}

impl Watch for Recorder {
    fn before(&self, call: Call) -> io::Result<usize> {
        let event = match call {
            Call::Create(name) => Some(Event::Create(name.into())),
            Call::Write {
                name,
                offset,
                bytes,
            } => Some(Event::Write(name.into(), offset, bytes.into())),
            Call::Flush(name) => Some(Event::Flush(name.into())),
            Call::Unlink(name) => Some(Event::Unlink(name.into())),
            Call::MakeDirectory(name) => Some(Event::MakeDirectory(name.into())),
            Call::FlushDirectory(name) => Some(Event::FlushDirectory(name.into())),
            _ => None,
        };
        self.befall(event.as_ref())?;
        if let Some(event) = event {
            self.note(event);
        }
        Ok(usize::MAX)
    }
}

/// What something has been since it was last flushed: the medium may have any
/// of these.
#[derive(Clone)]
struct Since<T>(Vec<T>);

impl<T: Clone + PartialEq> Since<T> {
    fn now(&self) -> &T {
        self.0.last().unwrap()
    }

    fn set(&mut self, value: T) {
        self.0.push(value);
    }

    fn flush(&mut self) {
        self.0.drain(..self.0.len() - 1);
    }

    fn choose(&self, cut: &mut Cut) -> &T {
        match cut {
            Cut::Nothing => &self.0[0],
            Cut::All => self.now(),
            Cut::Random(dice, latest) => {
                if self.0.len() == 1 || dice.percent(*latest) {
                    self.now()
                } else {
                    dice.pick(&self.0[..self.0.len() - 1])
                }
            }
        }
    }
}

/// How much of what was not flushed is on the medium.
enum Cut<'a> {
    Nothing,
    All,
    /// Each thing is the latest with this probability.
    Random(&'a mut Dice, usize),
}

impl<'a> Cut<'a> {
    /// Also such where just one thing is early, or late.
    fn random(dice: &'a mut Dice) -> Self {
        let latest = *dice.pick(&[5, 25, 50, 50, 75, 95]);
        Self::Random(dice, latest)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Node {
    Directory,
    File(usize),
}

#[derive(Clone)]
struct Inode {
    size: Since<usize>,
    sectors: Vec<Since<[u8; SECTOR]>>,
    /// Sectors that no flush writes: one that failed should have.
    lost: BTreeSet<usize>,
}

/// A file system as the machine sees it, and as the medium may have it.
#[derive(Default)]
struct Medium {
    names: BTreeMap<String, Since<Option<Node>>>,
    inodes: Vec<Inode>,
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or(".", |(parent, _)| parent)
}

impl Medium {
    /// With everything flushed.
    fn new(image: &Image) -> Self {
        let mut medium = Self::default();
        for (name, bytes) in image {
            match bytes {
                None => medium.apply(&Event::MakeDirectory(name.clone())),
                Some(bytes) => {
                    medium.apply(&Event::Create(name.clone()));
                    medium.apply(&Event::Write(name.clone(), 0, bytes.clone()));
                }
            }
        }
        medium.apply(&Event::WriteBack);
        medium
    }

    fn node(&self, name: &str) -> Option<Node> {
        *self.names.get(name)?.now()
    }

    fn inode(&mut self, name: &str) -> &mut Inode {
        match self.node(name) {
            Some(Node::File(number)) => &mut self.inodes[number],
            _ => panic!("{name}: written or flushed without a name"),
        }
    }

    fn set(&mut self, name: &str, node: Option<Node>) {
        let names = self.names.entry(name.into());
        names.or_insert_with(|| Since(vec![None])).set(node);
    }

    /// The calls are noted before they are made, those that fail too.
    fn make(&mut self, name: &str, node: Node) {
        let has_parent = parent(name) == "." || self.node(parent(name)) == Some(Node::Directory);
        if has_parent && self.node(name).is_none() {
            self.set(name, Some(node));
        }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Create(name) => {
                self.make(name, Node::File(self.inodes.len()));
                self.inodes.push(Inode {
                    size: Since(vec![0]),
                    sectors: Vec::new(),
                    lost: BTreeSet::new(),
                });
            }
            Event::MakeDirectory(name) => self.make(name, Node::Directory),
            Event::Unlink(name) if self.node(name).is_some() => self.set(name, None),
            Event::Unlink(_) => {}
            Event::Write(name, offset, bytes) => self.inode(name).write(*offset as usize, bytes),
            Event::Flush(name) => self.inode(name).flush(),
            Event::FailedFlush(name) => self.inode(name).lose(),
            Event::FlushDirectory(directory) => {
                for (name, node) in &mut self.names {
                    if parent(name) == directory {
                        node.flush();
                    }
                }
            }
            Event::WriteBack => {
                self.names.values_mut().for_each(Since::flush);
                self.inodes.iter_mut().for_each(Inode::flush);
            }
        }
    }

    /// What the medium has of the names that are wanted, and the directories.
    fn image(&self, is_wanted: impl Fn(&str) -> bool, cut: &mut Cut) -> Image {
        let mut image = Image::new();
        for (name, node) in &self.names {
            let is_reachable = parent(name) == "." || image.get(parent(name)) == Some(&None);
            match node.choose(cut) {
                Some(Node::Directory) if is_reachable => {
                    image.insert(name.clone(), None);
                }
                Some(Node::File(number)) if is_reachable && is_wanted(name) => {
                    image.insert(name.clone(), Some(self.inodes[*number].image(cut)));
                }
                _ => {}
            }
        }
        image
    }
}

impl Inode {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        self.size.set((*self.size.now()).max(end));
        let sectors = self.sectors.len().max(end.div_ceil(SECTOR));
        self.sectors
            .resize_with(sectors, || Since(vec![[0; SECTOR]]));
        for number in offset / SECTOR..end.div_ceil(SECTOR) {
            let start = number * SECTOR;
            let (from, to) = (offset.max(start), end.min(start + SECTOR));
            let mut sector = *self.sectors[number].now();
            sector[from - start..to - start].copy_from_slice(&bytes[from - offset..to - offset]);
            self.sectors[number].set(sector);
            self.lost.retain(|lost| lost / PAGE != number / PAGE);
        }
    }

    fn flush(&mut self) {
        self.size.flush();
        let sectors = self.sectors.iter_mut().enumerate();
        let written = sectors.filter(|(number, _)| !self.lost.contains(number));
        written.for_each(|(_, sector)| sector.flush());
    }

    fn lose(&mut self) {
        let sectors = self.sectors.iter().enumerate();
        let unwritten = sectors.filter(|(_, sector)| sector.0.len() > 1);
        self.lost.extend(unwritten.map(|(number, _)| number));
    }

    fn image(&self, cut: &mut Cut) -> Vec<u8> {
        let sectors = self.sectors.iter().map(|sector| *sector.choose(cut));
        let mut bytes = sectors.collect::<Vec<_>>().concat();
        bytes.resize(*self.size.choose(cut), 0);
        bytes
    }
}

/// What a load finds.
#[derive(Clone, Debug, PartialEq)]
enum Found {
    Absent,
    Whole(StoredSession),
    Corrupt,
}

impl Found {
    fn by(loaded: Result<Option<StoredSession>, StoreError>) -> Self {
        match loaded {
            Ok(None) => Self::Absent,
            Ok(Some(session)) => Self::Whole(session),
            Err(StoreError::Corrupt(_)) => Self::Corrupt,
            Err(error) => panic!("{error}"),
        }
    }

    fn user(&self) -> Option<&str> {
        match self {
            Self::Whole(session) => session.state.user.as_deref(),
            _ => None,
        }
    }
}

/// How an operation changes a session's file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Create,
    Save,
    Touch,
    Delete,
    /// Entries of the index may have gone.
    Tidy,
    /// It is on the medium as it is.
    WriteBack,
}

/// Of what was cut short.
const NEVER: usize = usize::MAX;

/// A change of a session.
#[derive(Clone, Debug)]
struct Step {
    how: How,
    durability: Durability,
    /// How many events there were before.
    begins: usize,
    /// How many when it was acknowledged; [`NEVER`] if it was not.
    ends: usize,
    state: Found,
}

/// What was done to each session, in all lives up to now.
type Steps = BTreeMap<SessionId, Vec<Step>>;

/// A run, and what it acknowledged when.
struct Life {
    events: Vec<Event>,
    steps: Steps,
    /// From when on cuts are examined.
    awake: usize,
    /// Operations that nobody was told about.
    cut_short: usize,
}

/// A store and a durability.
type Store = (DirectoryStore, Durability);

/// A life under way.
struct Living<'a> {
    runtime: &'a Runtime,
    directory: Materialised,
    stores: Vec<Store>,
    clock: Arc<AtomicU64>,
    recorder: Arc<Recorder>,
    steps: Steps,
    dice: &'a mut Dice,
    cut_short: usize,
}

impl Life {
    fn live(
        runtime: &Runtime,
        image: &Image,
        mut steps: Steps,
        durabilities: &[Durability],
        dice: &mut Dice,
    ) -> Self {
        for step in steps.values_mut().flatten() {
            (step.begins, step.ends) = (0, 0);
        }
        let directory = Materialised::new();
        directory.write(image);
        let mut living = Living {
            runtime,
            directory,
            stores: Vec::new(),
            clock: Arc::new(AtomicU64::new(MINUTE)),
            recorder: Arc::default(),
            steps,
            dice,
            cut_short: 0,
        };
        living.open(durabilities);
        living.wake_up();
        let awake = living.write_back();
        for _ in 0..OPERATIONS {
            living.operate();
        }
        let events = std::mem::take(&mut *living.recorder.events.lock().unwrap());
        let mut medium = Medium::new(image);
        events.iter().for_each(|event| medium.apply(event));
        let seen = medium.image(|_| true, &mut Cut::All);
        let is_there = living.directory.read();
        assert!(seen == is_there, "the simulation has what is there");
        Self {
            events,
            steps: living.steps,
            awake,
            cut_short: living.cut_short,
        }
    }
}

impl Living<'_> {
    /// As in new processes.
    fn open(&mut self, durabilities: &[Durability]) {
        let stores = durabilities.iter().map(|durability| {
            let now = self.clock.clone();
            let options = Options::default()
                .durability(*durability)
                .clock(move || now.load(Ordering::SeqCst))
                .watch(self.recorder.clone());
            let store = DirectoryStore::open(self.directory.path(), options).unwrap();
            (store, *durability)
        });
        self.stores = stores.collect();
    }

    fn is_disk(&self) -> bool {
        self.stores.iter().all(|store| store.1 == Durability::Disk)
    }

    /// As somebody does after a power cut: looks at everything, repairs the
    /// index, and deletes what is damaged.
    fn wake_up(&mut self) {
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

    /// With one of the stores.
    fn check(&mut self, store: usize) -> Result<(), StoreError> {
        let is_disk = self.is_disk();
        let found = |finding| {
            let is_broken = matches!(finding, Finding::Missing(_) | Finding::Damaged(..));
            assert!(!is_disk || !is_broken, "under disk: {finding:?}");
        };
        let (store, _) = &self.stores[store];
        let checked = self.runtime.block_on(store.check(true, found, |_| ()));
        checked.map(drop)
    }

    fn now(&self) -> u64 {
        self.clock.load(Ordering::SeqCst)
    }

    fn state(&self, session: &SessionId) -> &Found {
        &self.steps[session].last().unwrap().state
    }

    fn load(&self, session: &SessionId) -> Found {
        let store = &self.stores[0].0;
        Found::by(self.runtime.block_on(store.load_session(session)))
    }

    fn operate(&mut self) {
        self.clock.fetch_add(1000, Ordering::SeqCst);
        let session = id(*self.dice.pick(&SESSIONS));
        let accident = self.random_accident();
        self.recorder.plan(accident);
        match self.state(&session).clone() {
            // Again, too, when the first time was cut short.
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

    /// Under `process` there is no flush that could fail.
    fn random_accident(&mut self) -> Option<Accident> {
        match self.dice.below(100) {
            0..8 => Some(Accident::Kill(self.dice.below(9))),
            8..14 if self.is_disk() => Some(Accident::FailedFlush(self.dice.below(4))),
            _ => None,
        }
    }

    /// Whether an operation ended in an accident. If so, it may have been made
    /// and taken back; and what it left is there, but nobody was told.
    fn is_cut_short<T>(
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

    fn random_state(&mut self, user: Option<String>) -> SessionState {
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

    fn random_expires(&mut self) -> u64 {
        self.now() + 1000 * self.dice.below(500) as u64
    }

    fn random_user(&mut self) -> Option<String> {
        let user = *self.dice.pick(&USERS);
        self.dice.percent(75).then(|| user.to_owned())
    }

    /// Does something to a session, and notes it.
    fn step<T>(
        &mut self,
        session: &SessionId,
        how: How,
        state: Found,
        change: impl AsyncFnOnce(&DirectoryStore) -> Result<T, StoreError>,
    ) {
        let (begins, planned) = (self.recorder.now(), self.recorder.planned());
        let (store, durability) = self.dice.pick(&self.stores);
        let (answer, durability) = (self.runtime.block_on(change(store)), *durability);
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

    fn create(&mut self, session: &SessionId) {
        let user = self.random_user();
        let state = self.random_state(user);
        let found = self.whole(session, 1, &state);
        self.step(session, How::Create, found, async |store| {
            store.create_session(session, &state).await
        });
    }

    fn save(&mut self, session: &SessionId, stored: StoredSession) {
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

    fn whole(&self, session: &SessionId, version: u64, state: &SessionState) -> Found {
        Found::Whole(StoredSession {
            id: *session,
            version,
            modified: self.now(),
            state: state.clone(),
        })
    }

    fn touch(&mut self, session: &SessionId, mut stored: StoredSession) {
        let (version, expires) = (stored.version, self.random_expires());
        stored.state.expires = expires;
        stored.modified = self.now();
        let found = Found::Whole(stored);
        self.step(session, How::Touch, found, async |store| {
            store.touch_session(session, expires, version).await
        });
    }

    fn delete(&mut self, session: &SessionId) {
        self.step(session, How::Delete, Found::Absent, async |store| {
            store.delete_session(session).await
        });
    }

    /// Deletes the expired ones: all at once, as far as a cut is concerned.
    fn sweep(&mut self) {
        let (begins, planned) = (self.recorder.now(), self.recorder.planned());
        let (store, durability) = self.dice.pick(&self.stores);
        let (answer, durability) = (self.runtime.block_on(sweep_all(store)), *durability);
        self.tidied(durability, begins);
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

    /// A store under `process` removes entries of the index that what was cut
    /// short, and may be lost, no longer needs.
    fn tidied(&mut self, durability: Durability, begins: usize) {
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

    /// Changes no session.
    fn repair(&mut self) {
        let (begins, planned) = (self.recorder.now(), self.recorder.planned());
        let store = self.dice.below(self.stores.len());
        let (answer, durability) = (self.check(store), self.stores[store].1);
        self.tidied(durability, begins);
        self.is_cut_short(&answer, planned, []);
    }

    /// Only where it makes a difference: from when on.
    fn write_back(&mut self) -> usize {
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

/// Also what comes before the place where one stopped; how many it deleted.
async fn sweep_all(store: &DirectoryStore) -> Result<u64, StoreError> {
    let mut deleted = 0;
    if store.has_unfinished_sweep().await? {
        deleted += store.delete_old_sessions(u32::MAX, None).await?.deleted;
    }
    Ok(deleted + store.delete_old_sessions(u32::MAX, None).await?.deleted)
}

/// What may be left of a session.
struct Allowed<'a> {
    /// The latest that is surely on the medium, and those since.
    steps: Vec<&'a Step>,
    /// Those before.
    earlier: &'a [Step],
}

impl<'a> Allowed<'a> {
    /// After a cut when there were so many events.
    fn after(steps: &'a [Step], cut: usize) -> Self {
        let is_durable = |step: &Step| step.durability == Durability::Disk && step.ends <= cut;
        let surely = steps.iter().rposition(is_durable).unwrap();
        let since = steps[surely + 1..].iter();
        let begun = since.take_while(|step| step.begins < cut);
        Self {
            steps: std::iter::once(&steps[surely]).chain(begun).collect(),
            earlier: &steps[..surely],
        }
    }

    fn has(&self, found: &Found) -> bool {
        self.steps.iter().any(|step| step.state == *found)
            || *found == Found::Corrupt && self.may_be_in_no_slot()
            || self.is_older(found)
    }

    /// Both slots were overwritten, or none was flushed ever.
    fn may_be_in_no_slot(&self) -> bool {
        self.count(How::Save) >= 2 || self.count(How::Create) >= 1
    }

    /// Of two saves since, the first was lost, and the second one torn: so the
    /// state before both is gone, and the slot of the first one has what was
    /// there before that. Likewise with the two cells of touches, where the
    /// saves in between were lost.
    fn is_older(&self, found: &Found) -> bool {
        let (Found::Whole(surely), Found::Whole(older)) = (&self.steps[0].state, found) else {
            return false;
        };
        let is_possible = match older.version.cmp(&surely.version) {
            Less => self.count(How::Save) >= 2,
            Equal => self.count(How::Touch) >= 2,
            Greater => false,
        };
        is_possible && self.earlier.iter().any(|step| step.state == *found)
    }

    /// Changes since that were not flushed; those that were cut short under
    /// `disk` too, if a change under `process` built on them.
    fn count(&self, how: How) -> usize {
        let is_process = |step: &Step| step.durability == Durability::Process;
        let since = &self.steps[1..];
        let is_mixed = since.iter().any(|step| is_process(step));
        let is_unflushed = |step: &Step| is_process(step) || is_mixed && step.ends == NEVER;
        let changes = since.iter().filter(|step| step.how == how);
        changes.filter(|step| is_unflushed(step)).count()
    }

    /// A store under `process` does not flush the index.
    fn has_entry(&self) -> bool {
        let is_disk = |step: &&Step| step.durability == Durability::Disk;
        self.steps[1..].iter().all(is_disk)
    }
}

/// A directory to write images to, in memory if there is a file system for it.
struct Materialised {
    directory: TempDir,
    image: Mutex<Image>,
}

impl Materialised {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let directory = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        };
        Self {
            directory: directory.unwrap(),
            image: Mutex::default(),
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Makes the directory like this one.
    fn write(&self, image: &Image) {
        let before = std::mem::replace(&mut *self.image.lock().unwrap(), image.clone());
        let path = |name: &str| self.path().join(name);
        for (name, bytes) in before.iter().rev() {
            match (bytes, image.get(name)) {
                (_, Some(_)) => {}
                (None, None) => fs::remove_dir(path(name)).unwrap(),
                (Some(_), None) => fs::remove_file(path(name)).unwrap(),
            }
        }
        for (name, bytes) in image {
            match (bytes, before.get(name)) {
                (bytes, Some(before)) if before == bytes => {}
                (None, _) => fs::create_dir(path(name)).unwrap(),
                (Some(bytes), _) => fs::write(path(name), bytes).unwrap(),
            }
        }
    }

    fn read(&self) -> Image {
        let name = |path: PathBuf| {
            let relative = path.strip_prefix(self.path()).unwrap();
            relative.to_str().unwrap().to_owned()
        };
        let mut image = Image::new();
        for path in files(self.path()) {
            let bytes = fs::read(&path).unwrap();
            image.insert(name(path), Some(bytes));
        }
        let mut directories = vec![self.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    image.insert(name(path.clone()), None);
                    directories.push(path);
                }
            }
        }
        image
    }
}

/// Where images are examined.
struct Bench<'a> {
    runtime: &'a Runtime,
    durability: Durability,
    sessions: BTreeMap<SessionId, (Materialised, DirectoryStore)>,
    whole: Materialised,
    images: [usize; 3],
    different: HashSet<u64>,
    found: [usize; 3],
    rolled_back: usize,
    cut_short: usize,
}

impl<'a> Bench<'a> {
    fn new(runtime: &'a Runtime, durability: Durability) -> Self {
        let sessions = SESSIONS.map(|session| {
            let directory = Materialised::new();
            let options = Options::default().durability(durability).max_kept_files(0);
            let store = DirectoryStore::open(directory.path(), options).unwrap();
            (id(session), (directory, store))
        });
        Self {
            runtime,
            durability,
            sessions: sessions.into(),
            whole: Materialised::new(),
            images: [0; 3],
            different: HashSet::new(),
            found: [0; 3],
            rolled_back: 0,
            cut_short: 0,
        }
    }

    fn figures(&self) -> String {
        let [prefixes, random, whole] = self.images;
        let [live, absent, corrupt] = self.found;
        let (different, rolled_back) = (self.different.len(), self.rolled_back);
        let cut_short = self.cut_short;
        format!(
            "{cut_short} operations cut short, {prefixes} prefixes, {random} random images of a session, {whole} of all; {different} \
             different: {live} sessions, {absent} absent, {corrupt} corrupt; {rolled_back} not as \
             they were when the power went; broken promises: 0"
        )
    }

    /// Cuts the power everywhere; an image to live on from.
    fn examine(&mut self, life: &Life, before: &Image, dice: &mut Dice) -> Image {
        let mut medium = Medium::new(before);
        let moments = life.events.len() + 1;
        let goes_on = moments / 2 + dice.below(moments - moments / 2);
        self.cut_short += life.cut_short;
        let mut next = None;
        let mut images = IMAGES / LIVES;
        for cut in 0..moments {
            if let Some(event) = cut.checked_sub(1).map(|last| &life.events[last]) {
                medium.apply(event);
            }
            if cut < life.awake {
                continue;
            }
            for session in SESSIONS.map(id) {
                for mut extreme in [Cut::Nothing, Cut::All] {
                    self.examine_one(life, cut, &medium, &session, &mut extreme);
                }
            }
            self.images[0] += 1;
            let share = images / (moments - cut);
            images -= share;
            for _ in 0..share {
                if dice.below(WHOLE) == 0 {
                    self.examine_all(life, cut, &medium, dice);
                    self.images[2] += 1;
                } else {
                    let session = pick_session(life, cut, dice);
                    self.examine_one(life, cut, &medium, &session, &mut Cut::random(dice));
                    self.images[1] += 1;
                }
            }
            if cut == goes_on {
                next = Some(medium.image(|_| true, &mut Cut::random(dice)));
            }
        }
        next.unwrap()
    }

    /// Unless it was examined already with the same things allowed.
    fn examine_one(
        &mut self,
        life: &Life,
        cut: usize,
        medium: &Medium,
        session: &SessionId,
        how: &mut Cut,
    ) {
        let name = session.to_string();
        let image = medium.image(|path| path.ends_with(&name), how);
        let allowed = Allowed::after(&life.steps[session], cut);
        let mut hasher = DefaultHasher::new();
        (session, &image, allowed.earlier.len(), allowed.steps.len()).hash(&mut hasher);
        if !self.different.insert(hasher.finish()) {
            return;
        }
        let (directory, store) = &self.sessions[session];
        directory.write(&image);
        let found = Found::by(self.runtime.block_on(store.load_session(session)));
        let is_whole = judge(self.runtime, store, session, &found, &allowed);
        if let Err(broken) = is_whole {
            explain(life, cut, session, &found, &allowed, &broken);
        }
        self.found[match found {
            Found::Whole(_) => 0,
            Found::Absent => 1,
            Found::Corrupt => 2,
        }] += 1;
        self.rolled_back += usize::from(allowed.steps.last().unwrap().state != found);
    }

    fn examine_all(&mut self, life: &Life, cut: usize, medium: &Medium, dice: &mut Dice) {
        self.whole
            .write(&medium.image(|_| true, &mut Cut::random(dice)));
        let options = Options::default().durability(self.durability);
        let store = DirectoryStore::open(self.whole.path(), options).unwrap();
        let page = self.runtime.block_on(store.iter_sessions(None, 100));
        let page = page.unwrap();
        for session in SESSIONS.map(id) {
            let found = Found::by(self.runtime.block_on(store.load_session(&session)));
            let in_page = match &found {
                Found::Absent => page.sessions.iter().all(|stored| stored.id != session),
                Found::Whole(stored) => page.sessions.contains(stored),
                Found::Corrupt => page.damaged.iter().any(|(id, _)| *id == session),
            };
            assert!(in_page, "a walk sees what a load finds");
            let allowed = Allowed::after(&life.steps[&session], cut);
            if let Err(broken) = judge(self.runtime, &store, &session, &found, &allowed) {
                explain(life, cut, &session, &found, &allowed, &broken);
            }
        }
    }
}

/// Mostly the one that is being changed, or was last.
fn pick_session(life: &Life, cut: usize, dice: &mut Dice) -> SessionId {
    let begins = |steps: &[Step]| {
        let begun = steps.iter().rev().find(|step| step.begins < cut);
        begun.map_or(0, |step| step.begins)
    };
    let latest = life.steps.iter().max_by_key(|(_, steps)| begins(steps));
    match latest {
        Some((session, _)) if dice.percent(60) => *session,
        _ => id(*dice.pick(&SESSIONS)),
    }
}

fn judge(
    runtime: &Runtime,
    store: &DirectoryStore,
    session: &SessionId,
    found: &Found,
    allowed: &Allowed,
) -> Result<(), String> {
    if !allowed.has(found) {
        return Err("it was never so, or no longer".into());
    }
    if let Some(user) = found.user() {
        let sessions = runtime.block_on(store.sessions_of_user(user)).unwrap();
        if allowed.has_entry() && !sessions.contains(session) {
            return Err(format!("it is not among the sessions of {user}"));
        }
    }
    Ok(())
}

fn explain(
    life: &Life,
    cut: usize,
    session: &SessionId,
    found: &Found,
    allowed: &Allowed,
    broken: &str,
) -> ! {
    let brief = |found: &Found| match found {
        Found::Whole(stored) => format!(
            "version {} of {:?} with {} bytes, modified {}, expires {}",
            stored.version,
            stored.state.user,
            stored.state.data.len(),
            stored.modified,
            stored.state.expires
        ),
        other => format!("{other:?}"),
    };
    let mut text = format!(
        "{session} after a cut at {cut}: {broken}\n  {}",
        brief(found)
    );
    for step in &allowed.steps {
        let (how, durability) = (step.how, step.durability);
        let (begins, ends, state) = (step.begins, step.ends, brief(&step.state));
        text += &format!("\n{begins}..{ends} {how:?} {durability:?}: {state}");
    }
    for (number, event) in life.events[..cut].iter().enumerate().rev().take(25) {
        let event = match event {
            Event::Write(name, offset, bytes) => {
                format!("write {} bytes at {offset} of {name}", bytes.len())
            }
            event => format!("{event:?}"),
        };
        text += &format!("\n{number}: {event}");
    }
    panic!("{text}");
}

/// Versions are used again after a power cut: a touch that reached the medium,
/// of a save that did not, must not count for the next one. It is off the medium
/// before the next save or touch, or another power cut could bring it back.
#[test]
fn a_touch_of_a_lost_save_does_not_count_for_the_next() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let expiring = |expires| SessionState {
        expires,
        ..SessionState::default()
    };
    for touches_first in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let recorder = Arc::new(Recorder::default());
        let open = || {
            let options = Options::default().watch(recorder.clone());
            DirectoryStore::open(directory.path(), options).unwrap()
        };
        let path = directory.path().join(format!("00/{}", id(1)));
        let (session, store) = (id(1), open());
        runtime.block_on(async {
            store.create_session(&session, &expiring(10)).await.unwrap();
            let before = fs::read(&path).unwrap();
            let saved = store.save_session(&session, &expiring(20), 1).await;
            assert_eq!(saved, Ok(2));
            store.touch_session(&session, 99, 2).await.unwrap();
            let header = fs::read(&path).unwrap()[..SECTOR].to_vec();
            fs::write(&path, [&header, &before[SECTOR..]].concat()).unwrap();

            let store = open();
            let loaded = store.load_session(&session).await.unwrap().unwrap();
            assert_eq!((loaded.version, loaded.state.expires), (1, 10));
            recorder.events.lock().unwrap().clear();
            if touches_first {
                store.touch_session(&session, 15, 1).await.unwrap();
            }
            let saved = store.save_session(&session, &expiring(30), 1).await;
            assert_eq!(saved, Ok(2));
            let loaded = store.load_session(&session).await.unwrap().unwrap();
            assert_eq!((loaded.version, loaded.state.expires), (2, 30));
        });
        let events = recorder.events.lock().unwrap();
        let is_forgotten = |event: &Event| matches!(event, Event::Write(_, 88, _));
        let is_zero =
            |event: &Event| matches!(event, Event::Write(_, 88, cell) if *cell == [0; 40]);
        assert!(is_forgotten(&events[0]), "{events:?}");
        assert!(matches!(events[1], Event::Flush(_)), "{events:?}");
        assert!(is_zero(&events[2]), "{events:?}");
        // A kill before the flush must not hide that it is still to be done.
        assert!(!is_zero(&events[0]), "{events:?}");
    }
}
