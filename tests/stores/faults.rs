//! System calls that fail. Each system call of each operation fails once with each error that
//! fits it. Then the error of the operation contains the message of the system, each session has
//! its previous or its new state, later operations succeed, and neither a lock nor a file descriptor
//! is left behind.
//!
//! Sweeps, walks and checks look into hundreds of directories that do not exist. Of these
//! calls, only one in [`MISSING`] fails.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fs2::FileExt as _;
use rustix::io::Errno;
use session3_store::{
    Finding, Maintenance, SessionId, SessionState, SessionStore, StoreError, StoredSession,
};
use session3_store_directory::{Call, DirectoryStore, Durability, Options, Watch};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use session3_test_support::layer::Layer;
use session3_test_support::{all_files, id, wait_until};

const NOW: u64 = 1_700_000_000_000;
const LATER: u64 = NOW + 3_600_000;
/// Of the calls on directories that do not exist, one in this number fails.
const MISSING: usize = 500;

/// A session of Alice, which was saved and touched.
const ALICE: u128 = 1;
/// A session of Bob.
const BOB: u128 = 2 << 120;
/// A session of Alice that has expired.
const EXPIRED: u128 = 3 << 120;
/// An ID with an empty file, as a create that never finished leaves it.
const LEFTOVER: u128 = 4 << 120;
/// An ID without a file.
const NEW: u128 = 5 << 120;
/// A session whose file holds nonsense.
const DAMAGED: u128 = 6 << 120;
const IDS: [u128; 6] = [ALICE, BOB, EXPIRED, LEFTOVER, NEW, DAMAGED];

/// An operation on a store.
struct Operation {
    name: &'static str,
    /// Whether the file of Alice's session is in the file descriptor cache before.
    is_warm: bool,
    act: fn(&Given) -> Result<String, StoreError>,
}

const fn cold(name: &'static str, act: fn(&Given) -> Result<String, StoreError>) -> Operation {
    let is_warm = false;
    Operation { name, is_warm, act }
}

const fn warm(name: &'static str, act: fn(&Given) -> Result<String, StoreError>) -> Operation {
    let is_warm = true;
    Operation { name, is_warm, act }
}

const OPERATIONS: [Operation; 24] = [
    cold("create", |given| given.create(NEW)),
    cold("create over a leftover", |given| given.create(LEFTOVER)),
    cold("load", |given| given.load(ALICE)),
    warm("load kept", |given| given.load(ALICE)),
    cold("load absent", |given| given.load(NEW)),
    cold("has", |given| given.has(ALICE)),
    cold("save", |given| given.save("alice", 100)),
    warm("save kept", |given| given.save("alice", 100)),
    cold("growth", |given| given.save("alice", 9000)),
    warm("growth kept", |given| given.save("alice", 9000)),
    cold("change of user", |given| given.save("carol", 100)),
    warm("change of user kept", |given| given.save("carol", 100)),
    cold("touch", |given| given.touch()),
    warm("touch kept", |given| given.touch()),
    cold("delete", |given| given.delete(ALICE)),
    warm("delete kept", |given| given.delete(ALICE)),
    cold("delete damaged", |given| given.delete(DAMAGED)),
    cold("sweep", |given| given.sweep()),
    cold("sweep in pieces", |given| given.sweep_in_pieces()),
    cold("unfinished sweep", |given| given.has_unfinished_sweep()),
    cold("lock", |given| given.lock()),
    cold("iter", |given| given.iter()),
    cold("sessions of a user", |given| given.sessions_of_alice()),
    cold("check", |given| given.check()),
];

/// The names of the operations that write a tombstone.
const BURY: [&str; 4] = [
    "create over a leftover",
    "delete",
    "delete kept",
    "delete damaged",
];

/// How system calls fail.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// One call fails with this error.
    Once(Errno),
    /// A write transfers half of its bytes, and the next call fails with this error.
    HalfThen(Errno),
    /// One call and every later call that changes the file system fail with this error.
    FromThenOn(Errno),
}

/// Records the system calls, and makes them fail as planned.
#[derive(Default)]
struct Saboteur(Mutex<Plan>);

