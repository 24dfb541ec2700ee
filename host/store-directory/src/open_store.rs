//! A directory that is open: each operation of the store.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use session3_record::layout::record_name;
use session3_record::{
    Deleted, NewState, OpenFailure, OpenMode, Record, RecordFile as _, index, layout,
};
use session3_store::queue::Queues;
use session3_store::{
    PageBuilder, SessionId, SessionLock, SessionPage, SessionState, StoreError, StoredSession,
    SweepReport, Timestamp, Version,
};
use tokio::task::coop::consume_budget;

use crate::fs::{LockKind, Root, is_stale, may_be_made};
use crate::inline::blocking;
use crate::inner::{Inner, NAME_CHECK_INTERVAL};
use crate::{Options, exclusive, sweep};

/// How often a create removes the leftover of an unfinished create before it gives up.
const MAX_LEFTOVERS: u32 = 8;

/// A directory of sessions that was opened.
#[derive(Clone)]
pub struct OpenStore {
    pub inner: Arc<Inner>,
    /// When the operation began, by the store's clock.
    pub now: Timestamp,
    /// Whether the operation runs on a thread that may block.
    pub may_block: bool,
}

impl OpenStore {
    /// Opens a directory of sessions.
    pub fn open(path: &Path, options: &Options) -> io::Result<Self> {
        let root = Root::open(path, options)?;
        root.check_access(options.read_only)?;
        let file_system = root.file_system()?;
        let inner = Inner {
            root,
            options: options.clone(),
            is_multiprocess_safe: locks_bind_all_processes(file_system),
            queues: Queues::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
            now: options.clock.now(),
            may_block: false,
        })
    }

    /// Runs work that takes long on a thread which may block.
    pub(crate) async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.may_block {
            // A further thread might not be free before this one is.
            return work(&self.inner);
        }
        let inner = self.inner.clone();
        blocking(move || work(&inner)).await
    }

    /// Makes a change. The closure owns the lock, so that the lock is held until the change
    /// is complete, also if the caller's future is dropped. A flush runs on another thread.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let changed = match self.inner.flushes() {
            false => change(&self.inner),
            true => Box::pin(self.block(change)).await,
        };
        changed.map_err(may_be_made)
    }

    /// Loads a session without adding its file to the cache. A walk goes on after a failure,
    /// so this repeats what a network file system may have lost.
    pub(crate) async fn load_uncached(
        &self,
        id: &SessionId,
    ) -> Result<Option<StoredSession>, StoreError> {
        match self.load_by_name(id).await {
            Err(error) if is_stale(&error) => self.load_by_name(id).await,
            loaded => loaded,
        }
    }

    async fn load_by_name(&self, id: &SessionId) -> Result<Option<StoredSession>, StoreError> {
        let root = &self.inner.root;
        let Some(file) = root.open_record(record_name(id), OpenMode::Read)? else {
            return Ok(None);
        };
        let record = self.read(&file, id).await?;
        record.map(|record| record.session()).transpose()
    }

    /// Creates a session of any version.
    async fn create(
        &self,
        id: &SessionId,
        encode: impl Fn() -> Result<NewState, StoreError>,
    ) -> Result<Version, StoreError> {
        for _ in 0..MAX_LEFTOVERS {
            let Some(file) = self.inner.transactions().create_file(id)? else {
                if self.remove_leftover(id).await? {
                    continue;
                }
                return Err(StoreError::Exists);
            };
            let locked = self.lock(&file, LockKind::Exclusive).await?;
            // Before the lock was taken, another process may have removed the empty file
            // as a leftover: then it has no name, and possibly a tombstone.
            if locked.size()? > 0 || !self.inner.root.is_current(&locked)? {
                continue;
            }
            let (new, id) = (encode()?, *id);
            return self
                .change(move |inner| inner.create(&locked, &id, new))
                .await;
        }
        Err(StoreError::Busy)
    }

    /// Deletes a session whose record cannot be read.
    async fn delete_damaged(&self, id: &SessionId) -> Result<bool, StoreError> {
        use session3_record::Directory as _;
        let name = record_name(id);
        let Some(file) = self.inner.root.open_file(&name, OpenMode::Write)? else {
            return self.delete_absent(id).await;
        };
        let locked = self.lock(&file, LockKind::Exclusive).await?;
        if !self.inner.root.is_current(&locked)? {
            return Err(StoreError::Busy);
        }
        let id = *id;
        self.change(move |inner| {
            inner.root.cache.remove(&id);
            inner.remove_leftover(&locked, &id)?;
            inner.transactions().sync_parent(&id)
        })
        .await?;
        Ok(true)
    }

    /// Answers a delete of a session that is absent. A delete that was interrupted, or
    /// whose flush failed, was never acknowledged and may not be durable yet. With
    /// [`Durability::Disk`](crate::Durability::Disk), the absence is durable before it is
    /// reported.
    async fn delete_absent(&self, id: &SessionId) -> Result<bool, StoreError> {
        if self.inner.flushes() {
            self.remove_leftover(id).await?;
            let id = *id;
            self.change(move |inner| inner.transactions().sync_parent(&id))
                .await?;
        }
        Ok(false)
    }

    /// Removes what a create that never finished, or a delete that was killed, left under
    /// this ID. Returns false if there is a session.
    async fn remove_leftover(&self, id: &SessionId) -> Result<bool, StoreError> {
        use session3_record::Directory as _;
        let name = record_name(id);
        let Some(file) = self.inner.root.open_file(&name, OpenMode::Write)? else {
            return Ok(true);
        };
        let locked = self.lock(&file, LockKind::Exclusive).await?;
        if Record::read(&locked, id)?.is_some() {
            return Ok(false);
        }
        let id = *id;
        self.change(move |inner| inner.remove_leftover(&locked, &id))
            .await?;
        Ok(true)
    }
}

