//! Deleting what is old: the job that runs now and then.
//!
//! One at a time, by the lock on the file `sweep.lock`, which also remembers
//! where a sweep stopped. It deletes under each session's lock after looking
//! again, waits for no lock, and holds one record's at a time. With
//! [`Durability::Disk`](super::Durability::Disk), deletions are flushed by the
//! subdirectory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fs::{Folder, Lock, Open, OpenFailure, OpenFile};
use super::index::{self, Entry};
use super::layout::{self, record_name};
use super::position::{self, Position};
use super::record::Record;
use super::{DirectoryStore, Inner, exclusive, read_record};
use crate::store::{SessionId, StoreError, SweepReport, Timestamp, is_old};

/// What became of a session.
enum Outcome {
    Deleted,
    Remains,
}

/// What a sweep is about, and what it has done.
struct Sweep<'a> {
    inner: &'a Inner,
    minutes: u32,
    now: Timestamp,
    start: Instant,
    limit: Option<Duration>,
    /// Where it is; `None` at the end.
    position: Option<Position>,
    /// Files that it has looked at, with a session or without.
    seen: u64,
    report: SweepReport,
}

/// Deletes sessions that are old, files without a session, and surplus entries
/// of the index. Stops at the limit, and goes on there the next time.
///
/// What it cannot read it leaves, and says so in the log: one bad file is no
/// reason to leave the others.
pub fn sweep(
    inner: &Inner,
    minutes: u32,
    limit: Option<Duration>,
) -> Result<SweepReport, StoreError> {
    let start = Instant::now();
    let file = sweep_file(inner)?;
    let locked = file.try_lock(Lock::Exclusive)?.ok_or(StoreError::Busy)?;
    let mut sweep = Sweep {
        inner,
        minutes,
        now: inner.options.clock.now(),
        start,
        limit,
        position: Some(position::read(&locked)?),
        seen: 0,
        report: SweepReport::default(),
    };
    let swept = sweep.go_on();
    position::write(&locked, sweep.position)?;
    sweep.report.complete = sweep.position.is_none();
    swept.map(|()| sweep.report)
}

impl DirectoryStore {
    /// Whether a sweep stopped at its time limit. The next one goes on there,
    /// so it looks at a part of the sessions only.
    pub async fn has_unfinished_sweep(&self) -> Result<bool, StoreError> {
        self.block(|inner| {
            let Some(file) = inner.root.open_file(position::FILE, Open::Read)? else {
                return Ok(false);
            };
            Ok(match position::read(&file)? {
                Position::Record(first) => first != SessionId::from(0),
                Position::Index(..) => true,
            })
        })
        .await
    }
}

