//! Waiting for locks: no thread is blocked, and the wait ends at the lock timeout.

use std::sync::Arc;
use std::time::Duration;

use session3_record::Record;
use session3_store::{SessionId, StoreError, Version};
use tokio::time::Instant;

use crate::fs::{LockKind, Locked, OpenFile};
use crate::inner::read_record;
use crate::open_store::OpenStore;

/// How often a lock is tried before the task sleeps between two attempts: its holder needs
/// some microseconds.
const SPINS: u32 = 32;
/// The first pause between two attempts: the shortest sleep of tokio's timer.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// The longest pause. A lock that becomes free may stay so for this long, and one waiting
/// process costs a thousandth of a processor.
const LONGEST_PAUSE: Duration = Duration::from_millis(8);

/// The pauses between attempts to take a lock. Each one is twice as long as the one before,
/// up to a limit.
pub struct Pauses {
    start: Instant,
    timeout: Duration,
    next: Duration,
}

impl Pauses {
    /// Begins with a short pause. The timeout began at `start`.
    pub fn new(start: Instant, timeout: Duration) -> Self {
        Self {
            start,
            timeout,
            next: FIRST_PAUSE,
        }
    }

    /// Makes the next pause as long as the longest one of another process.
    pub fn lengthen(&mut self) {
        self.next = LONGEST_PAUSE;
    }

    /// Waits, unless the timeout is over.
    pub async fn wait(&mut self) -> Result<(), StoreError> {
        tokio::time::sleep(self.take()?).await;
        Ok(())
    }

    fn take(&mut self) -> Result<Duration, StoreError> {
        if self.start.elapsed() >= self.timeout {
            return Err(StoreError::Busy);
        }
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST_PAUSE);
        Ok(pause)
    }
}

/// How many files may have the name of a session, one after the other, while a change waits
/// for its lock.
const MAX_FILES: u32 = 100;

impl OpenStore {
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
        Box::pin(self.wait_for_lock(file, kind)).await
    }

    /// Takes the lock of a file, if it becomes free before the lock timeout.
    async fn wait_for_lock(
        &self,
        file: &Arc<OpenFile>,
        kind: LockKind,
    ) -> Result<Locked, StoreError> {
        let mut pauses = Pauses::new(Instant::now(), self.inner.options.lock_timeout);
        for attempt in 0_u32.. {
            if let Some(locked) = Locked::try_new(file, kind)? {
                return Ok(locked);
            }
            if attempt < SPINS {
                tokio::task::yield_now().await;
            } else {
                // A thread of this process that releases the lock ends the pause.
                let released = file.released.notified();
                let _ = tokio::time::timeout(pauses.take()?, released).await;
            }
        }
        Err(StoreError::Busy)
    }

    /// Locks the file of a session exclusively and reads it. Returns `None` if there is no
    /// such session.
    ///
    /// Since a file was cached, or while this waits for the lock, the file may lose its name
    /// to another file: to that of a new session, or to a backup that an operator restores.
    /// Then this locks that one.
    pub(crate) async fn lock_record(
        &self,
        id: &SessionId,
    ) -> Result<Option<(Locked, Record)>, StoreError> {
        let root = &self.inner.root;
        for _ in 0..MAX_FILES {
            let Some(opened) = self.inner.open_to_lock(id)? else {
                return Ok(None);
            };
            let tried = Locked::try_new(&opened.file, LockKind::Exclusive)?;
            let is_certain = tried.is_some() && !opened.is_cached;
            let locked = match tried {
                Some(locked) => locked,
                None => self.lock(&opened.file, LockKind::Exclusive).await?,
            };
            if !is_certain && !root.is_current(&locked)? {
                root.cache.remove(id);
                continue;
            }
            let Some(record) = read_record(&locked, id)? else {
                root.cache.remove(id);
                return Ok(None);
            };
            self.inner.cache(id, &opened);
            return Ok(Some((locked, record)));
        }
        Err(StoreError::Busy)
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