/// The operations of the trait `SessionStore`, which documents them.
impl OpenStore {
    pub async fn setup(&self) -> Result<(), StoreError> {
        if !self.inner.options.read_only {
            sweep::prepare(&self.inner.root);
        }
        Ok(())
    }

    /// Checks that this process may create sessions.
    pub fn check_writable(&self) -> Result<(), StoreError> {
        let checked = self.inner.root.check_access(self.inner.options.read_only);
        checked.map_err(|error| {
            StoreError::Unavailable(format!("the directory cannot be written: {error}"))
        })
    }

    pub async fn create_session(
        &self,
        id: &SessionId,
        state: &SessionState,
    ) -> Result<Version, StoreError> {
        self.inner.check_size(state)?;
        self.create(id, || self.inner.new_state(id, 1, state)).await
    }

    pub async fn load_session(&self, id: &SessionId) -> Result<Option<StoredSession>, StoreError> {
        loop {
            let opened = match self.inner.open_to_load(id, self.now) {
                // A file that this process may not write may still be readable.
                Err(OpenFailure::Denied(_)) => return Box::pin(self.load_uncached(id)).await,
                opened => opened?,
            };
            let Some(opened) = opened else {
                return Ok(None);
            };
            match self.read(&opened.file, id).await? {
                Some(record) => {
                    self.inner.cache(id, &opened);
                    return record.session().map(Some);
                }
                None if opened.is_cached => self.inner.root.cache.remove(id),
                None => return Ok(None),
            }
        }
    }

    pub async fn save_session(
        &self,
        id: &SessionId,
        state: &SessionState,
        expected: Version,
    ) -> Result<Version, StoreError> {
        self.inner.check_size(state)?;
        let (locked, record) = self.lock_version(id, expected).await?;
        let new = self.inner.new_state(id, record.next_version()?, state)?;
        self.change(move |inner| {
            inner.transactions().save(&locked, &record, &new)?;
            Ok(new.version())
        })
        .await
    }

    pub async fn touch_session(
        &self,
        id: &SessionId,
        expires: Timestamp,
        expected: Version,
    ) -> Result<(), StoreError> {
        let (locked, record) = self.lock_version(id, expected).await?;
        self.change(move |inner| {
            let now = inner.options.clock.now();
            inner.transactions().touch(&locked, &record, expires, now)
        })
        .await
    }