#[derive(Default)]
struct Plan {
    /// The kinds of the calls so far, and the names of their files.
    seen: Vec<(Kind, String)>,
    /// The number of the call that fails, from 0, and how it fails.
    fault: Option<(usize, Fault)>,
    /// The limit for the bytes that a read or a write transfers.
    limit: Option<Limit>,
}

#[derive(Clone, Copy)]
enum Limit {
    OneByte,
    /// Half of a write, but at most 300 bytes; and 300 bytes of a read.
    Half,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Open,
    Create,
    Stat,
    Lock,
    Read,
    ReadInMemory,
    Write,
    Resize,
    Flush,
    Unlink,
    MakeDirectory,
    List,
    FlushDirectory,
}

impl Kind {
    fn of(call: Call<'_>) -> (Self, &str) {
        match call {
            Call::Open(name) => (Self::Open, name),
            Call::Create(name) => (Self::Create, name),
            Call::Stat(name) => (Self::Stat, name),
            Call::Lock(name) => (Self::Lock, name),
            Call::Read(name) => (Self::Read, name),
            Call::ReadInMemory(name) => (Self::ReadInMemory, name),
            Call::Write { name, .. } => (Self::Write, name),
            Call::Resize(name) => (Self::Resize, name),
            Call::Flush(name) => (Self::Flush, name),
            Call::Unlink(name) => (Self::Unlink, name),
            Call::MakeDirectory(name) => (Self::MakeDirectory, name),
            Call::List(name) => (Self::List, name),
            Call::FlushDirectory(name) => (Self::FlushDirectory, name),
        }
    }

    /// Returns the errors with which the call may fail, by its manual page.
    fn errors(self) -> &'static [Errno] {
        use Errno as E;
        match self {
            Self::Open => &[E::IO, E::INTR, E::MFILE, E::NFILE, E::ACCESS, E::ROFS],
            Self::Create => &[
                E::IO,
                E::INTR,
                E::MFILE,
                E::NFILE,
                E::ACCESS,
                E::ROFS,
                E::NOSPC,
            ],
            Self::Stat => &[E::IO, E::ACCESS],
            Self::Lock => &[E::INTR, E::NOLCK, E::IO],
            Self::Read => &[E::IO, E::INTR],
            Self::ReadInMemory => &[E::AGAIN, E::OPNOTSUPP, E::IO, E::INTR],
            Self::Write => &[E::IO, E::INTR, E::NOSPC, E::DQUOT, E::ROFS],
            Self::Resize => &[E::IO, E::INTR, E::NOSPC, E::ROFS],
            Self::Flush => &[E::IO, E::INTR, E::NOSPC, E::ROFS],
            Self::Unlink => &[E::IO, E::ACCESS, E::ROFS, E::NOSPC],
            Self::MakeDirectory => &[E::IO, E::ACCESS, E::ROFS, E::NOSPC],
            Self::List => &[E::IO, E::MFILE, E::ACCESS],
            Self::FlushDirectory => &[E::IO, E::INTR, E::MFILE, E::ACCESS],
        }
    }

    fn faults(self) -> Vec<Fault> {
        let mut faults: Vec<_> = self.errors().iter().copied().map(Fault::Once).collect();
        if matches!(self, Self::Write | Self::Create | Self::MakeDirectory) {
            faults.extend([Errno::NOSPC, Errno::IO].map(Fault::FromThenOn));
        }
        if self == Self::Write {
            faults.extend([Errno::NOSPC, Errno::IO].map(Fault::HalfThen));
        }
        faults
    }

    fn fills_disk(self) -> bool {
        matches!(
            self,
            Self::Write
                | Self::Resize
                | Self::Create
                | Self::MakeDirectory
                | Self::Flush
                | Self::Unlink
        )
    }
}

impl Fault {
    fn errno(self) -> Errno {
        let (Self::Once(errno) | Self::HalfThen(errno) | Self::FromThenOn(errno)) = self;
        errno
    }

