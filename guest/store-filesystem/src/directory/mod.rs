//! Sessions in a directory, file by file as the native store has them: see
//! `host/src/store/directory`, whose record, index and layout these are. The
//! order of things is the same, too; only the locks differ.

#[path = "../../../../host/src/store/directory/durability.rs"]
mod durability;
mod fs;
#[expect(dead_code, reason = "the native store needs it")]
#[path = "../../../../host/src/store/directory/index.rs"]
mod index;
#[path = "../../../../host/src/store/directory/layout.rs"]
mod layout;
mod lock;
#[path = "../../../../host/src/store/directory/position.rs"]
mod position;
#[expect(dead_code, reason = "the native store needs it")]
#[path = "../../../../host/src/store/directory/record.rs"]
mod record;
mod sweep;

use std::rc::Rc;

use self::durability::Durability;
use self::fs::{Locked, Open, OpenFile, Root};
use self::index::Entry;
use self::layout::{parent_of, record_name};
pub use self::lock::Lock;
use self::lock::Purpose;
use self::record::{EncodedSlot, Record};
use crate::clock;
use crate::store::{
    Paging, SessionId, SessionPage, SessionState, StoreError, StoredSession, SweepReport,
    Timestamp, Version,
};

/// The largest state, in bytes of user and data together, as the native store
/// has it.
const MAX_STATE_BYTES: u64 = 1 << 20;

/// Nothing is flushed: hosts need not know how to flush a directory.
const DURABILITY: Durability = Durability::Process;

/// Keeps each session in a file of its own.
pub struct Directory {
    root: Rc<Root>,
}

impl Directory {
    /// The one that the host gives.
    pub fn open() -> Result<Self, StoreError> {
        let root = Rc::new(Root::open()?);
        Ok(Self { root })
    }

    /// Waits for the lock that changes of a session hold.
    fn lock(&self, id: &SessionId) -> Result<Rc<Lock>, StoreError> {
        Ok(Rc::new(Lock::take(
            &self.root,
            &change_of(id),
            Purpose::Change,
        )?))
    }

    /// A session's file, if there is one.
    fn open_record(&self, id: &SessionId) -> Result<Option<OpenFile>, StoreError> {
        Ok(self.root.open_file(&record_name(id), Open::Write)?)
    }

    /// An empty file for a session; `None` when there is one.
    fn create_file(&self, id: &SessionId) -> Result<Option<OpenFile>, StoreError> {
        let name = record_name(id);
        match self.root.open_file(&name, Open::New) {
            Err(failure) if failure.is_missing() => {
                self.root.make_directory(parent_of(&name))?;
                Ok(self.root.open_file(&name, Open::New)?)
            }
            file => Ok(file?),
        }
    }

    /// Keeps a new session.
    pub fn create(&self, id: &SessionId, state: &SessionState) -> Result<Version, StoreError> {
        check_size(state)?;
        let lock = self.lock(id)?;
        let file = match self.create_file(id)? {
            Some(file) => Some(file),
            None if self.remove_leftover(id, &lock)? => self.create_file(id)?,
            None => None,
        };
        let file = Locked::new(file.ok_or(StoreError::Exists)?, &lock);
        let written = self.write_new(&file, id, state);
        if written.is_err() {
            // The error says more than a failure to clean up after it.
            let _ = self.remove(&file, id);
        }
        written
    }

    fn write_new(
        &self,
        file: &Locked,
        id: &SessionId,
        state: &SessionState,
    ) -> Result<Version, StoreError> {
        let slot = EncodedSlot::new(id, 1, state, clock::now())?;
        let version = slot.version();
        if let Some(user) = &state.user {
            index::add(&self.root, &Entry::new(user, id), DURABILITY)?;
        }
        Record::create(file, id, slot, DURABILITY)?;
        Ok(version)
    }

