//! Waiting for locks: no thread is blocked, and the wait ends at the lock timeout.

use std::sync::Arc;
use std::time::Duration;

use session3_record::Record;
use session3_store::{SessionId, StoreError, Version};
use tokio::time::Instant;

use crate::DirectoryStore;
use crate::fs::{LockKind, Locked, OpenFile};
use crate::inner::{Purpose, read_record};

/// How often a lock is tried before the task sleeps between two attempts: its holder needs
/// some microseconds.
const SPINS: u32 = 32;
/// The shortest sleep of tokio's timer.
const PAUSE: Duration = Duration::from_millis(1);

impl DirectoryStore {
    /// Takes the lock of a file.
    pub(crate) async fn lock(
        &self,
        file: &Arc<OpenFile>,
        kind: LockKind,
    ) -> Result<Locked, StoreError> {
        if let Some(locked) = Locked::try_new(file, kind)? {
            return Ok(locked);
        }
        // Waiting is rare. In a box of its own, it does not make every future larger.
        Box::pin(self.wait_for_lock(Instant::now(), file, kind)).await
    }

    /// Takes the lock of a file, if it becomes free before the lock timeout, which began
    /// at `start`.
    pub(crate) async fn wait_for_lock(
        &self,
        start: Instant,
        file: &Arc<OpenFile>,
        kind: LockKind,
    ) -> Result<Locked, StoreError> {
        for attempt in 0_u32.. {
            if let Some(locked) = Locked::try_new(file, kind)? {
                return Ok(locked);
            }
            if attempt < SPINS {
                tokio::task::yield_now().await;
            } else if start.elapsed() < self.inner.options.lock_timeout {
                tokio::time::sleep(PAUSE).await;
            } else {
                break;
            }
        }
        Err(StoreError::Busy)
    }

    /// Locks the file of a session exclusively and reads it. Returns `None` if there is no
    /// such session.
    pub(crate) async fn lock_record(
        &self,
        id: &SessionId,
    ) -> Result<Option<(Locked, Record)>, StoreError> {
        while let Some(opened) = self.inner.open_record(id, Purpose::Change)? {
            let locked = self.lock(&opened.file, LockKind::Exclusive).await?;
            match read_record(&locked, id)? {
                Some(record) => {
                    self.inner.cache(id, &opened);
                    return Ok(Some((locked, record)));
                }
                None if opened.is_cached => self.inner.root.cache.remove(id),
                None => break,
            }
        }
        Ok(None)
    }

    /// Locks the file of a session exclusively and reads it, for a change of exactly this
    /// version.
    pub(crate) async fn lock_version(
        &self,
        id: &SessionId,
        expected: Version,
    ) -> Result<(Locked, Record), StoreError> {
        let (locked, record) = self.lock_record(id).await?.ok_or(StoreError::Absent)?;
        match record.version()? {
            version if version == expected => Ok((locked, record)),
            version => Err(StoreError::Conflict(version)),
        }
    }

    /// Reads a record. Takes the shared lock only if another process is writing the record
    /// at this moment.
    pub(crate) async fn read(
        &self,
        file: &Arc<OpenFile>,
        id: &SessionId,
    ) -> Result<Option<Record>, StoreError> {
        for _ in 0..2 {
            match read_record(file, id) {
                Ok(Some(record)) if !record.is_settled() => {}
                Err(StoreError::Corrupt(_)) => {}
                read => return read,
            }
        }
        let locked = self.lock(file, LockKind::Shared).await?;
        read_record(&locked, id)
    }
}
