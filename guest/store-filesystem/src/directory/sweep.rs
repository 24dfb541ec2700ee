//! Deleting what is old: the native store's job, for a guest's request. One at a
//! time, by the lock `sweep`; it waits for no other lock.

use std::time::Duration;

use super::fs::{Locked, Open, OpenFailure};
use super::index::{self, Entry};
use super::layout::{self, record_name};
use super::lock::{self, Lock, Purpose};
use super::position::{self, Position};
use super::record::Record;
use super::{Directory, change_of};
use crate::clock::{self, Start};
use crate::log;
use crate::store::{SessionId, StoreError, SweepReport, Timestamp, is_old};

/// How long a sweep may take at a time: a request waits for it.
const LIMIT: Duration = Duration::from_secs(5);

/// What became of a session.
enum Outcome {
    Deleted,
    Remains,
}

/// What a sweep is about, and what it has done.
struct Sweep<'a> {
    directory: &'a Directory,
    minutes: u32,
    now: Timestamp,
    start: Start,
    report: SweepReport,
}

/// Deletes sessions that are old, files without a session, locks of nobody and
/// surplus entries of the index. Stops at the limit, and goes on there the next
/// time.
pub fn sweep(directory: &Directory, minutes: u32) -> Result<SweepReport, StoreError> {
    let root = &directory.root;
    let lock = Lock::take_now(root, "sweep")?;
    let created = root.open_file(position::FILE, Open::New)?;
    let file = match created {
        Some(file) => Some(file),
        None => root.open_file(position::FILE, Open::Write)?,
    };
    // Nobody removes it.
    let file = Locked::new(file.ok_or(StoreError::Busy)?, &lock.into());
    let mut sweep = Sweep {
        directory,
        minutes,
        now: clock::now(),
        start: Start::now(),
        report: SweepReport::default(),
    };
    let stopped_at = sweep.go_on(position::read(&file)?)?;
    position::write(&file, stopped_at)?;
    sweep.report.complete = stopped_at.is_none();
    Ok(sweep.report)
}

impl Sweep<'_> {
    fn is_over(&self) -> bool {
        self.start.elapsed() >= LIMIT
    }

    /// Where it stopped; `None` at the end.
    fn go_on(&mut self, position: Position) -> Result<Option<Position>, StoreError> {
        let first = match position {
            Position::Record(first) => first,
            Position::Index(number) => return self.sweep_index(number),
        };
        for prefix in first.prefix()..=u8::MAX {
            let stopped_at = self.sweep_records(prefix, first)?;
            if stopped_at.is_some() {
                return Ok(stopped_at);
            }
        }
        self.sweep_locks()?;
        self.sweep_index(0)
    }

    /// Those of one subdirectory, from `first` on. Where it stopped; `None` at
    /// the end.
    fn sweep_records(
        &mut self,
        prefix: u8,
        first: SessionId,
    ) -> Result<Option<Position>, StoreError> {
        let (ids, _) = layout::list(&self.directory.root, prefix)?;
        for id in ids.into_iter().filter(|id| *id >= first) {
            // At least one each time, or it would never end.
            if self.report.deleted + self.report.remaining > 0 && self.is_over() {
                return Ok(Some(Position::Record(id)));
            }
            self.sweep_record(&id);
        }
        Ok(None)
    }

    /// An error with one session is no reason to leave the others.
    fn sweep_record(&mut self, id: &SessionId) {
        match self.delete_if_old(id) {
            Ok(Some(Outcome::Deleted)) => self.report.deleted += 1,
            Ok(Some(Outcome::Remains)) => self.report.remaining += 1,
            Ok(None) => {}
            Err(error) => {
                log::left(id, "session", &error);
                self.report.remaining += 1;
            }
        }
    }

    /// `None` where there is no session.
    fn delete_if_old(&self, id: &SessionId) -> Result<Option<Outcome>, StoreError> {
        let directory = self.directory;
        let Some(file) = directory.open_record(id)? else {
            return Ok(None);
        };
        match Record::read(&file, id)? {
            Some(record) if record.is_settled() && !self.is_old(&record)? => {
                return Ok(Some(Outcome::Remains));
            }
            _ => {}
        }
        let Some(lock) = Lock::try_take(&directory.root, &change_of(id), Purpose::Change)? else {
            // It is in use.
            return Ok(Some(Outcome::Remains));
        };
        let Some(file) = directory.open_record(id)? else {
            return Ok(None);
        };
        let file = Locked::new(file, &lock.into());
        match Record::read(&file, id)? {
            Some(record) if !self.is_old(&record)? => Ok(Some(Outcome::Remains)),
            found => {
                directory.remove(&file, id)?;
                Ok(found.map(|_| Outcome::Deleted))
            }
        }
    }

    fn is_old(&self, record: &Record) -> Result<bool, StoreError> {
        let (modified, expires) = (record.modified()?, record.expires()?);
        Ok(is_old(modified, expires, self.minutes, self.now))
    }

    /// Files of locks that nobody holds and nobody wants.
    fn sweep_locks(&self) -> Result<(), StoreError> {
        for name in self.directory.root.list(lock::DIRECTORY)? {
            if self.is_over() {
                break;
            }
            lock::sweep(&self.directory.root, &name)?;
        }
        Ok(())
    }

    /// Where it stopped; `None` at the end.
    fn sweep_index(&self, first: u16) -> Result<Option<Position>, StoreError> {
        let (numbers, _) = index::subdirectories(&self.directory.root)?;
        for number in numbers.into_iter().filter(|number| *number >= first) {
            let (entries, _) = index::list(&self.directory.root, number)?;
            for entry in &entries {
                if let Err(error) = self.remove_if_surplus(entry) {
                    log::left(&entry.id, "entry", &error);
                }
            }
            if self.is_over() {
                return Ok(Some(Position::Index(number + 1)));
            }
        }
        Ok(None)
    }

    /// Removes an entry of a session that is gone, or has another user. Whoever
    /// adds one holds the session's lock until the record says so too.
    fn remove_if_surplus(&self, entry: &Entry) -> Result<(), StoreError> {
        let root = &self.directory.root;
        if self.is_needed(entry)? {
            return Ok(());
        }
        let lock = Lock::try_take(root, &change_of(&entry.id), Purpose::Change)?;
        if lock.is_some() && !self.is_needed(entry)? {
            index::remove(root, entry)?;
        }
        Ok(())
    }

    /// Nobody knows what something else than a file needs.
    fn is_needed(&self, entry: &Entry) -> Result<bool, StoreError> {
        match self
            .directory
            .root
            .open_file(&record_name(&entry.id), Open::Read)
        {
            Err(OpenFailure::Irregular) => Ok(true),
            Ok(None) => Ok(false),
            Ok(Some(file)) => index::is_needed(&file, entry),
            Err(failure) => Err(failure.into()),
        }
    }
}
