//! Locks, which WASI does not have: a file `locks/<name>` is there while
//! somebody holds the lock of that name. It is created exclusively, so of many
//! one has it, and says in a line who that is and until when at the latest.
//!
//! An instance that traps, or that its host gives up, leaves its file behind.
//! Others remove it once that time is over:
//!
//! - It is over by the clock, **and** the same file was looked at again and
//!   again for a second, while this instance was running. So a clock that jumps,
//!   or a process that was stopped for an hour, takes no lock from anybody who
//!   still runs.
//! - Who has held a lock for half a second looks whether it still has it before
//!   each write, and before it removes the file; and after 30 seconds it does
//!   neither any more. The lock of a record ends only after 60.
//! - Who removes a file that is over holds the lock `<name>~` meanwhile, and
//!   looks again under it. So of many exactly one removes it, and nobody removes
//!   the file of the next holder. A `<name>~` that was left behind is removed
//!   likewise, under `<name>~~`.
//!
//! What remains: a call that changes a file, and that the host holds up until the
//! lock's minute is over, comes through beside the next holder's. Of several
//! processes, one can be stopped at just that place while the others go on, and
//! machines have clocks of their own: so this store is not for several processes.

use std::rc::Rc;
use std::time::Duration;

use super::fs::{Open, OpenFailure, Root};
use crate::bindings::wasi::random::random;
use crate::clock::{self, Start};
use crate::store::{SessionId, StoreError, Timestamp};

/// Where the files are.
pub const DIRECTORY: &str = "locks";

/// How long to wait for somebody else, unless that one's time is over.
const TIMEOUT: Duration = Duration::from_secs(5);
/// For so long a lock is good.
const HOLD: Duration = Duration::from_secs(30);
/// After this, one makes sure. Less than what others watch before they take it.
const UNCHECKED: Duration = Duration::from_millis(500);
/// How often a lock is asked for before sleeping in between: whoever holds it
/// needs some hundred microseconds.
const SPINS: u32 = 32;
/// The sleep.
const PAUSE: Duration = Duration::from_millis(1);
/// Looks at what somebody else's file says, and attempts in between: a second.
const LOOKS: u32 = 11;
const ATTEMPTS_PER_LOOK: u32 = 100;

/// What a lock is for, which says when it ends at the latest.
#[derive(Clone, Copy, PartialEq)]
pub enum Purpose {
    /// A change, of some milliseconds.
    Change,
    /// An exclusive request: it ends for good when it is good no longer.
    Request,
}

impl Purpose {
    fn time(self) -> Duration {
        match self {
            Self::Change => 2 * HOLD,
            Self::Request => HOLD,
        }
    }
}

/// Held until it is dropped.
pub struct Lock {
    root: Rc<Root>,
    name: String,
    /// What its file says.
    holder: String,
    start: Start,
}

impl Lock {
    /// Waits for a lock.
    pub fn take(root: &Rc<Root>, name: &str, purpose: Purpose) -> Result<Self, StoreError> {
        Self::take_within(TIMEOUT, root, name, purpose)
    }

    /// Waits only for one that somebody left behind.
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

    /// Takes a lock that nobody has.
    pub fn try_take(
        root: &Rc<Root>,
        name: &str,
        purpose: Purpose,
    ) -> Result<Option<Self>, StoreError> {
        // Before anybody can see it.
        let start = Start::now();
        let path = path_of(name);
        let created = match root.open_file(&path, Open::New) {
            Err(failure) if failure.is_missing() => {
                root.make_directory(DIRECTORY)?;
                root.open_file(&path, Open::New)?
            }
            created => created?,
        };
        let Some(file) = created else { return Ok(None) };
        let until = clock::now().saturating_add(milliseconds(purpose.time()));
        let lock = Self {
            root: root.clone(),
            name: name.to_owned(),
            holder: format!("{:016x} {until}\n", random::get_random_u64()),
            start,
        };
        file.write_at(lock.holder.as_bytes(), 0)?;
        Ok(Some(lock))
    }

    /// Whether it is this one's still.
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
            // What remains, its end removes.
            let _ = self.root.unlink(&path_of(&self.name));
        }
    }
}

/// A lock's file, as one read found it.
#[derive(Clone, PartialEq)]
struct Seen {
    name: String,
    /// Empty before the holder has written it.
    holder: String,
    until: Timestamp,
}

impl Seen {
    fn find(root: &Root, name: &str) -> Result<Option<Self>, StoreError> {
        let file = match root.open_file(&path_of(name), Open::Read) {
            // Nobody's; it stays in the way.
            Err(OpenFailure::Irregular) => return Err(StoreError::Busy),
            file => file?,
        };
        let Some(file) = file else { return Ok(None) };
        let holder = file.read_at(0, 64)?;
        let holder = String::from_utf8_lossy(&holder).into_owned();
        let until = match until(&holder) {
            Some(until) => until,
            // Where files have no times, it is never over.
            None => latest_end(file.modified()?.unwrap_or_else(clock::now)),
        };
        let name = name.to_owned();
        Ok(Some(Self {
            name,
            holder,
            until,
        }))
    }

    /// An end that is further away than any can be is of a clock that went back.
    fn is_over(&self) -> bool {
        let now = clock::now();
        self.until <= now || self.until > latest_end(now)
    }
}

/// Until when a holder says that it holds.
fn until(holder: &str) -> Option<Timestamp> {
    let (_, until) = holder.strip_suffix('\n')?.split_once(' ')?;
    until.parse().ok()
}

/// When a lock that is taken now ends at the latest.
fn latest_end(now: Timestamp) -> Timestamp {
    now.saturating_add(milliseconds(Purpose::Change.time()))
}

/// An eye on a lock that somebody else has.
#[derive(Default)]
struct Watch {
    seen: Option<Seen>,
    /// How often it was seen, and was over.
    times: u32,
}

impl Watch {
    fn is_over(&self) -> bool {
        self.times > 0
    }

    /// Whether the lock may be had now.
    fn look(&mut self, root: &Rc<Root>, name: &str) -> Result<bool, StoreError> {
        let seen = last_of(root, name)?;
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

/// Removes a file that a holder left behind, if this is one of a lock.
pub fn sweep(root: &Rc<Root>, name: &str) -> Result<(), StoreError> {
    let (id, _) = name.split_once('.').unwrap_or_default();
    let is_ours = id.parse::<SessionId>().is_ok();
    if !is_ours || !Seen::find(root, name)?.is_some_and(|seen| seen.is_over()) {
        return Ok(());
    }
    match Lock::take_now(root, name) {
        // It is wanted.
        Err(StoreError::Busy) => Ok(()),
        taken => taken.map(drop),
    }
}

/// What is in the way of removing what is in the way.
fn last_of(root: &Root, name: &str) -> Result<Option<Seen>, StoreError> {
    let mut last = Seen::find(root, name)?;
    while let Some(seen) = &last {
        match Seen::find(root, &guard_of(&seen.name))? {
            Some(guard) => last = Some(guard),
            None => break,
        }
    }
    Ok(last)
}

/// Removes what its holder left behind, unless somebody else does.
fn remove(root: &Rc<Root>, seen: &Seen) -> Result<(), StoreError> {
    let Some(guard) = Lock::try_take(root, &guard_of(&seen.name), Purpose::Change)? else {
        return Ok(());
    };
    if Seen::find(root, &seen.name)?.as_ref() == Some(seen) && guard.is_held() {
        root.unlink(&path_of(&seen.name))?;
    }
    Ok(())
}

/// The lock of who removes what is left of a lock.
fn guard_of(name: &str) -> String {
    format!("{name}~")
}

fn path_of(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