    /// Returns whether the operation succeeds all the same. A call that a signal interrupts is
    /// made again. Without free file descriptors or space, the store closes the files in its
    /// cache and makes the call again, unless it was a flush.
    fn is_invisible(self, operation: &Operation, kind: Kind) -> bool {
        let is_load = operation.name.starts_with("load") || operation.name == "has";
        match self {
            Self::Once(Errno::INTR | Errno::MFILE | Errno::NFILE) => true,
            Self::Once(Errno::NOSPC | Errno::DQUOT) | Self::HalfThen(Errno::NOSPC) => {
                kind != Kind::Flush
            }
            // A file that the process may not write may still be readable.
            Self::Once(Errno::ACCESS | Errno::ROFS) => {
                is_load && matches!(kind, Kind::Open | Kind::Stat)
            }
            _ => false,
        }
    }

    /// Returns the result of the watch for a call, `after` calls after the first that fails.
    fn answer(self, kind: Kind, after: usize, length: usize) -> io::Result<usize> {
        match (self, after) {
            (Self::Once(errno), 0) | (Self::HalfThen(errno), 1) => Err(errno.into()),
            (Self::HalfThen(_), 0) => Ok((length / 2).max(1)),
            (Self::FromThenOn(errno), _) if kind.fills_disk() => Err(errno.into()),
            _ => Ok(usize::MAX),
        }
    }
}

impl Watch for Saboteur {
    fn before(&self, call: Call) -> io::Result<usize> {
        let mut plan = self.0.lock().unwrap();
        let (kind, name) = Kind::of(call);
        let number = plan.seen.len();
        plan.seen.push((kind, name.into()));
        let length = match call {
            Call::Write { bytes, .. } => bytes.len(),
            _ => usize::MAX,
        };
        if let Some((target, fault)) = plan.fault
            && number >= target
        {
            return fault.answer(kind, number - target, length);
        }
        Ok(match plan.limit {
            None => usize::MAX,
            Some(Limit::OneByte) => 1,
            Some(Limit::Half) => (length / 2).clamp(1, 300),
        })
    }
}

/// The result of loading each session.
type States = BTreeMap<SessionId, Result<Option<StoredSession>, StoreError>>;

/// How the store under test is opened.
#[derive(Clone, Copy, Debug)]
struct Setup {
    durability: Durability,
    layer: Layer,
}

const PROCESS: Setup = Setup {
    durability: Durability::Process,
    layer: Layer::Plain,
};
const DISK: Setup = Setup {
    durability: Durability::Disk,
    layer: Layer::Plain,
};
const SEALED: Setup = Setup {
    durability: Durability::Disk,
    layer: Layer::Sealed,
};

/// A directory with sessions and a store in it.
struct Given<'a> {
    runtime: &'a Runtime,
    layer: Layer,
    directory: TempDir,
    store: Arc<dyn Maintenance>,
    saboteur: Arc<Saboteur>,
}

fn options(durability: Durability) -> Options {
    Options::default()
        .clock(|| NOW)
        .durability(durability)
        .lock_timeout(Duration::from_millis(50))
}

fn state(user: &str, size: usize) -> SessionState {
    SessionState {
        user: Some(user.into()),
        expires: LATER,
        data: vec![7; size],
    }
}

