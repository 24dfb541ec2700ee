//! An open file of the store.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, statx};
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2};
use session3_record::RecordFile;
use session3_store::{StoreError, Timestamp};
use tokio::sync::Notify;

use super::error::{is_one_of, store_error, watched_with_cache};
use crate::descriptor_cache::DescriptorCache;
use crate::watch::{Call, Watch};

/// A file in the store's directory, which the descriptor cache may keep open.
pub struct OpenFile {
    pub(super) file: File,
    /// Whether a thread of this process holds the lock. The system's lock would admit every
    /// thread that shares the file descriptor.
    pub(super) is_locked: AtomicBool,
    /// Wakes a task that waits until a thread of this process releases the lock.
    pub released: Notify,
    /// The time at which the file's name was last known to lead to it.
    pub(super) current_at: AtomicU64,
    /// Which file it is, once that was asked.
    identity: OnceLock<Identity>,
    name: String,
    watch: Option<Arc<dyn Watch>>,
    /// The cache that this file may be in.
    cache: Weak<DescriptorCache>,
}

/// What tells a file from all others: its device (major and minor number) and inode.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(u32, u32, u64);

impl Identity {
    pub fn new(found: &Statx) -> Self {
        Self(found.stx_dev_major, found.stx_dev_minor, found.stx_ino)
    }

    pub fn device(&self) -> (u32, u32) {
        (self.0, self.1)
    }
}

impl OpenFile {
    pub(super) fn new(
        file: File,
        name: String,
        watch: Option<Arc<dyn Watch>>,
        cache: Weak<DescriptorCache>,
    ) -> Self {
        Self {
            file,
            is_locked: AtomicBool::new(false),
            released: Notify::new(),
            current_at: AtomicU64::new(0),
            identity: OnceLock::new(),
            name,
            watch,
            cache,
        }
    }

    /// Returns the file's name within the directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether this is a regular file.
    pub fn is_regular(&self) -> io::Result<bool> {
        let mode = self.attributes(StatxFlags::TYPE)?.stx_mode;
        Ok(FileType::from_raw_mode(mode.into()).is_file())
    }

    /// Returns whether the name of the file was known to lead to it no more than `within`
    /// milliseconds before `now`.
    pub fn was_lately_current(&self, within: u64, now: Timestamp) -> bool {
        let age = now.checked_sub(self.current_at.load(Ordering::Relaxed));
        age.is_some_and(|age| age < within)
    }

    /// Returns which file this is. That never changes, so the system is asked only once.
    pub(super) fn identity(&self) -> io::Result<Identity> {
        match self.identity.get() {
            Some(identity) => Ok(*identity),
            None => Ok(Identity::new(&self.attributes(StatxFlags::INO)?)),
        }
    }

    /// Asks for attributes, and only for these. Once a process has read the time of the
    /// last write, Linux records the time of the next write with a finer grain, which makes
    /// that write change the inode, too.
    fn attributes(&self, which: StatxFlags) -> io::Result<Statx> {
        let which = which | StatxFlags::INO;
        let found = self.watched(Call::Stat(&self.name), |_| {
            Ok(statx(&self.file, "", AtFlags::EMPTY_PATH, which)?)
        })?;
        self.identity.get_or_init(|| Identity::new(&found));
        Ok(found)
    }

    /// Sets the size of the file, without writing bytes.
    pub fn resize(&self, size: u64) -> Result<(), StoreError> {
        self.watched(Call::Resize(&self.name), |_| self.file.set_len(size))
            .map_err(store_error)
    }

    /// Makes the file's data durable (`fdatasync`).
    pub fn sync(&self) -> Result<(), StoreError> {
        self.watched(Call::Flush(&self.name), |_| self.file.sync_data())
            .map_err(store_error)
    }

    pub(super) fn watched<T>(
        &self,
        call: Call,
        make: impl FnMut(usize) -> io::Result<T>,
    ) -> io::Result<T> {
        watched_with_cache(self.watch.as_deref(), || self.cache.upgrade(), call, make)
    }
}

/// A file of which only that is read which the system has in its memory, so that a read does
/// not wait for the disk. A read that would have to wait fails, or returns fewer bytes.
pub struct WithoutWaiting<'a> {
    pub file: &'a OpenFile,
    /// Cleared if the file system has no such reads.
    pub is_possible: &'a AtomicBool,
}

impl RecordFile for WithoutWaiting<'_> {
    fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, StoreError> {
        let Self { file, is_possible } = self;
        let mut bytes = vec![0; length];
        let read = file.watched(Call::ReadInMemory(&file.name), |limit| {
            let part = bytes.get_mut(..limit.min(length)).unwrap_or_default();
            let mut parts = [IoSliceMut::new(part)];
            Ok(preadv2(
                &file.file,
                &mut parts,
                offset,
                ReadWriteFlags::NOWAIT,
            )?)
        });
        let unknown = [Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL, Errno::PERM];
        if let Err(error) = &read
            && is_one_of(error, &unknown)
        {
            is_possible.store(false, Ordering::Relaxed);
        }
        bytes.truncate(read.map_err(store_error)?);
        Ok(bytes)
    }

    fn size(&self) -> Result<u64, StoreError> {
        self.file.size()
    }
}

impl RecordFile for OpenFile {
    fn size(&self) -> Result<u64, StoreError> {
        let found = self.attributes(StatxFlags::SIZE).map_err(store_error)?;
        Ok(found.stx_size)
    }

    fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let (rest, offset) = (length - bytes.len(), offset + bytes.len() as u64);
            let read = self.watched(Call::Read(&self.name), |limit| {
                bytes.reserve_exact(rest.min(limit));
                Ok(pread(&self.file, spare_capacity(&mut bytes), offset)?)
            });
            if read.map_err(store_error)? == 0 {
                break;
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }
}