    /// Removes what a create that never finished, or a delete that was cut
    /// short, left under this ID. False when a session is there.
    fn remove_leftover(&self, id: &SessionId, lock: &Rc<Lock>) -> Result<bool, StoreError> {
        if let Some(file) = self.open_record(id)? {
            let file = Locked::new(file, lock);
            if Record::read(&file, id)?.is_some() {
                return Ok(false);
            }
            self.remove(&file, id)?;
        }
        Ok(true)
    }

    /// Ends what is in a file. The tombstone first: whoever has it open finds it.
    fn remove(&self, file: &Locked, id: &SessionId) -> Result<(), StoreError> {
        Record::bury(file, id)?;
        Ok(self.root.unlink(&record_name(id))?)
    }

    /// Loads a session, under the lock only if somebody is writing just now.
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

    /// A session's file, locked, and what is in it, for a change of just that
    /// version.
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

    /// Replaces the state of just that version.
    pub fn save(
        &self,
        id: &SessionId,
        state: &SessionState,
        expected: Version,
    ) -> Result<Version, StoreError> {
        check_size(state)?;
        let (file, record) = self.lock_version(id, expected)?;
        let slot = EncodedSlot::new(id, record.next_version()?, state, clock::now())?;
        let (before, after) = (record.user()?, state.user.as_deref());
        if let Some(user) = after
            && before != after
        {
            index::add(&self.root, &Entry::new(user, id), DURABILITY)?;
        }
        record.save(&file, &slot, DURABILITY)?;
        if before != after {
            self.remove_entry(before, id);
        }
        Ok(slot.version())
    }

    /// Moves the times of just that version.
    pub fn touch(
        &self,
        id: &SessionId,
        expires: Timestamp,
        expected: Version,
    ) -> Result<(), StoreError> {
        let (file, record) = self.lock_version(id, expected)?;
        record.touch(&file, expires, clock::now(), DURABILITY)
    }

    /// Ends a session, and a damaged record too. Whether there was one.
    pub fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        let lock = self.lock(id)?;
        let Some(file) = self.open_record(id)? else {
            return Ok(false);
        };
        let file = Locked::new(file, &lock);
        let user = match Record::read(&file, id) {
            Ok(None) => return Ok(false),
            // Of a record without a whole slot, nobody knows the user.
            Ok(Some(record)) => record.user().unwrap_or_default().map(str::to_owned),
            Err(StoreError::Corrupt(_)) => None,
            Err(error) => return Err(error),
        };
        self.remove(&file, id)?;
        self.remove_entry(user.as_deref(), id);
        Ok(true)
    }

    /// What remains is surplus: answers leave it out, and the sweep removes it.
    fn remove_entry(&self, user: Option<&str>, id: &SessionId) {
        if let Some(user) = user {
            let _ = index::remove(&self.root, &Entry::new(user, id));
        }
    }

    /// One page of a walk through all sessions.
    pub fn iterate(&self, cursor: Option<&str>, limit: u32) -> Result<SessionPage, StoreError> {
        let mut next = match cursor {
            Some(cursor) => cursor.parse::<SessionId>()?,
            None => SessionId::from(0),
        };
        let mut paging = Paging::new(limit);
        for prefix in next.prefix()..=u8::MAX {
            let (ids, _) = layout::list(&self.root, prefix)?;
            for id in ids.into_iter().filter(|id| *id >= next) {
                if !paging.take(&id, self.load(&id))? {
                    return Ok(paging.page);
                }
            }
            next = SessionId::from(0);
        }
        Ok(paging.page)
    }

    /// The sessions of one user.
    pub fn of_user(&self, user: &str) -> Result<Vec<SessionId>, StoreError> {
        let mut sessions = Vec::new();
        for id in index::sessions_of(&self.root, user)? {
            let session = match self.load(&id) {
                // Nobody can use it, and nobody knows whose it was.
                Err(StoreError::Corrupt(_)) => None,
                session => session?,
            };
            // What a change that was cut short left is nobody's.
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

/// The lock that changes of a session hold.
fn change_of(id: &SessionId) -> String {
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