impl Sweep<'_> {
    /// At least one file each time, or it would never end. What takes longest in
    /// between is reading the names in one subdirectory.
    fn is_over(&self) -> bool {
        let is_late = |limit| self.start.elapsed() >= limit;
        self.seen > 0 && self.limit.is_some_and(is_late)
    }

    fn go_on(&mut self) -> Result<(), StoreError> {
        while let Some(position) = self.position
            && !self.is_over()
        {
            self.position = match position {
                Position::Record(first) => Some(self.sweep_records(first)?),
                Position::Index(number, first) => self.sweep_index(number, first),
            };
        }
        Ok(())
    }

    /// Those of one subdirectory, from `first` on. Where to go on.
    fn sweep_records(&mut self, first: SessionId) -> Result<Position, StoreError> {
        let directory = layout::directory(first.prefix());
        let found = look_into(self.inner, &directory, first.prefix());
        let found = found.unwrap_or_else(|error| {
            left(&directory, &error);
            None
        });
        let Some((folder, ids)) = found else {
            return Ok(self.after_records(first.prefix()));
        };
        let mut stopped_at = None;
        for id in ids.into_iter().filter(|id| *id >= first) {
            if self.is_over() {
                stopped_at = Some(Position::Record(id));
                break;
            }
            self.sweep_record(&folder, &id);
        }
        // What a sweep that was killed deleted, too. Entries of the index go
        // after that: a session that lives after all would miss its own.
        self.inner.flush_directory(&directory)?;
        Ok(stopped_at.unwrap_or_else(|| self.after_records(first.prefix())))
    }

    /// What comes after those of one subdirectory.
    fn after_records(&self, prefix: u8) -> Position {
        if let Some(next) = layout::next(prefix) {
            return Position::Record(next);
        }
        if let Err(error) = exclusive::sweep(self.inner) {
            left(exclusive::DIRECTORY, &error);
        }
        Position::Index(0, SessionId::from(0))
    }

    fn sweep_record(&mut self, folder: &Folder, id: &SessionId) {
        self.seen += 1;
        match self.delete_if_old(folder, id) {
            Ok(Some(Outcome::Deleted)) => self.report.deleted += 1,
            Ok(Some(Outcome::Remains)) => self.report.remaining += 1,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(session = %id, %error, "the sweep leaves this session");
                self.report.remaining += 1;
            }
        }
    }

    /// `None` where there is no session.
    fn delete_if_old(
        &self,
        folder: &Folder,
        id: &SessionId,
    ) -> Result<Option<Outcome>, StoreError> {
        let name = id.to_string();
        let Some(file) = folder.open_record(&name, Open::Write)? else {
            return Ok(None);
        };
        match read_record(&file, id)? {
            Some(record) if record.is_settled() && !self.is_old(&record)? => {
                return Ok(Some(Outcome::Remains));
            }
            _ => {}
        }
        let Some(locked) = file.try_lock(Lock::Exclusive)? else {
            // It is in use.
            return Ok(Some(Outcome::Remains));
        };
        // Closing it then gives the lock back.
        drop(file);
        match Record::read(&locked, id)? {
            Some(record) if self.is_old(&record)? => {
                Record::bury(&locked, id)?;
                folder.unlink(&name)?;
                self.inner.root.kept.drop(id);
                Ok(Some(Outcome::Deleted))
            }
            Some(_) => Ok(Some(Outcome::Remains)),
            None => {
                self.inner.remove_leftover(&locked, id)?;
                Ok(None)
            }
        }
    }

    fn is_old(&self, record: &Record) -> Result<bool, StoreError> {
        let (modified, expires) = (record.modified()?, record.expires()?);
        Ok(is_old(modified, expires, self.minutes, self.now))
    }

    /// From a session of a subdirectory on. Where it stopped; `None` at the end.
    fn sweep_index(&mut self, number: u16, first: SessionId) -> Option<Position> {
        let listed = index::subdirectories(&self.inner.root);
        let (numbers, _) = listed.unwrap_or_else(|error| {
            left(index::DIRECTORY, &error);
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
            let batch = match index::list(&self.inner.root, number, first) {
                Ok(batch) => batch,
                Err(error) => {
                    left(&index::directory_of(number), &error);
                    return None;
                }
            };
            for entry in &batch.entries {
                if self.is_over() {
                    return Some(entry.id);
                }
                self.sweep_entry(entry);
            }
            next = batch.next;
        }
        None
    }

    fn sweep_entry(&mut self, entry: &Entry) {
        self.seen += 1;
        if let Err(error) = is_surplus(self.inner, entry, true) {
            tracing::warn!(session = %entry.id, %error, "the sweep leaves this entry");
        }
    }
}

/// A subdirectory and its sessions, if it is there.
fn look_into<'a>(
    inner: &'a Inner,
    directory: &'a str,
    prefix: u8,
) -> Result<Option<(Folder<'a>, Vec<SessionId>)>, StoreError> {
    let Some(folder) = inner.root.folder(directory)? else {
        return Ok(None);
    };
    let (ids, _) = layout::list(&inner.root, prefix)?;
    Ok(Some((folder, ids)))
}

fn left(directory: &str, error: &StoreError) {
    tracing::warn!(%directory, %error, "the sweep leaves this directory");
}

/// Whether an entry of the index is there for a session that is gone, or has
/// another user; if so, and with `remove`, it goes.
///
/// Whoever adds an entry holds the record's lock until the record says so too,
/// so this holds it as well.
pub fn is_surplus(inner: &Inner, entry: &Entry, remove: bool) -> Result<bool, StoreError> {
    let how = if remove { Open::Write } else { Open::Read };
    let found = match inner.root.open_file(&record_name(&entry.id), how) {
        Err(OpenFailure::Irregular) => return Ok(false),
        found => found?,
    };
    let is_there = found.is_some();
    let file = match found {
        Some(file) if index::is_needed(&file, entry)? => return Ok(false),
        None if !remove => return index::has(&inner.root, entry),
        // A file to lock, so that nobody makes one meanwhile.
        None => inner.create_file(&entry.id)?,
        found => found,
    };
    let Some(file) = file else { return Ok(false) };
    let Some(locked) = file.try_lock(Lock::Exclusive)? else {
        return Ok(false);
    };
    // Somebody else may have taken it for a leftover, and made a session.
    if !inner.root.is_current(&locked)? || index::is_needed(&locked, entry)? {
        return Ok(false);
    }
    let is_surplus = index::has(&inner.root, entry)?;
    if is_surplus && remove {
        if is_there {
            inner.make_sure(&locked, &entry.id)?;
        }
        index::remove(&inner.root, entry)?;
    }
    let is_leftover = !is_there || is_surplus && Record::read(&locked, &entry.id)?.is_none();
    if remove && is_leftover {
        Record::bury(&locked, &entry.id)?;
        inner.root.unlink(locked.name())?;
    }
    Ok(is_surplus)
}

fn sweep_file(inner: &Inner) -> Result<Arc<OpenFile>, StoreError> {
    if let Some(file) = inner.root.open_file(position::FILE, Open::New)? {
        return Ok(file);
    }
    // Nobody removes it.
    let file = inner.root.open_file(position::FILE, Open::Write)?;
    file.ok_or(StoreError::Busy)
}
