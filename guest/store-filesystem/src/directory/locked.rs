//! A session's file whose lock is held.

use std::rc::Rc;

use session3_record::{LockedFile, RecordFile};
use session3_store::StoreError;

use super::file::OpenFile;
use super::lock::Lock;

/// A session's file, and the lock on its session.
pub struct Locked {
    file: OpenFile,
    lock: Rc<Lock>,
}

impl Locked {
    /// Joins a file with the lock on its session.
    pub fn new(file: OpenFile, lock: &Rc<Lock>) -> Self {
        let lock = lock.clone();
        Self { file, lock }
    }
}

impl RecordFile for Locked {
    fn size(&self) -> Result<u64, StoreError> {
        self.file.size()
    }

    fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, StoreError> {
        self.file.read_at(offset, length)
    }
}

impl LockedFile for Locked {
    /// Fails if this instance no longer owns the lock.
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), StoreError> {
        match self.lock.is_held() {
            true => self.file.write_at(bytes, offset),
            false => Err(held_too_long()),
        }
    }

    fn truncate(&self) -> Result<(), StoreError> {
        match self.lock.is_held() {
            true => self.file.truncate(),
            false => Err(held_too_long()),
        }
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.file.sync()
    }
}

fn held_too_long() -> StoreError {
    StoreError::Unavailable("the session was locked for too long".into())
}
