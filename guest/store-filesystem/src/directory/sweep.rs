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
    /// Where it is; `None` at the end.
    position: Option<Position>,
    /// Files that it has looked at, with a session or without.
    seen: u64,
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
        position: Some(position::read(&file)?),
        seen: 0,
        report: SweepReport::default(),
    };
    sweep.go_on();
    position::write(&file, sweep.position)?;
    sweep.report.complete = sweep.position.is_none();
    Ok(sweep.report)
}

impl Sweep<'_> {
    /// At least one file each time, or it would never end. What takes longest in
    /// between is reading the names in one subdirectory.
    fn is_over(&self) -> bool {
        self.seen > 0 && self.start.elapsed() >= LIMIT
    }

    fn go_on(&mut self) {
        while let Some(position) = self.position
            && !self.is_over()
        {
            self.position = match position {
                Position::Record(first) => Some(self.sweep_records(first)),
                Position::Index(number, first) => self.sweep_index(number, first),
            };
        }
    }

    /// Those of one subdirectory, from `first` on. Where to go on.
    fn sweep_records(&mut self, first: SessionId) -> Position {
        let listed = layout::list(&self.directory.root, first.prefix());
        let (ids, _) = listed.unwrap_or_else(|error| {
            log::left_directory(&layout::directory(first.prefix()), &error);
            Default::default()
        });
        for id in ids.into_iter().filter(|id| *id >= first) {
            if self.is_over() {
                return Position::Record(id);
            }
            self.sweep_record(&id);
        }
        if let Some(next) = layout::next(first.prefix()) {
            return Position::Record(next);
        }
        self.sweep_locks();
        Position::Index(0, SessionId::from(0))
    }

    /// An error with one session is no reason to leave the others.
    fn sweep_record(&mut self, id: &SessionId) {
        self.seen += 1;
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
    fn sweep_locks(&self) {
        let root = &self.directory.root;
        let mut names = Vec::new();
        if let Err(failure) = root.list(lock::DIRECTORY, |name| names.push(name)) {
            log::left_directory(lock::DIRECTORY, &failure.into());
        }
        for name in names {
            if self.is_over() {
                break;
            }
            if let Err(error) = lock::sweep(root, &name) {
                log::left_lock(&name, &error);
            }
        }
    }

    /// From a session of a subdirectory on. Where it stopped; `None` at the end.
    fn sweep_index(&mut self, number: u16, first: SessionId) -> Option<Position> {
        let listed = index::subdirectories(&self.directory.root);
        let (numbers, _) = listed.unwrap_or_else(|error| {
            log::left_directory(index::DIRECTORY, &error);
            Default::default()
        });
        for next in numbers.into_iter().filter(|next| *next >= number) {
            let first = if next == number {
                first
            } else {
                SessionId::from(0)
            };
            if let Some(stopped_at) = self.sweep_entries(next, first) {
                return Some(Position::Index(next, stopped_at));
            }
        }
        None
    }

    /// Those of one subdirectory. Where it stopped; `None` at the end.
    fn sweep_entries(&mut self, number: u16, first: SessionId) -> Option<SessionId> {
        let mut next = Some(first);
        while let Some(first) = next {
            let batch = match index::list(&self.directory.root, number, first) {
                Ok(batch) => batch,
                Err(error) => {
                    log::left_directory(&index::directory_of(number), &error);
                    return None;
                }
            };
            for entry in &batch.entries {
                if self.is_over() {
                    return Some(entry.id);
                }
                self.seen += 1;
                if let Err(error) = self.remove_if_surplus(entry) {
                    log::left(&entry.id, "entry", &error);
                }
            }
            next = batch.next;
        }
        None
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
