//! Locks, which WASI lacks. A lock with a name is held while the file `locks/<name>`
//! exists. The file is created exclusively, so exactly one instance gets the lock. Its
//! content names the holder and the time at which the lease ends at the latest.
//!
//! An instance that traps, or that its host drops, leaves its file behind. Another instance
//! removes the file once the lease is over:
//!
//! - The lease is over by the clock, **and** the same file was seen again and again for a
//!   second while this instance was running. So a clock that jumps, or a process that was
//!   stopped for an hour, takes no lock from a holder that still runs.
//! - After 500 ms, a holder checks that it still owns the lock before each write, and
//!   before it removes the file. After 30 seconds it does neither any more. The lease of a
//!   record's lock ends only after 60 seconds.
//! - An instance that removes an abandoned file holds the guard lock `<name>~` meanwhile,
//!   and checks again under it. So exactly one instance removes the file, and no instance
//!   removes the file of the next holder. An abandoned `<name>~` is removed in the same
//!   way, under `<name>~~`.
//!
//! One gap remains: if the host delays a call that changes a file until the lease is over,
//! the change happens beside those of the next holder. One of several processes can be
//! stopped at that place while the others continue, and machines have clocks of their own,
//! so this store is not safe for several processes.

use std::rc::Rc;
use std::time::Duration;

use session3_record::{Directory, OpenFailure, OpenMode, RecordFile};
use session3_store::{SessionId, StoreError, Timestamp};

use super::root::Root;
use crate::bindings::wasi::random::random;
use crate::clock::{self, Start};

/// The name of the directory that the files are in.
pub const DIRECTORY: &str = "locks";

/// How long to wait for another holder, unless its lease is over.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a holder may use its lock.
const HOLD: Duration = Duration::from_secs(30);
/// How long a holder relies on its lock without checking. This is shorter than the time
/// for which another instance watches a file before it removes it.
const UNCHECKED: Duration = Duration::from_millis(500);
/// How often a lock is tried before the instance sleeps between two attempts: its holder
/// needs some hundred microseconds.
const SPINS: u32 = 32;
/// The sleep between two attempts.
const PAUSE: Duration = Duration::from_millis(1);
/// How often an abandoned file is looked at before it is removed, and the attempts between
/// two looks: together this takes a second.
const LOOKS: u32 = 11;
const ATTEMPTS_PER_LOOK: u32 = 100;

/// What a lock is for, which determines its lease.
#[derive(Clone, Copy, PartialEq)]
pub enum Purpose {
    /// A change, which takes some milliseconds.
    Change,
    /// An exclusive request. The lease ends when the holder may no longer use the lock.
    Request,
}

impl Purpose {
    /// Returns the length of the lease.
    fn lease(self) -> Duration {
        match self {
            Self::Change => 2 * HOLD,
            Self::Request => HOLD,
        }
    }
}

/// A lock, which is released when it is dropped.
pub struct Lock {
    root: Rc<Root>,
    name: String,
    /// The content of the file.
    holder: String,
    start: Start,
}

impl Lock {
    /// Waits for a lock.
    pub fn take(root: &Rc<Root>, name: &str, purpose: Purpose) -> Result<Self, StoreError> {
        Self::take_within(TIMEOUT, root, name, purpose)
    }

    /// Takes a lock that is free or abandoned.
    pub fn take_now(root: &Rc<Root>, name: &str) -> Result<Self, StoreError> {
        Self::take_within(Duration::ZERO, root, name, Purpose::Change)
    }

    fn take_within(
        timeout: Duration,
        root: &Rc<Root>,
        name: &str,
        purpose: Purpose,
    ) -> Result<Self, StoreError> {
        let start = Start::now();
        let mut watch = Watch::default();
        for attempt in 0_u32.. {
            if let Some(lock) = Self::try_take(root, name, purpose)? {
                return Ok(lock);
            }
            if attempt % ATTEMPTS_PER_LOOK == 0 && watch.look(root, name)? {
                continue;
            }
            if !watch.is_over() && start.elapsed() >= timeout {
                break;
            }
            let is_soon = attempt < SPINS && !watch.is_over();
            clock::sleep(if is_soon { Duration::ZERO } else { PAUSE });
        }
        Err(StoreError::Busy)
    }

    /// Takes a lock if its file does not exist.
    pub fn try_take(
        root: &Rc<Root>,
        name: &str,
        purpose: Purpose,
    ) -> Result<Option<Self>, StoreError> {
        // The lease begins before another instance can see the file.
        let start = Start::now();
        let path = path_of(name);
        let created = match root.open_file(&path, OpenMode::Create) {
            Err(OpenFailure::NoDirectory(_)) => {
                root.create_directory(DIRECTORY)?;
                root.open_file(&path, OpenMode::Create)?
            }
            created => created?,
        };
        let Some(file) = created else { return Ok(None) };
        let until = clock::now().saturating_add(milliseconds(purpose.lease()));
        let lock = Self {
            root: root.clone(),
            name: name.to_owned(),
            holder: format!("{:016x} {until}\n", random::get_random_u64()),
            start,
        };
        file.write_at(lock.holder.as_bytes(), 0)?;
        Ok(Some(lock))
    }

