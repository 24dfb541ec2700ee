//! The sweep, which deletes what is old. Only one sweep of a directory runs at a time, by
//! the lock on the file of its position.
//!
//! It deletes each session under the session's lock, after reading it again. It waits for
//! no lock, and holds the lock of one record at a time. With
//! [`Durability::Disk`](crate::Durability::Disk), it flushes the deletions of each
//! subdirectory together.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session3_record::index::{self, Entry};
use session3_record::layout::record_name;
use session3_record::sweep::{self, Age, Outcome, Skipped, Sweeper};
use session3_record::{Directory, OpenFailure, OpenMode, Record, RecordFile};
use session3_store::{SessionId, StoreError, SweepReport};

use crate::exclusive;
use crate::fs::{LockKind, Locked, OpenFile, Root, Subdirectory};
use crate::inner::{Inner, NAME_CHECK_INTERVAL, read_record};
use crate::open_store::OpenStore;

/// How often a sweep tries to lock a file of the position that has nothing in it yet.
const ATTEMPTS_ON_A_NEW_FILE: u32 = 100;
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(1);

/// Deletes sessions that are old, files without a session, and surplus entries of the
/// index. Stops at the limit; the next sweep continues there.
///
/// What it cannot read, it leaves and reports in the log.
pub fn sweep(
    inner: &Inner,
    minutes: u32,
    limit: Option<Duration>,
) -> Result<SweepReport, StoreError> {
    let sweep = Sweep {
        inner,
        age: Age {
            minutes,
            now: inner.options.clock.now(),
        },
        start: Instant::now(),
        limit,
        has_unmarked: Cell::new(false),
    };
    // Sessions that another process deleted take their space as long as they are open here.
    inner.root.cache.clear();
    let file = sweep_file(&inner.root)?;
    let locked = lock(&file)?;
    let swept = sweep::run(&sweep, &locked);
    if sweep.has_unmarked.get() {
        // Until then, a load by another process may trust a file that it has open.
        std::thread::sleep(Duration::from_millis(NAME_CHECK_INTERVAL));
    }
    swept
}

/// Takes the lock on the file of the position, unless another sweep has it.
fn lock(file: &Arc<OpenFile>) -> Result<Locked, StoreError> {
    // A process that has just made the file holds the lock until it has written into it.
    let is_new = file.size()? == 0;
    let attempts = if is_new { ATTEMPTS_ON_A_NEW_FILE } else { 1 };
    for attempt in 0..attempts {
        if attempt > 0 {
            std::thread::sleep(PAUSE);
        }
        if let Some(locked) = Locked::try_new(file, LockKind::Exclusive)? {
            return Ok(locked);
        }
    }
    Err(StoreError::Busy)
}

/// Creates the file of the sweep's position when a store is made: when a disk has no room
/// for another file, a sweep has to work. A failure has no consequence before that.
pub fn prepare(root: &Root) {
    let prepare = || {
        let file = sweep_file(root)?;
        // The lock would refuse the sweep of another process.
        if file.size()? > 0 {
            return Ok(());
        }
        match Locked::try_new(&file, LockKind::Exclusive)? {
            Some(locked) => sweep::prepare(&locked),
            None => Ok(()),
        }
    };
    if let Err(error) = prepare() {
        tracing::debug!(%error, "the first sweep creates the file of its position");
    }
}

impl OpenStore {
    /// See [`DirectoryStore::has_unfinished_sweep`](crate::DirectoryStore::has_unfinished_sweep).
    pub async fn has_unfinished_sweep(&self) -> Result<bool, StoreError> {
        self.block(
            |inner| match inner.root.open_file(sweep::FILE, OpenMode::Read)? {
                Some(file) => sweep::is_unfinished(&file),
                None => Ok(false),
            },
        )
        .await
    }
}

struct Sweep<'a> {
    inner: &'a Inner,
    age: Age,
    start: Instant,
    limit: Option<Duration>,
    /// Whether a session was deleted of which other processes learn by looking up its name.
    has_unmarked: Cell<bool>,
}

impl<'a> Sweeper for Sweep<'a> {
    type Directory = Root;
    type Subdirectory = Subdirectory<'a>;

    fn directory(&self) -> &Root {
        &self.inner.root
    }

    fn is_late(&self) -> bool {
        self.limit
            .is_some_and(|limit| self.start.elapsed() >= limit)
    }

