//! Deleting what is old: the job that runs now and then.
//!
//! One at a time, by the lock on the file `sweep.lock`, which also remembers
//! where a sweep stopped. It deletes under each session's lock after looking
//! again, waits for no lock, and holds one record's at a time. With
//! [`Durability::Disk`](super::Durability::Disk), deletions are flushed by the
//! subdirectory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fs::{Lock, Open, OpenFailure, OpenFile};
use super::index::{self, Entry};
use super::layout::{self, record_name};
use super::position::{self, Position};
use super::record::Record;
use super::{DirectoryStore, Inner, exclusive};
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
    report: SweepReport,
}

/// Deletes sessions that are old, files without a session, and surplus entries
/// of the index. Stops at the limit, and goes on there the next time.
pub fn sweep(
    inner: &Inner,
    minutes: u32,
    limit: Option<Duration>,
) -> Result<SweepReport, StoreError> {
    let start = Instant::now();
    let is_over = || limit.is_some_and(|limit| start.elapsed() >= limit);
    let file = sweep_file(inner)?;
    let locked = file.try_lock(Lock::Exclusive)?.ok_or(StoreError::Busy)?;
    let mut sweep = Sweep {
        inner,
        minutes,
        now: inner.options.clock.now(),
        report: SweepReport::default(),
    };
    let stopped_at = sweep.go_on(position::read(&locked)?, is_over)?;
    position::write(&locked, stopped_at)?;
    sweep.report.complete = stopped_at.is_none();
    Ok(sweep.report)
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
                Position::Index(_) => true,
            })
        })
        .await
    }
}

impl Sweep<'_> {
    /// Where it stopped; `None` at the end.
    fn go_on(
        &mut self,
        position: Position,
        is_over: impl Fn() -> bool,
    ) -> Result<Option<Position>, StoreError> {
        let first = match position {
            Position::Record(first) => first,
            Position::Index(number) => return self.sweep_index(number, is_over),
        };
        for prefix in first.prefix()..=u8::MAX {
            let stopped_at = self.sweep_records(prefix, first, &is_over)?;
            // What a sweep that was killed deleted, too. Entries of the index go
            // after that: a session that lives after all would miss its own.
            self.inner.flush_directory(&layout::directory(prefix))?;
            if stopped_at.is_some() {
                return Ok(stopped_at);
            }
        }
        exclusive::sweep(self.inner)?;
        self.sweep_index(0, is_over)
    }

    /// Those of one subdirectory, from `first` on. Where it stopped; `None` at
    /// the end.
    fn sweep_records(
        &mut self,
        prefix: u8,
        first: SessionId,
        is_over: impl Fn() -> bool,
    ) -> Result<Option<Position>, StoreError> {
        let (ids, _) = layout::list(&self.inner.root, prefix)?;
        for id in ids.into_iter().filter(|id| *id >= first) {
            // At least one each time, or it would never end.
            if self.report.deleted + self.report.remaining > 0 && is_over() {
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
                tracing::warn!(session = %id, %error, "the sweep leaves this session");
                self.report.remaining += 1;
            }
        }
    }

    /// `None` where there is no session.
    fn delete_if_old(&self, id: &SessionId) -> Result<Option<Outcome>, StoreError> {
        let Some(file) = self.inner.root.open_file(&record_name(id), Open::Write)? else {
            return Ok(None);
        };
        match Record::read(&file, id)? {
            Some(record) if record.is_settled() && !self.is_old(&record)? => {
                return Ok(Some(Outcome::Remains));
            }
            _ => {}
        }
        let Some(locked) = file.try_lock(Lock::Exclusive)? else {
            // It is in use.
            return Ok(Some(Outcome::Remains));
        };
        match Record::read(&locked, id)? {
            Some(record) if self.is_old(&record)? => {
                self.inner.remove(&locked, id)?;
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

    /// Where it stopped; `None` at the end.
    fn sweep_index(
        &self,
        first: u16,
        is_over: impl Fn() -> bool,
    ) -> Result<Option<Position>, StoreError> {
        let (numbers, _) = index::subdirectories(&self.inner.root)?;
        for number in numbers.into_iter().filter(|number| *number >= first) {
            let (entries, _) = index::list(&self.inner.root, number)?;
            for entry in &entries {
                if let Err(error) = is_surplus(self.inner, entry, true) {
                    tracing::warn!(session = %entry.id, %error, "the sweep leaves this entry");
                }
            }
            if is_over() {
                return Ok(Some(Position::Index(number + 1)));
            }
        }
        Ok(None)
    }
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
    let is_surplus = inner.root.is_current(&locked)?
        && !index::is_needed(&locked, entry)?
        && index::has(&inner.root, entry)?;
    if is_surplus && remove {
        if is_there {
            inner.make_sure(&locked, &entry.id)?;
        }
        index::remove(&inner.root, entry)?;
    }
    let is_leftover = !is_there || is_surplus && Record::read(&locked, &entry.id)?.is_none();
    if remove && is_leftover {
        inner.remove(&locked, &entry.id)?;
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
