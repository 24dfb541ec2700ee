//! The lock of a file.

use std::io;
use std::ops::Deref;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fs2::FileExt as _;
use session3_record::{LockedFile, RecordFile};
use session3_store::StoreError;

use super::error::store_error;
use super::open_file::OpenFile;
use crate::watch::Call;

/// Which other locks a lock excludes.
#[derive(Clone, Copy)]
pub enum LockKind {
    /// Exclusive locks only.
    Shared,
    /// All locks.
    Exclusive,
}

/// A file whose lock is held until this value is dropped.
pub struct Locked {
    file: Arc<OpenFile>,
}

impl Locked {
    /// Takes the lock of a file. Returns `None` if it is held already.
    pub fn try_new(file: &Arc<OpenFile>, kind: LockKind) -> Result<Option<Self>, StoreError> {
        if file.is_locked.swap(true, Ordering::Acquire) {
            return Ok(None);
        }
        let result = file.watched(Call::Lock(file.name()), |_| match kind {
            LockKind::Shared => fs2::FileExt::try_lock_shared(&file.file),
            LockKind::Exclusive => file.file.try_lock_exclusive(),
        });
        match result {
            Ok(()) => Ok(Some(Self { file: file.clone() })),
            Err(error) => {
                file.is_locked.store(false, Ordering::Release);
                let is_contended = error.kind() == fs2::lock_contended_error().kind();
                match is_contended {
                    true => Ok(None),
                    false => Err(store_error(error)),
                }
            }
        }
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
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), StoreError> {
        let mut done = 0;
        while done < bytes.len() {
            let (rest, offset) = (&bytes[done..], offset + done as u64);
            let call = Call::Write {
                name: self.name(),
                offset,
                bytes: rest,
            };
            let written = self.watched(call, |limit| {
                let length = rest.len().min(limit);
                self.file.file.write_at(&rest[..length], offset)
            });
            match written.map_err(store_error)? {
                0 => return Err(store_error(io::ErrorKind::WriteZero.into())),
                written => done += written,
            }
        }
        Ok(())
    }

    fn truncate(&self) -> Result<(), StoreError> {
        self.file.resize(0)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.file.sync()
    }
}

impl Deref for Locked {
    type Target = Arc<OpenFile>;

    fn deref(&self) -> &Arc<OpenFile> {
        &self.file
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // If this is the last reference, closing the file releases the lock.
        if Arc::strong_count(&self.file) > 1 {
            // This fails only for an invalid file descriptor.
            let _ = fs2::FileExt::unlock(&self.file.file);
        }
        self.is_locked.store(false, Ordering::Release);
        self.released.notify_one();
    }
}
