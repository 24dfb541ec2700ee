//! Sessions in a directory, in the files of the native directory store: `session3-record`
//! has their format and the order of changes. Only the locks differ.

mod file;
mod lock;
mod locked;
mod root;
mod sweep;

use std::rc::Rc;

use session3_record::layout::record_name;
use session3_record::{
    Directory as _, Durability, NewState, OpenMode, Record, Transactions, index, layout,
};
use session3_store::{
    PageBuilder, SessionId, SessionPage, SessionState, StoreError, StoredSession, SweepReport,
    Timestamp, Version,
};

use self::file::OpenFile;
pub use self::lock::Lock;
use self::lock::Purpose;
use self::locked::Locked;
use self::root::Root;
use crate::clock;

/// The largest state, in bytes of user and data together: the native store's default.
const MAX_STATE_BYTES: u64 = 1 << 20;

/// Keeps each session in a file of its own.
pub struct Directory {
    root: Rc<Root>,
}

impl Directory {
    /// Opens the directory that the host provides.
    pub fn open() -> Result<Self, StoreError> {
        let root = Rc::new(Root::open()?);
        Ok(Self { root })
    }

    /// Returns the changes of this directory. Nothing is flushed: a host need not be able
    /// to flush a directory.
    fn transactions(&self) -> Transactions<'_, Root> {
        Transactions::new(&self.root, Durability::Process)
    }

    /// Waits for the lock that changes of a session hold.
    fn lock(&self, id: &SessionId) -> Result<Rc<Lock>, StoreError> {
        let lock = Lock::take(&self.root, &change_lock_of(id), Purpose::Change)?;
        Ok(Rc::new(lock))
    }

    /// Opens a session's file, if there is one.
    fn open_record(&self, id: &SessionId) -> Result<Option<OpenFile>, StoreError> {
        Ok(self.root.open_file(&record_name(id), OpenMode::Write)?)
    }

    /// Creates a session.
    pub fn create(&self, id: &SessionId, state: &SessionState) -> Result<Version, StoreError> {
        check_size(state)?;
        let lock = self.lock(id)?;
        let file = match self.transactions().create_file(id)? {
            Some(file) => Some(file),
            None if self.remove_leftover(id, &lock)? => self.transactions().create_file(id)?,
            None => None,
        };
        let file = Locked::new(file.ok_or(StoreError::Exists)?, &lock);
        let written = NewState::new(id, 1, state, clock::now()).and_then(|new| {
            let version = new.version();
            self.transactions().create(&file, id, new)?;
            Ok(version)
        });
        if written.is_err() {
            // The first error says more than a failure to clean up.
            let _ = self.transactions().remove_leftover(&file, id);
        }
        written
    }

    /// Removes what a create that never finished, or a delete that was interrupted, left
    /// under this ID. Returns false if there is a session.
    fn remove_leftover(&self, id: &SessionId, lock: &Rc<Lock>) -> Result<bool, StoreError> {
        if let Some(file) = self.open_record(id)? {
            let file = Locked::new(file, lock);
            if Record::read(&file, id)?.is_some() {
                return Ok(false);
            }
            self.transactions().remove_leftover(&file, id)?;
        }
        Ok(true)
    }

    /// Loads a session. Takes the lock only if another instance is writing the record at
    /// this moment.
    pub fn load(&self, id: &SessionId) -> Result<Option<StoredSession>, StoreError> {
        for _ in 0..2 {
            let Some(file) = self.open_record(id)? else {
                return Ok(None);
            };
            match Record::read(&file, id) {
                Ok(Some(record)) if !record.is_settled() => {}
                Err(StoreError::Corrupt(_)) => {}
                read => return session_of(read?),
            }
        }
        let _lock = self.lock(id)?;
        match self.open_record(id)? {
            Some(file) => session_of(Record::read(&file, id)?),
            None => Ok(None),
        }
    }

    /// Locks a session's file and reads it, for a change of exactly this version.
    fn lock_version(
        &self,
        id: &SessionId,
        expected: Version,
    ) -> Result<(Locked, Record), StoreError> {
        let lock = self.lock(id)?;
        let file = self.open_record(id)?.ok_or(StoreError::Absent)?;
        let file = Locked::new(file, &lock);
        let record = Record::read(&file, id)?.ok_or(StoreError::Absent)?;
        match record.version()? {
            version if version == expected => Ok((file, record)),
            version => Err(StoreError::Conflict(version)),
        }
    }

    /// Replaces the state if the version is still `expected`.
    pub fn save(
        &self,
        id: &SessionId,
        state: &SessionState,
        expected: Version,
    ) -> Result<Version, StoreError> {
        check_size(state)?;
        let (file, record) = self.lock_version(id, expected)?;
        let new = NewState::new(id, record.next_version()?, state, clock::now())?;
        self.transactions().save(&file, &record, &new)?;
        Ok(new.version())
    }

    /// Updates the times if the version is still `expected`.
    pub fn touch(
        &self,
        id: &SessionId,
        expires: Timestamp,
        expected: Version,
    ) -> Result<(), StoreError> {
        let (file, record) = self.lock_version(id, expected)?;
        self.transactions()
            .touch(&file, &record, expires, clock::now())
    }

    /// Deletes a session, also if its record is damaged. Returns whether there was one.
    pub fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        let lock = self.lock(id)?;
        let Some(file) = self.open_record(id)? else {
            return Ok(false);
        };
        let file = Locked::new(file, &lock);
        let user = match Record::read(&file, id) {
            Ok(None) => return Ok(false),
            // The user of a record without a whole slot is unknown.
            Ok(Some(record)) => record.user().unwrap_or_default().map(str::to_owned),
            Err(StoreError::Corrupt(_)) => None,
            Err(error) => return Err(error),
        };
        self.transactions().delete(&file, id, user.as_deref())?;
        Ok(true)
    }

    /// Returns one page of a walk through all sessions.
    pub fn iterate(&self, cursor: Option<&str>, limit: u32) -> Result<SessionPage, StoreError> {
        let mut next = match cursor {
            Some(cursor) => cursor.parse::<SessionId>()?,
            None => SessionId::from(0),
        };
        let mut page = PageBuilder::new(limit);
        for prefix in next.prefix()..=u8::MAX {
            let (ids, _) = layout::list(&*self.root, prefix)?;
            for id in ids.into_iter().filter(|id| *id >= next) {
                if !page.add(&id, self.load(&id))? {
                    return Ok(page.finish());
                }
            }
            next = SessionId::from(0);
        }
        Ok(page.finish())
    }

    /// Returns the sessions of one user.
    pub fn sessions_of_user(&self, user: &str) -> Result<Vec<SessionId>, StoreError> {
        let mut sessions = Vec::new();
        for id in index::sessions_of_user(&*self.root, user)? {
            let session = match self.load(&id) {
                // A damaged record opens for no user.
                Err(StoreError::Corrupt(_)) => None,
                session => session?,
            };
            // An interrupted change leaves entries that no session needs.
            if session.is_some_and(|session| session.state.user.as_deref() == Some(user)) {
                sessions.push(id);
            }
        }
        Ok(sessions)
    }

    /// Deletes what is old.
    pub fn sweep(&self, minutes: u32) -> Result<SweepReport, StoreError> {
        sweep::sweep(self, minutes)
    }

    /// Waits for the lock of the exclusive requests for a session.
    pub fn lock_request(&self, id: &SessionId) -> Result<Lock, StoreError> {
        Lock::take(&self.root, &format!("{id}.request"), Purpose::Request)
    }
}

/// Returns the name of the lock that changes of a session hold.
fn change_lock_of(id: &SessionId) -> String {
    format!("{id}.change")
}

fn session_of(record: Option<Record>) -> Result<Option<StoredSession>, StoreError> {
    record.map(|record| record.session()).transpose()
}

fn check_size(state: &SessionState) -> Result<(), StoreError> {
    match state.size() as u64 > MAX_STATE_BYTES {
        true => Err(StoreError::TooLarge(MAX_STATE_BYTES)),
        false => Ok(()),
    }
}
