//! What all operations of a directory store share, also those on other threads.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use session3_record::layout::record_name;
use session3_record::{
    Deleted, Durability, NewState, OpenFailure, OpenMode, Record, Transactions, irregular,
};
use session3_store::queue::Queues;
use session3_store::{SessionId, SessionState, StoreError, StoredSession, Timestamp, Version};

use crate::Options;
use crate::fs::{Locked, OpenFile, Root, WithoutWaiting, open_failure, store_error};

/// How long a load trusts that the name of a cached file still leads to it, in milliseconds.
pub const NAME_CHECK_INTERVAL: u64 = 1000;

/// The directory, and how the store was opened.
pub struct Inner {
    pub root: Root,
    pub options: Options,
    pub is_multiprocess_safe: bool,
    /// The exclusive requests of this process.
    pub queues: Queues,
}

/// A session's file that was opened.
pub struct Opened {
    pub file: Arc<OpenFile>,
    /// Whether the file comes from the cache: its name may lead to another file by now.
    pub is_cached: bool,
}

impl Opened {
    fn cached(file: Arc<OpenFile>) -> Self {
        let is_cached = true;
        Self { file, is_cached }
    }
}

impl Inner {
    /// Returns the changes of this directory, as durable as the options say.
    pub fn transactions(&self) -> Transactions<'_, Root> {
        Transactions::new(&self.root, self.options.durability)
    }

    /// Opens the file of a session to load it, if there is one.
    pub fn open_to_load(
        &self,
        id: &SessionId,
        now: Timestamp,
    ) -> Result<Option<Opened>, OpenFailure> {
        if let Some(file) = self.root.cache.get(id) {
            let is_current = self.root.was_current(&file, NAME_CHECK_INTERVAL, now);
            if is_current.map_err(|error| open_failure(&error))? {
                return Ok(Some(Opened::cached(file)));
            }
            self.root.cache.remove(id);
        }
        self.open_by_name(id)
    }

    /// Loads a session if that needs no wait: its file is in the cache and known to be current,
    /// and the system has it in its memory. Whatever else is the case, this returns `None`.
    pub fn load_without_waiting(&self, id: &SessionId, now: Timestamp) -> Option<StoredSession> {
        let is_possible = &self.root.reads_without_waiting;
        if !is_possible.load(Relaxed) {
            return None;
        }
        let file = self.root.cache.get(id)?;
        if !file.was_lately_current(NAME_CHECK_INTERVAL, now) {
            return None;
        }
        let file = WithoutWaiting {
            file: &file,
            is_possible,
        };
        let record = Record::read(&file, id).ok()??;
        // A torn slot may be one that another process writes, or one that was not in memory.
        record.is_settled().then(|| record.session().ok())?
    }

    /// Opens the file of a session to lock it, if there is one. After that, the caller has
    /// to check that the file is current.
    pub fn open_to_lock(&self, id: &SessionId) -> Result<Option<Opened>, OpenFailure> {
        match self.root.cache.get(id) {
            Some(file) => Ok(Some(Opened::cached(file))),
            None => self.open_by_name(id),
        }
    }

    fn open_by_name(&self, id: &SessionId) -> Result<Option<Opened>, OpenFailure> {
        let file = self.root.open_record(record_name(id), OpenMode::Write)?;
        Ok(file.map(|file| Opened {
            file,
            is_cached: false,
        }))
    }

    /// Adds a file with a session to the cache.
    pub fn cache(&self, id: &SessionId, opened: &Opened) {
        if !opened.is_cached {
            self.root.cache.insert(id, &opened.file);
        }
    }

    /// Writes a new session into its empty file.
    pub fn create(
        &self,
        locked: &Locked,
        id: &SessionId,
        new: NewState,
    ) -> Result<Version, StoreError> {
        let version = new.version();
        let written = self.transactions().create(locked, id, new);
        match written {
            Ok(()) => self.root.cache.insert(id, locked),
            // The first error says more than a failure to clean up.
            Err(_) => drop(self.remove_leftover(locked, id)),
        }
        written.map(|()| version)
    }

    /// Deletes the session of a record.
    pub fn delete(&self, locked: &Locked, record: &Record) -> Result<Deleted, StoreError> {
        self.root.cache.remove(record.id());
        // The user of a record without a whole slot is unknown.
        let user = record.user().unwrap_or_default();
        self.transactions().delete(locked, record.id(), user)
    }

    /// Removes a file without a session. Another process may have removed it and created a
    /// session while this one waited for the lock: then the file under this name stays.
    pub fn remove_leftover(&self, locked: &Locked, id: &SessionId) -> Result<(), StoreError> {
        if self.root.is_current(locked)? {
            self.transactions().remove_leftover(locked, id)?;
        }
        Ok(())
    }

    /// Checks the size of a state against the limit.
    pub fn check_size(&self, state: &SessionState) -> Result<(), StoreError> {
        let limit = self.options.max_state_bytes;
        match state.size() as u64 > limit {
            true => Err(StoreError::TooLarge(limit)),
            false => Ok(()),
        }
    }

    /// Encodes a state that is modified now.
    pub fn new_state(
        &self,
        id: &SessionId,
        version: Version,
        state: &SessionState,
    ) -> Result<NewState, StoreError> {
        NewState::new(id, version, state, self.options.clock.now())
    }

    /// Returns whether changes wait for the medium, which takes long.
    pub fn flushes(&self) -> bool {
        self.options.durability == Durability::Disk
    }
}

/// Reads a session's file that was opened without checking what it is. A file without a
/// session in it may be a device.
pub fn read_record(file: &OpenFile, id: &SessionId) -> Result<Option<Record>, StoreError> {
    match Record::read(file, id)? {
        None if !file.is_regular().map_err(store_error)? => Err(irregular()),
        record => Ok(record),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use session3_record::Directory;

    use super::*;

    #[test]
    fn a_device_or_a_directory_is_no_session_however_it_reads() {
        let root = Root::open(Path::new("/dev"), &Options::default()).expect("it is there");
        let refused = |error: StoreError| assert_eq!(error.to_string(), irregular().to_string());
        // One reads as endless zeros, one as empty, one fails.
        for name in ["zero", "null", "."] {
            let file = root
                .open_record(name.into(), OpenMode::Read)
                .expect("it opens");
            let file = file.expect("it is there");
            refused(read_record(&file, &SessionId::from(1)).expect_err("no file"));
            let file = root.open_file(name, OpenMode::Read);
            refused(file.map(drop).expect_err("no file").into());
        }
    }
}
