//! The changes of a directory of sessions: each is a sequence of steps on the index and
//! on one record, in the order that a kill or a power cut may interrupt anywhere.

use session3_store::{SessionId, SessionState, StoreError, Timestamp, Version};

use crate::Durability;
use crate::files::{Directory, LockedFile, OpenFailure, OpenMode};
use crate::index::{self, Entry};
use crate::layout::{parent_of, record_name};
use crate::record::Record;
use crate::update::{EncodedSlot, note_durable, sync};

/// A state that is ready to be written.
pub struct NewState {
    slot: EncodedSlot,
    user: Option<String>,
}

impl NewState {
    /// Encodes a state as a version of a session that is modified at this time.
    pub fn new(
        id: &SessionId,
        version: Version,
        state: &SessionState,
        modified: Timestamp,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            slot: EncodedSlot::new(id, version, state, modified)?,
            user: state.user.clone(),
        })
    }

    /// Returns the version that writing this state makes.
    pub fn version(&self) -> Version {
        self.slot.version()
    }
}

/// What other processes find that have the file of a deleted session open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The file holds no session any more.
    Marked,
    /// The file still holds the session, since the disk had no room for a tombstone. Only
    /// its name is gone, so a process finds the delete when it looks up the name.
    Unmarked,
}

/// Changes a directory of sessions. The caller holds the lock of the record that changes.
#[derive(Clone, Copy)]
pub struct Transactions<'a, D> {
    directory: &'a D,
    durability: Durability,
}

impl<'a, D: Directory> Transactions<'a, D> {
    /// Makes changes in this directory as durable as this.
    pub fn new(directory: &'a D, durability: Durability) -> Self {
        Self {
            directory,
            durability,
        }
    }

    /// Creates an empty file for a session, and the subdirectory if it is missing. Returns
    /// `None` if the file exists already.
    pub fn create_file(&self, id: &SessionId) -> Result<Option<D::File>, StoreError> {
        let name = record_name(id);
        match self.directory.open_file(&name, OpenMode::Create) {
            Err(OpenFailure::NoDirectory(_)) => {
                self.directory.create_directory(parent_of(&name))?;
                Ok(self.directory.open_file(&name, OpenMode::Create)?)
            }
            file => Ok(file?),
        }
    }

    /// Writes a new session into an empty file.
    pub fn create(
        &self,
        file: &impl LockedFile,
        id: &SessionId,
        new: NewState,
    ) -> Result<(), StoreError> {
        let version = new.version();
        self.add_entry(new.user.as_deref(), id)?;
        Record::create(file, id, new.slot, self.durability)?;
        if self.durability == Durability::Disk {
            self.sync_parent(id)?;
            note_durable(file, id, version)?;
        }
        Ok(())
    }

    /// Writes the next version of a session.
    pub fn save(
        &self,
        file: &impl LockedFile,
        record: &Record,
        new: &NewState,
    ) -> Result<(), StoreError> {
        self.replace(file, record, new, Record::save)
    }

    /// Replaces a session by any version of it, which another store had.
    pub fn import(
        &self,
        file: &impl LockedFile,
        record: &Record,
        new: &NewState,
    ) -> Result<(), StoreError> {
        self.replace(file, record, new, Record::import)
    }

    fn replace<F: LockedFile>(
        &self,
        file: &F,
        record: &Record,
        new: &NewState,
        write: impl FnOnce(&Record, &F, &EncodedSlot, Durability) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.make_durable(file, record)?;
        let (before, after) = (record.user()?, new.user.as_deref());
        if before == after {
            return write(record, file, &new.slot, self.durability);
        }
        self.add_entry(after, record.id())?;
        write(record, file, &new.slot, self.durability)?;
        self.remove_entry(before, record.id());
        Ok(())
    }

    /// Updates the times of a session.
    pub fn touch(
        &self,
        file: &impl LockedFile,
        record: &Record,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.make_durable(file, record)?;
        record.touch(file, expires, now, self.durability)
    }

