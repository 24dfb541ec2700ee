//! The sweep, which deletes what is old, as part of a request. Only one sweep runs at a
//! time, by the lock `sweep`. It waits for no other lock.

use std::time::Duration;

use session3_record::index::{self, Entry};
use session3_record::layout::record_name;
use session3_record::sweep::{self, Age, Outcome, Skipped, Sweeper};
use session3_record::{Directory as _, OpenFailure, OpenMode, Record};
use session3_store::{SessionId, StoreError, SweepReport};

use super::lock::{self, Lock, Purpose};
use super::locked::Locked;
use super::root::Root;
use super::{Directory, change_lock_of};
use crate::clock::{self, Start};
use crate::log;

/// How long a sweep may take: a request waits for it.
const LIMIT: Duration = Duration::from_secs(5);

/// Deletes sessions that are old, files without a session, abandoned locks and surplus
/// entries of the index. Stops at the limit; the next sweep continues there.
pub fn sweep(directory: &Directory, minutes: u32) -> Result<SweepReport, StoreError> {
    let root = &directory.root;
    let lock = Lock::take_now(root, "sweep")?;
    let created = root.open_file(sweep::FILE, OpenMode::Create)?;
    let file = match created {
        Some(file) => Some(file),
        None => root.open_file(sweep::FILE, OpenMode::Write)?,
    };
    // No process removes this file.
    let file = Locked::new(file.ok_or(StoreError::Busy)?, &lock.into());
    let sweep = Sweep {
        directory,
        age: Age {
            minutes,
            now: clock::now(),
        },
        start: Start::now(),
    };
    sweep::run(&sweep, &file)
}

struct Sweep<'a> {
    directory: &'a Directory,
    age: Age,
    start: Start,
}

impl Sweeper for Sweep<'_> {
    type Directory = Root;
    type Subdirectory = ();

    fn directory(&self) -> &Root {
        &self.directory.root
    }

    fn is_late(&self) -> bool {
        self.start.elapsed() >= LIMIT
    }

    fn enter(&self, _name: &str) -> Result<Option<()>, StoreError> {
        Ok(Some(()))
    }

    fn delete_if_old(&self, (): &(), id: &SessionId) -> Result<Outcome, StoreError> {
        let directory = self.directory;
        let Some(file) = directory.open_record(id)? else {
            return Ok(Outcome::Absent);
        };
        match Record::read(&file, id)? {
            Some(record) if record.is_settled() && !self.age.applies_to(&record)? => {
                return Ok(Outcome::Kept);
            }
            _ => {}
        }
        let lock = Lock::try_take(&directory.root, &change_lock_of(id), Purpose::Change)?;
        let Some(lock) = lock else {
            // Another instance uses the session.
            return Ok(Outcome::Kept);
        };
        let Some(file) = directory.open_record(id)? else {
            return Ok(Outcome::Absent);
        };
        let file = Locked::new(file, &lock.into());
        let outcome = match Record::read(&file, id)? {
            Some(record) if !self.age.applies_to(&record)? => return Ok(Outcome::Kept),
            Some(_) => Outcome::Deleted,
            None => Outcome::Absent,
        };
        directory.transactions().remove_leftover(&file, id)?;
        Ok(outcome)
    }

    fn leave(&self, _name: &str) -> Result<(), StoreError> {
        Ok(())
    }

    fn sweep_locks(&self) {
        let root = &self.directory.root;
        let mut names = Vec::new();
        if let Err(error) = root.list(lock::DIRECTORY, &mut |name| names.push(name)) {
            self.skip(Skipped::Directory(lock::DIRECTORY), &error);
        }
        for name in names {
            if self.is_late() {
                break;
            }
            if let Err(error) = lock::remove_if_abandoned(root, &name) {
                log::skip_lock(&name, &error);
            }
        }
    }

    /// A change that adds an entry holds the session's lock until the record needs the
    /// entry, so this looks again under the lock.
    fn remove_if_surplus(&self, entry: &Entry) -> Result<(), StoreError> {
        let root = &self.directory.root;
        if self.is_needed(entry)? {
            return Ok(());
        }
        let lock = Lock::try_take(root, &change_lock_of(&entry.id), Purpose::Change)?;
        if lock.is_some() && !self.is_needed(entry)? {
            index::remove(&**root, entry)?;
        }
        Ok(())
    }

    fn skip(&self, skipped: Skipped<'_>, error: &StoreError) {
        log::skip(skipped, error);
    }
}

impl Sweep<'_> {
    /// Returns whether an entry is needed. The entries of something that is not a regular
    /// file stay.
    fn is_needed(&self, entry: &Entry) -> Result<bool, StoreError> {
        let root = &self.directory.root;
        match root.open_file(&record_name(&entry.id), OpenMode::Read) {
            Err(OpenFailure::Irregular) => Ok(true),
            Ok(None) => Ok(false),
            Ok(Some(file)) => index::is_needed(&file, entry),
            Err(failure) => Err(failure.into()),
        }
    }
}
