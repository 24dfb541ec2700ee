//! The walk of a sweep, which deletes what is old.
//!
//! A sweep goes through the records, subdirectory by subdirectory, then through the locks
//! of exclusive requests, then through the index. It stops at its time limit, notes its
//! position in the file [`FILE`], and the next sweep continues there. A store provides the
//! steps as a [`Sweeper`].

use session3_store::{SessionId, StoreError, SweepReport, Timestamp, is_old};

use crate::files::{Directory, LockedFile, RecordFile};
use crate::index::{self, Entry};
use crate::layout;
use crate::record::Record;

/// The name of the file that remembers the position. The native store also locks it during
/// a sweep.
pub const FILE: &str = "sweep.lock";

/// The bytes of that file: the word "users", a number, and a session ID.
const LENGTH: usize = 42;

/// What became of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The sweep deleted it.
    Deleted,
    /// The sweep kept it.
    Kept,
    /// There was no session.
    Absent,
}

/// Something that the sweep could not handle and leaves as it is.
#[derive(Clone, Copy, Debug)]
pub enum Skipped<'a> {
    /// A session.
    Session(&'a SessionId),
    /// A directory, with everything in it.
    Directory(&'a str),
    /// An entry of the index, which belongs to this session.
    Entry(&'a SessionId),
    /// The position, which could not be written: the next sweep begins where this one began.
    Position,
}

/// The steps of a sweep, which depend on how a store locks its sessions.
pub trait Sweeper {
    /// The directory of sessions.
    type Directory: Directory;
    /// What the store keeps open while the sweep is in one subdirectory.
    type Subdirectory;

    /// Returns the directory of sessions.
    fn directory(&self) -> &Self::Directory;

    /// Returns whether the time limit has passed.
    fn is_late(&self) -> bool;

    /// Begins with a subdirectory; `None` if it does not exist.
    fn enter(&self, name: &str) -> Result<Option<Self::Subdirectory>, StoreError>;

    /// Deletes a session if it is old, and a file that holds no session.
    fn delete_if_old(
        &self,
        subdirectory: &Self::Subdirectory,
        id: &SessionId,
    ) -> Result<Outcome, StoreError>;

    /// Finishes a subdirectory: makes its deletions durable. The sweep of the index, which
    /// comes later, relies on it.
    fn leave(&self, name: &str) -> Result<(), StoreError>;

    /// Removes the locks that no process holds.
    fn sweep_locks(&self);

    /// Removes an entry of the index if no session needs it.
    fn remove_if_surplus(&self, entry: &Entry) -> Result<(), StoreError>;

    /// Reports what the sweep leaves as it is, and why. One bad file is no reason to leave
    /// the others.
    fn skip(&self, skipped: Skipped<'_>, error: &StoreError);
}

/// Which sessions a sweep deletes.
#[derive(Clone, Copy, Debug)]
pub struct Age {
    /// Sessions that were not modified for more than this many minutes.
    pub minutes: u32,
    /// The time of the sweep, in milliseconds since 1970.
    pub now: Timestamp,
}

impl Age {
    /// Returns whether the session of this record is to be deleted.
    pub fn applies_to(&self, record: &Record) -> Result<bool, StoreError> {
        let (modified, expires) = (record.modified()?, record.expires()?);
        Ok(is_old(modified, expires, self.minutes, self.now))
    }
}

/// Where a sweep continues: first in the records, then in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// At this session.
    Record(SessionId),
    /// In this subdirectory of the index, at this session.
    Index(u16, SessionId),
}

impl Position {
    const START: Self = Self::Record(SessionId::from_bits(0));
}

/// Sweeps from the noted position to the end, or until the time limit. `file` is the open
/// file with the name [`FILE`].
///
/// # Errors
///
/// The sweep stops at an error of [`Sweeper::leave`], which then also says how many sessions
/// were deleted. It fails if the position cannot be read. If the position cannot be written,
/// for example on a full disk, the sweep fails only if it has made no progress.
pub fn run(sweeper: &impl Sweeper, file: &impl LockedFile) -> Result<SweepReport, StoreError> {
    let start = read_position(file)?;
    let mut walk = Walk {
        sweeper,
        position: Some(start),
        seen: 0,
        report: SweepReport::default(),
    };
    let walked = walk.run();
    let mut report = walk.report;
    report.complete = walk.position.is_none();
    let end = walk.position.unwrap_or(Position::START);
    if end != start
        && let Err(error) = write_position(file, end)
    {
        // A caller that repeats sweeps until one is complete would repeat this one for ever.
        if walked.is_ok() && report.deleted == 0 && !report.complete {
            return Err(error);
        }
        sweeper.skip(Skipped::Position, &error);
    }
    walked.map_err(|error| with_count(error, report.deleted))?;
    Ok(report)
}

/// Writes the first position into a new file, so that a later sweep needs no more space on
/// the disk.
pub fn prepare(file: &impl LockedFile) -> Result<(), StoreError> {
    match file.size()? {
        0 => write_position(file, Position::START),
        _ => Ok(()),
    }
}

/// Returns whether the last sweep stopped at its time limit.
pub fn is_unfinished(file: &impl RecordFile) -> Result<bool, StoreError> {
    Ok(read_position(file)? != Position::START)
}

/// A subdirectory and its sessions; `None` if it does not exist.
type Entered<S> = Option<(<S as Sweeper>::Subdirectory, Vec<SessionId>)>;

struct Walk<'a, S> {
    sweeper: &'a S,
    /// Where the walk is; `None` at the end.
    position: Option<Position>,
    /// The number of files that the walk has looked at.
    seen: u64,
    report: SweepReport,
}

impl<S: Sweeper> Walk<'_, S> {
    fn run(&mut self) -> Result<(), StoreError> {
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

    /// Looks at one file at least: otherwise a sweep with a short limit would never end.
    /// Between two looks, reading the names of one subdirectory takes longest.
    fn is_over(&self) -> bool {
        self.seen > 0 && self.sweeper.is_late()
    }

    /// Sweeps the records of one subdirectory, from `first` on. Returns where to continue.
    fn sweep_records(&mut self, first: SessionId) -> Result<Position, StoreError> {
        let name = layout::subdirectory(first.prefix());
        let entered = self.enter(&name, first.prefix()).unwrap_or_else(|error| {
            self.sweeper.skip(Skipped::Directory(&name), &error);
            None
        });
        let Some((subdirectory, ids)) = entered else {
            return Ok(self.after_records(first.prefix()));
        };
        let mut stopped_at = None;
        for id in ids.into_iter().filter(|id| *id >= first) {
            if self.is_over() {
                stopped_at = Some(Position::Record(id));
                break;
            }
            self.sweep_record(&subdirectory, &id);
        }
        self.sweeper.leave(&name)?;
        Ok(stopped_at.unwrap_or_else(|| self.after_records(first.prefix())))
    }

    fn enter(&self, name: &str, prefix: u8) -> Result<Entered<S>, StoreError> {
        let Some(subdirectory) = self.sweeper.enter(name)? else {
            return Ok(None);
        };
        let (ids, _) = layout::list(self.sweeper.directory(), prefix)?;
        Ok(Some((subdirectory, ids)))
    }

    /// Returns what comes after the records of one subdirectory.
    fn after_records(&self, prefix: u8) -> Position {
        if let Some(next) = layout::next_subdirectory(prefix) {
            return Position::Record(next);
        }
        self.sweeper.sweep_locks();
        Position::Index(0, SessionId::from(0))
    }

    fn sweep_record(&mut self, subdirectory: &S::Subdirectory, id: &SessionId) {
        self.seen += 1;
        match self.sweeper.delete_if_old(subdirectory, id) {
            Ok(Outcome::Deleted) => self.report.deleted += 1,
            Ok(Outcome::Kept) => self.report.remaining += 1,
            Ok(Outcome::Absent) => {}
            Err(error) => {
                self.sweeper.skip(Skipped::Session(id), &error);
                self.report.remaining += 1;
            }
        }
    }

    /// Sweeps the index from a session of a subdirectory on. Returns where it stopped;
    /// `None` at the end.
    fn sweep_index(&mut self, number: u16, first: SessionId) -> Option<Position> {
        let listed = index::subdirectories(self.sweeper.directory());
        let (numbers, _) = listed.unwrap_or_else(|error| {
            self.sweeper
                .skip(Skipped::Directory(index::DIRECTORY), &error);
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

    /// Sweeps the entries of one subdirectory of the index. Returns where it stopped;
    /// `None` at the end.
    fn sweep_entries(&mut self, number: u16, first: SessionId) -> Option<SessionId> {
        let mut next = Some(first);
        while let Some(first) = next {
            let batch = match index::list(self.sweeper.directory(), number, first) {
                Ok(batch) => batch,
                Err(error) => {
                    let name = index::directory_of(number);
                    self.sweeper.skip(Skipped::Directory(&name), &error);
                    return None;
                }
            };
            for entry in &batch.entries {
                if self.is_over() {
                    return Some(entry.id);
                }
                self.seen += 1;
                if let Err(error) = self.sweeper.remove_if_surplus(entry) {
                    self.sweeper.skip(Skipped::Entry(&entry.id), &error);
                }
            }
            next = batch.next;
        }
        None
    }
}

/// Reads the position where the last sweep stopped. A file without a valid position means
/// the start.
fn read_position(file: &impl RecordFile) -> Result<Position, StoreError> {
    let bytes = file.read_at(0, LENGTH)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let mut words = text.split_whitespace();
    Ok(match words.next() {
        Some("users") => {
            let number = words.next().and_then(|number| number.parse().ok());
            Position::Index(number.unwrap_or(0), id_of(words.next()))
        }
        word => Position::Record(id_of(word)),
    })
}

/// Notes the position where the next sweep begins.
fn write_position(file: &impl LockedFile, position: Position) -> Result<(), StoreError> {
    let text = match position {
        Position::Record(id) => id.to_string(),
        Position::Index(number, id) => format!("users {number} {id}"),
    };
    file.write_at(format!("{text:LENGTH$}").as_bytes(), 0)
}

fn id_of(word: Option<&str>) -> SessionId {
    let id = word.and_then(|word| word.parse().ok());
    id.unwrap_or(SessionId::from(0))
}

/// Adds the number of sessions that a sweep deleted before it failed.
fn with_count(error: StoreError, deleted: u64) -> StoreError {
    match error {
        StoreError::Unavailable(what) if deleted > 0 => StoreError::Unavailable(format!(
            "{what}; the sweep deleted {deleted} sessions before that"
        )),
        error => error,
    }
}