impl<'a> Given<'a> {
    fn new(runtime: &'a Runtime, setup: Setup, operation: &Operation) -> Self {
        let Setup { durability, layer } = setup;
        let memory = Path::new("/dev/shm");
        let directory = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        };
        let directory = directory.unwrap();
        let open = |options| layer.over(DirectoryStore::open(directory.path(), options).unwrap());
        let store = open(options(durability));
        let expired = SessionState {
            expires: 1,
            ..state("alice", 10)
        };
        runtime.block_on(async {
            let (alice, bob) = (id(ALICE), id(BOB));
            store
                .create_session(&alice, &state("alice", 10))
                .await
                .unwrap();
            store
                .save_session(&alice, &state("alice", 20), 1)
                .await
                .unwrap();
            store.touch_session(&alice, LATER + 1, 2).await.unwrap();
            store
                .create_session(&bob, &state("bob", 9000))
                .await
                .unwrap();
            store.create_session(&id(EXPIRED), &expired).await.unwrap();
        });
        fs::create_dir(directory.path().join("04")).unwrap();
        let leftover = directory.path().join(format!("04/{}", id(LEFTOVER)));
        fs::write(leftover, "").unwrap();
        fs::create_dir(directory.path().join("06")).unwrap();
        let damaged = directory.path().join(format!("06/{}", id(DAMAGED)));
        fs::write(damaged, "nonsense").unwrap();
        drop(store);
        let saboteur = Arc::new(Saboteur::default());
        let store = open(options(durability).watch(saboteur.clone()));
        if operation.is_warm {
            let loaded = runtime.block_on(store.load_session(&id(ALICE)));
            assert_eq!(loaded.unwrap().unwrap().version, 2);
        }
        saboteur.0.lock().unwrap().seen.clear();
        Self {
            runtime,
            layer,
            directory,
            store,
            saboteur,
        }
    }

    fn answer<T: std::fmt::Debug>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<String, StoreError> {
        self.runtime
            .block_on(call)
            .map(|answer| format!("{answer:?}"))
    }

    fn create(&self, new: u128) -> Result<String, StoreError> {
        let state = state("carol", 300);
        self.answer(self.store.create_session(&id(new), &state))
    }

    fn load(&self, session: u128) -> Result<String, StoreError> {
        self.answer(self.store.load_session(&id(session)))
    }

    fn has(&self, session: u128) -> Result<String, StoreError> {
        self.answer(self.store.has_session(&id(session)))
    }

    fn save(&self, user: &str, size: usize) -> Result<String, StoreError> {
        let state = state(user, size);
        self.answer(self.store.save_session(&id(ALICE), &state, 2))
    }

    fn touch(&self) -> Result<String, StoreError> {
        self.answer(self.store.touch_session(&id(ALICE), LATER + 2, 2))
    }

    fn delete(&self, session: u128) -> Result<String, StoreError> {
        self.answer(self.store.delete_session(&id(session)))
    }

    fn sweep(&self) -> Result<String, StoreError> {
        self.answer(self.store.delete_old_sessions(60, None))
    }

    /// Calls the sweep with a time limit of zero until it is complete.
    fn sweep_in_pieces(&self) -> Result<String, StoreError> {
        self.answer(async {
            let mut deleted = 0;
            loop {
                let sweep = self.store.delete_old_sessions(60, Some(Duration::ZERO));
                let report = sweep.await?;
                deleted += report.deleted;
                if report.complete {
                    return Ok(deleted);
                }
            }
        })
    }

    fn has_unfinished_sweep(&self) -> Result<String, StoreError> {
        self.answer(self.store.has_unfinished_sweep())
    }

    fn lock(&self) -> Result<String, StoreError> {
        self.answer(async {
            let time = Duration::from_secs(60);
            let lock = self.store.lock_session(&id(ALICE), time).await?;
            Ok(lock.is_held())
        })
    }

    fn iter(&self) -> Result<String, StoreError> {
        self.answer(self.store.iter_sessions(None, 10))
    }

    fn sessions_of_alice(&self) -> Result<String, StoreError> {
        self.answer(async {
            let mut sessions = self.store.sessions_of_user("alice").await?;
            sessions.sort_unstable();
            Ok(sessions)
        })
    }

    fn check(&self) -> Result<String, StoreError> {
        let mut findings = Vec::new();
        let mut found = |finding: Finding| findings.push(format!("{finding:?}"));
        let report = self.answer(self.store.check(true, &mut found))?;
        Ok(format!("{report} {findings:?}"))
    }

    /// Returns the sessions as another handle of the directory loads them, and checks that the
    /// index names each of them.
    fn states(&self) -> States {
        let options = options(Durability::Process);
        let engine = DirectoryStore::open(self.directory.path(), options).unwrap();
        let store = self.layer.over(engine);
        let load = |session: SessionId| {
            let loaded = self.runtime.block_on(store.load_session(&session));
            if let Ok(Some(loaded)) = &loaded
                && let Some(user) = &loaded.state.user
            {
                let sessions = self.runtime.block_on(store.sessions_of_user(user));
                assert!(
                    sessions.unwrap().contains(&session),
                    "the index lacks the session"
                );
            }
            (session, loaded)
        };
        IDS.map(id).into_iter().map(load).collect()
    }

    /// Checks that every session can now be loaded, created, saved, touched and deleted.
    fn goes_on(&self) {
        self.saboteur.0.lock().unwrap().fault = None;
        let store = &self.store;
        self.runtime.block_on(async {
            for session in IDS.map(id) {
                let mut loaded = store.load_session(&session).await;
                if let Err(StoreError::Corrupt(_)) = loaded {
                    assert_eq!(store.delete_session(&session).await, Ok(true));
                    loaded = Ok(None);
                }
                let version = match loaded.unwrap() {
                    Some(loaded) => loaded.version,
                    None => store
                        .create_session(&session, &state("dave", 5))
                        .await
                        .unwrap(),
                };
                let saved = store
                    .save_session(&session, &state("erin", 50), version)
                    .await;
                assert_eq!(saved, Ok(version + 1));
                let touched = store.touch_session(&session, 9, version + 1).await;
                assert_eq!(touched, Ok(()));
                let sessions = store.sessions_of_user("erin").await.unwrap();
                assert!(sessions.contains(&session));
                assert_eq!(store.delete_session(&session).await, Ok(true));
                assert_eq!(store.has_session(&session).await, Ok(false));
            }
        });
    }

    /// Checks that no file in the directory is locked.
    fn nothing_is_locked(&self) {
        for path in all_files(self.directory.path()) {
            let file = File::options().read(true).write(true).open(&path).unwrap();
            let locked = file.try_lock_exclusive();
            locked.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }

    /// Returns the number of file descriptors of this process that lead into the directory.
    fn descriptors(&self) -> usize {
        descriptors_in(self.directory.path())
    }
}