    /// Returns whether this instance may use the lock.
    pub fn is_held(&self) -> bool {
        let elapsed = self.start.elapsed();
        elapsed < UNCHECKED || elapsed < HOLD && self.is_mine()
    }

    fn is_mine(&self) -> bool {
        let found = Seen::find(&self.root, &self.name);
        found.is_ok_and(|found| found.is_some_and(|found| found.holder == self.holder))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.is_held() {
            // If this fails, another instance removes the file after the lease.
            let _ = self.root.remove_file(&path_of(&self.name));
        }
    }
}

/// The file of a lock, as one read found it.
#[derive(Clone, PartialEq)]
struct Seen {
    name: String,
    /// The content, which is empty until the holder has written it.
    holder: String,
    until: Timestamp,
}

impl Seen {
    fn find(root: &Root, name: &str) -> Result<Option<Self>, StoreError> {
        let file = match root.open_file(&path_of(name), OpenMode::Read) {
            // It belongs to no instance, and blocks the lock.
            Err(OpenFailure::Irregular) => return Err(StoreError::Busy),
            file => file?,
        };
        let Some(file) = file else { return Ok(None) };
        let holder = file.read_at(0, 64)?;
        let holder = String::from_utf8_lossy(&holder).into_owned();
        let until = match until(&holder) {
            Some(until) => until,
            // Without a time of the file, the lease is never over.
            None => latest_end(file.modified()?.unwrap_or_else(clock::now)),
        };
        let name = name.to_owned();
        Ok(Some(Self {
            name,
            holder,
            until,
        }))
    }

    /// Returns whether the lease is over. An end that is further away than any lease can be
    /// comes from a clock that was set back.
    fn is_over(&self) -> bool {
        let now = clock::now();
        self.until <= now || self.until > latest_end(now)
    }
}

/// Returns the end of the lease that a file states.
fn until(holder: &str) -> Option<Timestamp> {
    let (_, until) = holder.strip_suffix('\n')?.split_once(' ')?;
    until.parse().ok()
}

/// Returns the latest end of a lease that begins now.
fn latest_end(now: Timestamp) -> Timestamp {
    now.saturating_add(milliseconds(Purpose::Change.lease()))
}

/// The observation of a lock that another instance holds.
#[derive(Default)]
struct Watch {
    seen: Option<Seen>,
    /// How often the same file was seen after its lease.
    times: u32,
}

impl Watch {
    fn is_over(&self) -> bool {
        self.times > 0
    }

    /// Looks at the file. Returns whether the lock may be free now.
    fn look(&mut self, root: &Rc<Root>, name: &str) -> Result<bool, StoreError> {
        let seen = innermost(root, name)?;
        let is_over = seen.as_ref().is_some_and(Seen::is_over);
        self.times = match is_over {
            true if seen == self.seen => self.times + 1,
            true => 1,
            false => 0,
        };
        self.seen = seen;
        match &self.seen {
            None => Ok(true),
            Some(seen) if self.times >= LOOKS => {
                remove(root, seen)?;
                self.times = 0;
                Ok(true)
            }
            Some(_) => Ok(false),
        }
    }
}

/// Removes an abandoned file, if it belongs to a lock.
pub fn remove_if_abandoned(root: &Rc<Root>, name: &str) -> Result<(), StoreError> {
    let (id, _) = name.split_once('.').unwrap_or_default();
    let is_ours = id.parse::<SessionId>().is_ok();
    if !is_ours || !Seen::find(root, name)?.is_some_and(|seen| seen.is_over()) {
        return Ok(());
    }
    match Lock::take_now(root, name) {
        // Another instance is waiting for the lock.
        Err(StoreError::Busy) => Ok(()),
        taken => taken.map(drop),
    }
}

/// Returns the file of the lock, or of the innermost guard lock that protects its removal.
fn innermost(root: &Root, name: &str) -> Result<Option<Seen>, StoreError> {
    let mut last = Seen::find(root, name)?;
    while let Some(seen) = &last {
        match Seen::find(root, &guard_of(&seen.name))? {
            Some(guard) => last = Some(guard),
            None => break,
        }
    }
    Ok(last)
}

/// Removes an abandoned file, unless another instance is removing it.
fn remove(root: &Rc<Root>, seen: &Seen) -> Result<(), StoreError> {
    let Some(guard) = Lock::try_take(root, &guard_of(&seen.name), Purpose::Change)? else {
        return Ok(());
    };
    if Seen::find(root, &seen.name)?.as_ref() == Some(seen) && guard.is_held() {
        root.remove_file(&path_of(&seen.name))?;
    }
    Ok(())
}

/// Returns the name of the guard lock, which protects the removal of an abandoned file.
fn guard_of(name: &str) -> String {
    format!("{name}~")
}

fn path_of(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