    fn enter(&self, name: &str) -> Result<Option<Subdirectory<'a>>, StoreError> {
        self.inner.root.subdirectory(name)
    }

    fn delete_if_old(
        &self,
        subdirectory: &Subdirectory<'a>,
        id: &SessionId,
    ) -> Result<Outcome, StoreError> {
        let name = id.to_string();
        let Some(file) = subdirectory.open_record(&name, OpenMode::Write)? else {
            return Ok(Outcome::Absent);
        };
        match read_record(&file, id)? {
            Some(record) if record.is_settled() && !self.age.applies_to(&record)? => {
                return Ok(Outcome::Kept);
            }
            _ => {}
        }
        let Some(locked) = Locked::try_new(&file, LockKind::Exclusive)? else {
            // Another process uses the session.
            return Ok(Outcome::Kept);
        };
        // The lock then has the only reference, and is released by closing the file.
        drop(file);
        match Record::read(&locked, id)? {
            // An operator may have replaced the file meanwhile.
            Some(_) if !self.inner.root.is_current(&locked)? => Ok(Outcome::Kept),
            Some(record) if self.age.applies_to(&record)? => {
                self.inner.root.cache.remove(id);
                let marked = Record::write_tombstone(&locked, id);
                let removed = subdirectory.remove_file(&name);
                if let Err(error) = marked {
                    // The disk has no room for a tombstone. The first error says more.
                    removed.map_err(|_| error)?;
                    self.has_unmarked.set(true);
                    return Ok(Outcome::Deleted);
                }
                removed.map(|()| Outcome::Deleted)
            }
            Some(_) => Ok(Outcome::Kept),
            None => {
                self.inner.remove_leftover(&locked, id)?;
                Ok(Outcome::Absent)
            }
        }
    }

    /// Also makes durable what an earlier sweep deleted before it was killed. If such a
    /// session survived a power cut after its entries were removed, the index would lack
    /// them.
    fn leave(&self, name: &str) -> Result<(), StoreError> {
        self.inner.transactions().sync_directory(name)
    }

    fn sweep_locks(&self) {
        if let Err(error) = exclusive::sweep(self.inner) {
            self.skip(Skipped::Directory(exclusive::DIRECTORY), &error);
        }
    }

    fn remove_if_surplus(&self, entry: &Entry) -> Result<(), StoreError> {
        remove_if_surplus(self.inner, entry).map(|_| ())
    }

    fn skip(&self, skipped: Skipped<'_>, error: &StoreError) {
        match skipped {
            Skipped::Session(id) => {
                tracing::warn!(session = %id, %error, "the sweep leaves this session");
            }
            Skipped::Entry(id) => {
                tracing::warn!(session = %id, %error, "the sweep leaves this entry");
            }
            Skipped::Directory(directory) => {
                tracing::warn!(%directory, %error, "the sweep leaves this directory");
            }
            Skipped::Position => {
                tracing::warn!(%error, "the next sweep begins where this one began");
            }
        }
    }
}

/// Returns whether an entry of the index is surplus: its session is absent, or has another
/// user.
///
/// A change that adds an entry holds the record's lock until the record needs the entry,
/// so this holds the lock as well.
pub fn is_surplus(inner: &Inner, entry: &Entry) -> Result<bool, StoreError> {
    let root = &inner.root;
    match look_up(root, entry, OpenMode::Read)? {
        Found::Needed => Ok(false),
        Found::Absent => index::has(root, entry),
        Found::Unneeded(file) => match lock_unneeded(root, &file, entry)? {
            Some(_locked) => index::has(root, entry),
            None => Ok(false),
        },
    }
}

/// Removes an entry of the index if it is [surplus](is_surplus). Returns whether it was.
pub fn remove_if_surplus(inner: &Inner, entry: &Entry) -> Result<bool, StoreError> {
    let root = &inner.root;
    let (file, is_absent) = match look_up(root, entry, OpenMode::Write)? {
        Found::Needed => return Ok(false),
        Found::Unneeded(file) => (file, false),
        // A file to lock, so that no process creates the session meanwhile.
        Found::Absent => match inner.transactions().create_file(&entry.id)? {
            Some(file) => (file, true),
            None => return Ok(false),
        },
    };
    let Some(locked) = lock_unneeded(root, &file, entry)? else {
        return Ok(false);
    };
    let is_surplus = index::has(root, entry)?;
    if is_surplus {
        if !is_absent {
            inner.transactions().settle(&locked, &entry.id)?;
        }
        index::remove(root, entry)?;
    }
    let is_leftover = is_absent || is_surplus && Record::read(&locked, &entry.id)?.is_none();
    if is_leftover {
        Record::write_tombstone(&locked, &entry.id)?;
        root.remove_file(locked.name())?;
    }
    Ok(is_surplus)
}

/// The record that an entry of the index belongs to.
enum Found {
    /// It needs the entry, or is not a regular file: then its entries stay.
    Needed,
    /// It does not need the entry.
    Unneeded(Arc<OpenFile>),
    /// There is no file.
    Absent,
}

fn look_up(root: &Root, entry: &Entry, mode: OpenMode) -> Result<Found, StoreError> {
    match root.open_file(&record_name(&entry.id), mode) {
        Err(OpenFailure::Irregular) => Ok(Found::Needed),
        Err(failure) => Err(failure.into()),
        Ok(None) => Ok(Found::Absent),
        Ok(Some(file)) if index::is_needed(&file, entry)? => Ok(Found::Needed),
        Ok(Some(file)) => Ok(Found::Unneeded(file)),
    }
}

/// Locks a record and checks again that it does not need the entry. Meanwhile, another
/// process may have removed the file as a leftover and created a session.
fn lock_unneeded(
    root: &Root,
    file: &Arc<OpenFile>,
    entry: &Entry,
) -> Result<Option<Locked>, StoreError> {
    let Some(locked) = Locked::try_new(file, LockKind::Exclusive)? else {
        return Ok(None);
    };
    let is_unneeded = root.is_current(&locked)? && !index::is_needed(&locked, entry)?;
    Ok(is_unneeded.then_some(locked))
}

/// Opens the file of the sweep's position, and creates it if it is missing.
fn sweep_file(root: &Root) -> Result<Arc<OpenFile>, StoreError> {
    for mode in [OpenMode::Write, OpenMode::Create, OpenMode::Write] {
        if let Some(file) = root.open_file(sweep::FILE, mode)? {
            return Ok(file);
        }
    }
    // No process removes this file.
    Err(StoreError::Busy)
}