fn descriptors_in(directory: &Path) -> usize {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    let paths = descriptors.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    paths.filter(|path| path.starts_with(directory)).count()
}

/// An operation without faults: its system calls, its result, and the sessions before and
/// after it.
struct Undisturbed {
    calls: Vec<(Kind, String)>,
    answer: String,
    before: States,
    after: States,
    descriptors: usize,
}

impl Undisturbed {
    /// Runs the operation without faults.
    fn see(runtime: &Runtime, setup: Setup, operation: &Operation) -> Self {
        let given = Given::new(runtime, setup, operation);
        let before = given.states();
        let answer = (operation.act)(&given).unwrap();
        let calls = std::mem::take(&mut given.saboteur.0.lock().unwrap().seen);
        Self {
            calls,
            answer,
            before,
            after: given.states(),
            descriptors: given.descriptors(),
        }
    }

    /// Returns the numbers of the calls that fail, one in each run.
    fn targets(&self, directory: &Path) -> Vec<usize> {
        let is_there = |name: &str| directory.join(name).exists();
        let calls = self.calls.iter().enumerate();
        let chosen = calls.filter(|(number, (kind, name))| {
            let may_be_missing = matches!(kind, Kind::List | Kind::FlushDirectory);
            !may_be_missing || is_there(name) || number % MISSING == 0
        });
        chosen.map(|(number, _)| number).collect()
    }
}

fn is_sweep(operation: &Operation) -> bool {
    operation.name.starts_with("sweep")
}

/// Returns whether the operation may succeed although this call fails. An entry of the index or
/// the file of a lock that cannot be removed is surplus, and a sweep removes it. A file that
/// cannot get a tombstone is emptied instead. If the mark of a lock cannot be read, the lock has
/// none. A sweep leaves what it cannot read or delete. A check or
/// a walk reports what it cannot read.
fn may_succeed(operation: &Operation, kind: Kind, name: &str) -> bool {
    let may_remain = ["users/", "locks/"].iter();
    kind == Kind::Unlink && may_remain.clone().any(|start| name.starts_with(start))
        || kind == Kind::Stat && operation.name == "lock"
        || kind == Kind::Write && BURY.contains(&operation.name)
        || is_sweep(operation)
        || operation.name == "check"
        || operation.name == "iter" && kind != Kind::List
}