    /// Deletes the session of a file. `user` is its user, if it is known: that of a damaged
    /// record is not.
    pub fn delete(
        &self,
        file: &impl LockedFile,
        id: &SessionId,
        user: Option<&str>,
    ) -> Result<Deleted, StoreError> {
        if let Err(error) = Record::write_tombstone(file, id) {
            self.unlink_unmarked(id, error)?;
            self.remove_entry(user, id);
            return Ok(Deleted::Unmarked);
        }
        self.sync_tombstone(file)?;
        self.remove_entry(user, id);
        self.directory.remove_file(&record_name(id))?;
        self.sync_parent(id)?;
        Ok(Deleted::Marked)
    }

    /// Removes a file that holds no session, or a damaged one.
    ///
    /// With [`Durability::Disk`], the tombstone is durable before the name is removed. So
    /// if the name is gone, other than by a sweep, entries of the index may be removed.
    pub fn remove_leftover(
        &self,
        file: &impl LockedFile,
        id: &SessionId,
    ) -> Result<(), StoreError> {
        if let Err(error) = Record::write_tombstone(file, id) {
            return self.unlink_unmarked(id, error);
        }
        self.sync_tombstone(file)?;
        self.directory.remove_file(&record_name(id))
    }

    /// Removes the name of a file that could not get a tombstone because of `error`, which
    /// is also why this fails if the name cannot be removed either.
    fn unlink_unmarked(&self, id: &SessionId, error: StoreError) -> Result<(), StoreError> {
        let removed = self.directory.remove_file(&record_name(id));
        removed.map_err(|_| error)?;
        self.sync_parent(id)
    }

    /// With [`Durability::Disk`], makes sure that a record, or its absence, is durable.
    /// This comes before an entry of the index is removed, since the state before may need
    /// that entry.
    pub fn settle(&self, file: &impl LockedFile, id: &SessionId) -> Result<(), StoreError> {
        match Record::read(file, id)? {
            Some(record) => self.make_durable(file, &record),
            None => {
                Record::write_tombstone(file, id)?;
                self.sync_tombstone(file)?;
                self.sync_parent(id)
            }
        }
    }

    /// With [`Durability::Disk`], makes the entries of a directory durable.
    pub fn sync_directory(&self, name: &str) -> Result<(), StoreError> {
        match self.durability {
            Durability::Process => Ok(()),
            Durability::Disk => self.directory.sync_directory(name),
        }
    }

    /// With [`Durability::Disk`], makes durable which sessions exist in the subdirectory of
    /// this one.
    pub fn sync_parent(&self, id: &SessionId) -> Result<(), StoreError> {
        self.sync_directory(parent_of(&record_name(id)))
    }

    /// With [`Durability::Disk`], makes the current state durable, whichever process wrote
    /// it, before a change builds on it.
    fn make_durable(&self, file: &impl LockedFile, record: &Record) -> Result<(), StoreError> {
        if self.durability == Durability::Process || record.is_durable()? {
            return Ok(());
        }
        self.add_entry(record.user()?, record.id())?;
        record.make_durable(file)?;
        self.sync_parent(record.id())?;
        note_durable(file, record.id(), record.version()?)
    }

    /// With [`Durability::Disk`], makes a tombstone durable.
    fn sync_tombstone(&self, file: &impl LockedFile) -> Result<(), StoreError> {
        match self.durability {
            Durability::Process => Ok(()),
            Durability::Disk => sync(file),
        }
    }

    fn add_entry(&self, user: Option<&str>, id: &SessionId) -> Result<(), StoreError> {
        match user {
            Some(user) => index::add(self.directory, &Entry::new(user, id), self.durability),
            None => Ok(()),
        }
    }

    /// Removes an entry that became surplus. If this fails, answers leave the entry out,
    /// and the sweep removes it.
    fn remove_entry(&self, user: Option<&str>, id: &SessionId) {
        if let Some(user) = user {
            let _ = index::remove(self.directory, &Entry::new(user, id));
        }
    }
}