    pub async fn delete_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        match self.lock_record(id).await {
            Ok(None) => self.delete_absent(id).await,
            Ok(Some((locked, record))) => {
                let deleted = self.change(move |inner| inner.delete(&locked, &record));
                if deleted.await? == Deleted::Unmarked {
                    // Until then, a load by another process may trust a file that it has open.
                    tokio::time::sleep(Duration::from_millis(NAME_CHECK_INTERVAL)).await;
                }
                Ok(true)
            }
            Err(StoreError::Corrupt(_)) => self.delete_damaged(id).await,
            Err(error) => Err(error),
        }
    }

    pub async fn import_session(
        &self,
        session: &StoredSession,
        expected: Option<Version>,
    ) -> Result<(), StoreError> {
        let StoredSession {
            id,
            version,
            modified,
            state,
        } = session;
        self.inner.check_size(state)?;
        let encode = || NewState::new(id, *version, state, *modified);
        let Some(expected) = expected else {
            return self.create(id, encode).await.map(|_| ());
        };
        let (locked, record) = self.lock_version(id, expected).await?;
        let new = encode()?;
        self.change(move |inner| inner.transactions().import(&locked, &record, &new))
            .await
    }

    pub async fn delete_old_sessions(
        &self,
        minutes: u32,
        limit: Option<Duration>,
    ) -> Result<SweepReport, StoreError> {
        self.block(move |inner| sweep::sweep(inner, minutes, limit))
            .await
    }

    pub async fn iter_sessions(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<SessionPage, StoreError> {
        let mut next = match cursor {
            Some(cursor) => cursor.parse::<SessionId>()?,
            None => SessionId::from(0),
        };
        let mut page = PageBuilder::new(limit);
        for prefix in next.prefix()..=u8::MAX {
            let ids = self.block(move |inner| layout::list(&inner.root, prefix));
            let (ids, _) = ids.await?;
            for id in ids.into_iter().filter(|id| *id >= next) {
                // A large directory must not keep the executor's thread for long.
                consume_budget().await;
                if !page.add(&id, self.load_uncached(&id).await)? {
                    return Ok(page.finish());
                }
            }
            next = SessionId::from(0);
        }
        Ok(page.finish())
    }

    pub async fn sessions_of_user(&self, user: &str) -> Result<Vec<SessionId>, StoreError> {
        let name = user.to_owned();
        let ids = self
            .block(move |inner| index::sessions_of_user(&inner.root, &name))
            .await?;
        let mut sessions = Vec::new();
        for id in ids {
            consume_budget().await;
            let session = match self.load_uncached(&id).await {
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

    pub async fn lock_session(
        &self,
        id: &SessionId,
        time: Duration,
    ) -> Result<SessionLock, StoreError> {
        let exclusive = exclusive::lock(self, id).await?;
        Ok(SessionLock::new(exclusive, time))
    }
}

/// Returns whether a lock on this file system, by the number that Linux gives it, excludes
/// every process that can reach the files. Where another machine or a program in user space
/// serves the files, it need not.
fn locks_bind_all_processes(file_system: u64) -> bool {
    const NFS: u64 = 0x6969;
    const SMB: u64 = 0x517b;
    const CIFS: u64 = 0xff53_4d42;
    const SMB2: u64 = 0xfe53_4d42;
    const FUSE: u64 = 0x6573_5546;
    const V9FS: u64 = 0x0102_1997;
    const CEPH: u64 = 0x00c3_6400;
    const AFS: u64 = 0x5346_414f;
    const CODA: u64 = 0x7375_7245;
    ![NFS, SMB, CIFS, SMB2, FUSE, V9FS, CEPH, AFS, CODA].contains(&file_system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_of_network_and_user_file_systems_are_not_trusted() {
        let (ext4, tmpfs, xfs) = (0xef53, 0x0102_1994, 0x5846_5342);
        assert!([ext4, tmpfs, xfs].into_iter().all(locks_bind_all_processes));
        let (nfs, fuse, plan_9) = (0x6969, 0x6573_5546, 0x0102_1997);
        assert!(
            ![nfs, fuse, plan_9]
                .into_iter()
                .any(locks_bind_all_processes)
        );
    }
}