/// Runs the operation while one call fails, and checks what the documentation of this module
/// says.
fn sabotage(
    runtime: &Runtime,
    setup: Setup,
    operation: &Operation,
    undisturbed: &Undisturbed,
    (number, fault): (usize, Fault),
) {
    let (kind, name) = &undisturbed.calls[number];
    let context = format!(
        "{} of {setup:?}, {fault:?} at call {number}, {kind:?} {name}",
        operation.name
    );
    let given = Given::new(runtime, setup, operation);
    given.saboteur.0.lock().unwrap().fault = Some((number, fault));
    let answer = (operation.act)(&given);
    given.saboteur.0.lock().unwrap().fault = None;

    let system = io::Error::from(fault.errno()).to_string();
    let is_invisible = fault.is_invisible(operation, *kind);
    match &answer {
        Ok(answer) if is_invisible => {
            assert_eq!(*answer, undisturbed.answer, "{context}");
        }
        Ok(answer) => {
            assert!(
                may_succeed(operation, *kind, name),
                "{context}: the operation succeeded"
            );
            let names_it = is_sweep(operation) || answer.contains(&system);
            let may_hide_it = matches!(kind, Kind::Unlink | Kind::Write | Kind::Stat);
            assert!(names_it || may_hide_it, "{context}: {answer}");
        }
        Err(StoreError::Unavailable(what)) if !is_invisible => {
            assert!(what.contains(&system), "{context}: {what}");
        }
        Err(error) => panic!("{context}: {error:?}"),
    }
    let states = given.states();
    for (session, state) in &states {
        let (before, after) = (&undisturbed.before[session], &undisturbed.after[session]);
        let is_done = answer.is_ok() && !is_sweep(operation);
        let is_allowed = state == after || state == before && !is_done;
        assert!(is_allowed, "{context}: {state:?}");
    }
    given.nothing_is_locked();
    let kept = given.descriptors();
    assert!(
        kept <= undisturbed.descriptors + 1,
        "{context}: {kept} files are open"
    );
    given.goes_on();
    let Given {
        store, directory, ..
    } = given;
    drop(store);
    assert_eq!(
        descriptors_in(directory.path()),
        0,
        "{context}: files are still open"
    );
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn every_call_fails_once(setup: Setup) {
    let runtime = runtime();
    let mut count = 0;
    for operation in &OPERATIONS {
        let undisturbed = Undisturbed::see(&runtime, setup, operation);
        let directory = Given::new(&runtime, setup, operation).directory;
        for number in undisturbed.targets(directory.path()) {
            for fault in undisturbed.calls[number].0.faults() {
                let target = (number, fault);
                sabotage(&runtime, setup, operation, &undisturbed, target);
                count += 1;
            }
        }
    }
    println!("faults, {setup:?}: {count} injected, broken promises: 0");
}

#[test]
fn every_system_call_may_fail_once_under_process() {
    every_call_fails_once(PROCESS);
}

#[test]
fn every_system_call_may_fail_once_under_disk() {
    every_call_fails_once(DISK);
}

#[test]
fn every_system_call_under_a_sealed_store_may_fail_once() {
    every_call_fails_once(SEALED);
}

/// An operation has the same result, and leaves the same bytes in the files, if each read and
/// write transfers fewer bytes than requested.
#[test]
fn short_reads_and_writes_are_invisible() {
    let runtime = runtime();
    let bytes = |given: &Given| {
        // Another thread removes the file of a lock that was released.
        let lock = given.directory.path().join(format!("locks/{}", id(ALICE)));
        wait_until("the end of the lock", || !lock.exists());
        let mut contents = BTreeMap::new();
        for path in all_files(given.directory.path()) {
            let name = path.strip_prefix(given.directory.path()).unwrap();
            contents.insert(name.to_owned(), fs::read(&path).unwrap());
        }
        contents
    };
    for setup in [PROCESS, DISK, SEALED] {
        for operation in &OPERATIONS {
            let usual = Given::new(&runtime, setup, operation);
            let answer = (operation.act)(&usual);
            for limit in [Limit::OneByte, Limit::Half] {
                let given = Given::new(&runtime, setup, operation);
                given.saboteur.0.lock().unwrap().limit = Some(limit);
                let name = operation.name;
                assert_eq!((operation.act)(&given), answer, "{name}");
                assert!(bytes(&given) == bytes(&usual), "{name}");
            }
        }
    }
}

/// The list of a user's sessions leaves a damaged one out and does not fail, so that the user can
/// still end the intact sessions.
#[test]
fn a_damaged_session_does_not_hide_the_users_others() {
    let runtime = runtime();
    let given = Given::new(&runtime, PROCESS, &OPERATIONS[0]);
    let path = given.directory.path().join(format!("03/{}", id(EXPIRED)));
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(600);
    bytes[520] ^= 1;
    fs::write(&path, bytes).unwrap();
    let damaged = given.load(EXPIRED);
    assert!(
        matches!(damaged, Err(StoreError::Corrupt(_))),
        "{damaged:?}"
    );
    let sessions = runtime.block_on(given.store.sessions_of_user("alice"));
    assert_eq!(sessions, Ok(vec![id(ALICE)]));
}

/// A small file system in memory, which is unmounted when this value is dropped.
struct Mounted(TempDir);

impl Mounted {
    fn new(options: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let arguments = ["-t", "tmpfs", "-o", options, "session3"];
        mount(&arguments, directory.path());
        Self(directory)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn mount(arguments: &[&str], directory: &Path) {
    let status = Command::new("mount")
        .args(arguments)
        .arg(directory)
        .status();
    let is_mounted = status.is_ok_and(|status| status.success());
    assert!(is_mounted, "mount failed: run this test as root");
}

/// Checks that a call failed with this error of the system.
fn unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>, errno: Errno) {
    let system = io::Error::from(errno).to_string();
    match result {
        Err(StoreError::Unavailable(what)) => assert!(what.contains(&system), "{what}"),
        other => panic!("{other:?}"),
    }
}

fn open_read_only(path: &Path) -> DirectoryStore {
    let options = options(Durability::Process).read_only(true);
    DirectoryStore::open(path, options).unwrap()
}

/// Creates sessions until that fails because the file system is full, and returns their number.
async fn fill(store: &DirectoryStore, size: usize) -> u128 {
    for number in 0.. {
        match store
            .create_session(&id(number), &state("alice", size))
            .await
        {
            Ok(_) => {}
            failed => {
                unavailable(failed, Errno::NOSPC);
                return number;
            }
        }
    }
    unreachable!("a small file system becomes full")
}

/// A store on a real file system that is full or read-only keeps its sessions readable, and
/// works again once there is space.
#[test]
#[ignore = "mounts file systems, which needs root: make torture"]
fn a_file_system_that_is_full_or_read_only_takes_nothing_away() {
    let runtime = runtime();
    for (full, size) in [("size=400k", 5000), ("size=4m,nr_inodes=60", 10)] {
        let mounted = Mounted::new(full);
        let path = mounted.0.path();
        let open = || {
            let options = options(Durability::Disk).create(true);
            DirectoryStore::open(path, options).unwrap()
        };
        let store = open();
        let count = runtime.block_on(fill(&store, size));
        assert!(count > 10, "{full}: {count}");
        runtime.block_on(async {
            if size > 1000 {
                let grown = store
                    .save_session(&id(0), &state("alice", 200_000), 1)
                    .await;
                unavailable(grown, Errno::NOSPC);
            }
            assert_eq!(store.load_session(&id(count)).await, Ok(None));
            let failed = path.join(format!("00/{}", id(count)));
            assert!(!failed.exists(), "the failed create left its file");
            // A killed create leaves an empty file, and a full file system has no room for its
            // tombstone.
            fs::write(&failed, "").unwrap();
            store.delete_old_sessions(u32::MAX, None).await.unwrap();
            let file_count = all_files(path).len() as u128;
            // Each session has a record and an entry of the index, and the sweep has one file.
            assert_eq!(file_count, 2 * count + 1);
            for number in 0..count {
                let loaded = store.load_session(&id(number)).await.unwrap().unwrap();
                assert_eq!(loaded.state, state("alice", size));
            }
            assert_eq!(store.delete_session(&id(1)).await, Ok(true));
            assert_eq!(store.delete_session(&id(2)).await, Ok(true));
            let (new, small) = (id(count), state("alice", size));
            let created = store.create_session(&new, &small).await;
            assert_eq!(created, Ok(1), "the deletes make room");

            drop(store);
            let store = open();
            mount(&["-o", "remount,ro"], path);
            let snapshot = open_read_only(path);
            for store in [&store, &snapshot] {
                let loaded = store.load_session(&id(3)).await.unwrap().unwrap();
                assert_eq!(loaded.state, state("alice", size));
                let sessions = store.sessions_of_user("alice").await.unwrap();
                assert_eq!(sessions.len() as u128, count - 1);
                let mut found = |finding| panic!("{finding:?}");
                let check = store.check(false, &mut found);
                assert_eq!(u128::from(check.await.unwrap().sessions), count - 1);
            }
            unavailable(
                store.save_session(&id(3), &state("bob", 1), 1).await,
                Errno::ROFS,
            );
            unavailable(
                store.create_session(&id(1), &state("bob", 1)).await,
                Errno::ROFS,
            );
            mount(&["-o", "remount,rw"], path);
            let loaded = store.load_session(&id(3)).await.unwrap().unwrap();
            assert_eq!(loaded.state, state("alice", size));
        });
        println!(
            "{full}: {count} sessions, then {}",
            io::Error::from(Errno::NOSPC)
        );
    }
}

/// The process keeps sessions open that another process deletes. Their space is needed for new
/// sessions.
#[test]
#[ignore = "mounts file systems, which needs root: make torture"]
fn the_space_of_deleted_sessions_is_free_although_another_process_has_them_open() {
    let runtime = runtime();
    for (full, size) in [("size=400k", 5000), ("size=4m,nr_inodes=60", 10)] {
        let mounted = Mounted::new(full);
        let open = || {
            let options = options(Durability::Process).create(true);
            DirectoryStore::open(mounted.0.path(), options).unwrap()
        };
        let (server, operator) = (open(), open());
        let count = runtime.block_on(fill(&server, size));
        runtime.block_on(async {
            for number in 0..count {
                server.load_session(&id(number)).await.unwrap().unwrap();
            }
            let report = operator.delete_old_sessions(u32::MAX, None).await.unwrap();
            assert_eq!((report.deleted, report.complete), (0, true));
            for number in 0..count {
                assert_eq!(operator.delete_session(&id(number)).await, Ok(true));
            }
        });
        assert_eq!(runtime.block_on(fill(&server, size)), count, "{full}");
    }
}

/// The store was made by a version that did not prepare the file of the sweep's position, and
/// another process has the sessions open, so that deleting them makes no room for the position.
#[test]
#[ignore = "mounts file systems, which needs root: make torture"]
fn a_sweep_of_a_full_file_system_reports_what_it_deleted() {
    let runtime = runtime();
    let mounted = Mounted::new("size=400k");
    let path = mounted.0.path();
    let open = || DirectoryStore::open(path, options(Durability::Process)).unwrap();
    let (server, operator) = (open(), open());
    fs::write(path.join("sweep.lock"), "").unwrap();
    let expired = |size| SessionState {
        expires: 1,
        ..state("alice", size)
    };
    runtime.block_on(async {
        let mut count = 0;
        for size in [5000, 10] {
            while let Ok(1) = server.create_session(&id(count), &expired(size)).await {
                count += 1;
            }
        }
        for number in 0..count {
            server.load_session(&id(number)).await.unwrap().unwrap();
        }
        assert!(
            fs::write(path.join("sweep.lock"), "x").is_err(),
            "the disk is full"
        );
        let limit = Some(Duration::ZERO);
        let report = operator.delete_old_sessions(0, limit).await.unwrap();
        assert_eq!((report.deleted, report.complete), (1, false));
        let report = operator.delete_old_sessions(0, None).await.unwrap();
        assert_eq!(
            (u128::from(report.deleted), report.complete),
            (count - 1, true)
        );
    });
}
