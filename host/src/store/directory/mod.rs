//! Sessions in a directory: one file per session, in 256 subdirectories by the
//! first two digits of its ID.
//!
//! `record` documents the bytes, `index` the sessions by user, `fs` is the only
//! module that touches the operating system, and this one has the order of
//! things. The store for other hosts, `guest/store-filesystem`, is built from the
//! same `record`, `index`, `layout` and `position`; it must not have the directory
//! at the same time, since it does not see these locks, nor this store its.
//!
//! - **The directory is a capability.** It is opened once; IDs are checked
//!   before any access; records are opened without following links. Files are
//!   0600, directories 0700.
//! - **A lock per session**, on the session's own file. Saving, touching and
//!   deleting hold it; loading does without it, and takes it only when what it
//!   read was half written. It is held for some microseconds, or for a flush.
//!   Whoever waits for it does not block a thread, and gives up after the lock
//!   timeout.
//! - **Records are written in place**, into the older of two slots, and never
//!   renamed: a kill at any instant loses nothing that was acknowledged. What a
//!   power cut may take back, [`Durability`] says.
//! - **A file without a whole header** is a create that never finished: absent.
//!   Creating a session of the same ID removes it, and so does the sweep.
//! - **Files of sessions in use are kept open**, within a bound. Each time, the
//!   tombstone tells whether the file is still the session's. What somebody
//!   removed or replaced by hand has none: so every change also asks for the
//!   number of links, and a load once a second, as asking takes it as long as
//!   reading.

mod check;
mod durability;
mod exclusive;
mod fs;
mod index;
mod kept;
mod layout;
mod options;
mod position;
mod record;
mod sweep;
mod watch;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::coop::consume_budget;
use tokio::time::Instant;

pub use self::check::{CheckReport, Finding};
pub use self::durability::Durability;
use self::fs::{Lock, Locked, Open, OpenFailure, OpenFile, Root, irregular};
use self::index::Entry;
use self::layout::{parent_of, record_name};
pub use self::options::{OpenError, Options};
use self::record::{EncodedSlot, Record};
pub use self::watch::{Call, Watch};
use super::{
    Paging, SessionId, SessionLock, SessionPage, SessionState, SessionStore, StoreError,
    StoredSession, SweepReport, Timestamp, Version,
};

/// How often a lock is asked for before sleeping in between: whoever holds it
/// needs some microseconds.
const SPINS: u32 = 32;
/// The shortest sleep that tokio's clock knows.
const PAUSE: Duration = Duration::from_millis(1);
/// Leftovers of creates that never finished, each removed, before a new create
/// gives up.
const MAX_LEFTOVERS: u32 = 8;

/// How long a load takes a kept file for the session's, without asking whether it
/// still has a name: milliseconds.
const TRUST: u64 = 1000;

/// More than this no record holds.
pub const MAX_STATE_BYTES: u64 = record::MAX_STATE;

/// Keeps each session in a file of its own. Any number of processes may use one
/// directory.
pub struct DirectoryStore {
    inner: Arc<Inner>,
}

/// What work on another thread needs too.
struct Inner {
    root: Root,
    options: Options,
    is_multiprocess_safe: bool,
}

/// What a session's file is wanted for.
#[derive(Clone, Copy)]
enum Purpose {
    Load,
    Change,
}

/// A session's file.
struct Opened {
    file: Arc<OpenFile>,
    /// It was open already, so the name may lead to another file by now.
    is_kept: bool,
}

impl DirectoryStore {
    /// Opens a directory of sessions.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let failed = |error| OpenError::new(path, error);
        let root = Root::open(path, &options).map_err(failed)?;
        root.check_access(options.read_only).map_err(failed)?;
        let is_multiprocess_safe = locks_bind_everybody(root.file_system().map_err(failed)?);
        let inner = Inner {
            root,
            options,
            is_multiprocess_safe,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Does what takes long on a thread that may block.
    async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = self.inner.clone();
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(StoreError::Unavailable(error.to_string())),
            },
        }
    }

    /// Makes a change under a lock that moves with it, so that the lock is held
    /// to its end even when nobody waits for it any more. A flush takes long.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.inner.options.durability {
            Durability::Process => change(&self.inner),
            Durability::Disk => Box::pin(self.block(change)).await,
        }
    }

    /// A session's file, locked against everybody else, and what is in it.
    async fn lock_record(&self, id: &SessionId) -> Result<Option<(Locked, Record)>, StoreError> {
        while let Some(opened) = self.inner.open_record(id, Purpose::Change)? {
            let locked = self.lock(&opened.file, Lock::Exclusive).await?;
            match read_record(&locked, id)? {
                Some(record) => {
                    self.inner.keep(id, &opened);
                    return Ok(Some((locked, record)));
                }
                None if opened.is_kept => self.inner.root.kept.drop(id),
                None => break,
            }
        }
        Ok(None)
    }

    /// The same, for a change of just that version.
    async fn lock_version(
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

    async fn lock(&self, file: &Arc<OpenFile>, lock: Lock) -> Result<Locked, StoreError> {
        if let Some(locked) = file.try_lock(lock)? {
            return Ok(locked);
        }
        // Seldom. In its own box, what everybody else pays for is smaller.
        Box::pin(self.wait_for_lock(Instant::now(), file, lock)).await
    }

    /// For somebody who has been waiting since `start`.
    async fn wait_for_lock(
        &self,
        start: Instant,
        file: &Arc<OpenFile>,
        lock: Lock,
    ) -> Result<Locked, StoreError> {
        for attempt in 0_u32.. {
            if let Some(locked) = file.try_lock(lock)? {
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

    /// Reads a record, under the lock only if somebody is writing just now.
    async fn read(
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
        let locked = self.lock(file, Lock::Shared).await?;
        read_record(&locked, id)
    }

    /// A session whose file need not be kept open.
    async fn look_at(&self, id: &SessionId) -> Result<Option<StoredSession>, StoreError> {
        let Some(file) = self.inner.root.open_record(record_name(id), Open::Read)? else {
            return Ok(None);
        };
        let record = self.read(&file, id).await?;
        record.map(|record| record.session()).transpose()
    }

    /// Ends a session of which nobody knows more than the name of its file, for
    /// somebody who says so.
    async fn delete_damaged(&self, id: &SessionId) -> Result<bool, StoreError> {
        let file = self.inner.root.open_file(&record_name(id), Open::Write)?;
        let Some(file) = file else {
            return self.delete_nothing(id).await;
        };
        let locked = self.lock(&file, Lock::Exclusive).await?;
        let id = *id;
        self.change(move |inner| {
            inner.root.kept.drop(&id);
            inner.remove_leftover(&locked, &id)?;
            inner.flush_parent(locked.name())
        })
        .await?;
        Ok(true)
    }

    /// That a session is gone may be known to nobody but the system: a delete
    /// that was cut short, or whose flush failed, told nobody. With
    /// [`Durability::Disk`], its end is on the medium before somebody is told.
    async fn delete_nothing(&self, id: &SessionId) -> Result<bool, StoreError> {
        if self.inner.options.durability == Durability::Disk {
            self.remove_leftover(id).await?;
            let name = record_name(id);
            self.change(move |inner| inner.flush_parent(&name)).await?;
        }
        Ok(false)
    }

    /// Removes what a create that never finished, or a delete that was killed,
    /// left under this ID. False when a session is there.
    async fn remove_leftover(&self, id: &SessionId) -> Result<bool, StoreError> {
        let name = record_name(id);
        let Some(file) = self.inner.root.open_file(&name, Open::Write)? else {
            return Ok(true);
        };
        let locked = self.lock(&file, Lock::Exclusive).await?;
        if Record::read(&locked, id)?.is_some() {
            return Ok(false);
        }
        let id = *id;
        self.change(move |inner| inner.remove_leftover(&locked, &id))
            .await?;
        Ok(true)
    }
}

impl Inner {
    /// The file of a session, if there is one.
    fn open_record(&self, id: &SessionId, to: Purpose) -> Result<Option<Opened>, OpenFailure> {
        if let Some(file) = self.root.kept.get(id) {
            let is_linked = match to {
                Purpose::Load => file.was_linked(TRUST, self.options.clock.now())?,
                Purpose::Change => file.is_linked()?,
            };
            if is_linked {
                let is_kept = true;
                return Ok(Some(Opened { file, is_kept }));
            }
            self.root.kept.drop(id);
        }
        let file = self.root.open_record(record_name(id), Open::Write)?;
        let is_kept = false;
        Ok(file.map(|file| Opened { file, is_kept }))
    }

    /// Keeps a file open that has a session in it.
    fn keep(&self, id: &SessionId, opened: &Opened) {
        if !opened.is_kept {
            self.root.kept.keep(id, &opened.file);
        }
    }

    /// An empty file for a session; `None` when there is one.
    fn create_file(&self, id: &SessionId) -> Result<Option<Arc<OpenFile>>, StoreError> {
        let name = record_name(id);
        match self.root.open_file(&name, Open::New) {
            Err(failure) if failure.is_missing() => {
                self.root.make_directory(parent_of(&name))?;
                Ok(self.root.open_file(&name, Open::New)?)
            }
            file => Ok(file?),
        }
    }

    fn create(&self, locked: Locked, id: &SessionId, new: NewState) -> Result<Version, StoreError> {
        let version = new.slot.version();
        let written = self.write_new(&locked, id, new);
        match written {
            Ok(()) => self.root.kept.keep(id, &locked),
            // The error says more than a failure to clean up after it.
            Err(_) => drop(self.remove_leftover(&locked, id)),
        }
        written.map(|()| version)
    }

    fn write_new(&self, locked: &Locked, id: &SessionId, new: NewState) -> Result<(), StoreError> {
        let version = new.slot.version();
        let durability = self.options.durability;
        if let Some(user) = &new.user {
            index::add(&self.root, &Entry::new(user, id), durability)?;
        }
        Record::create(locked, id, new.slot, durability)?;
        if durability == Durability::Disk {
            self.flush_parent(locked.name())?;
            record::note_on_medium(locked, id, version)?;
        }
        Ok(())
    }

    /// With [`Durability::Disk`], makes sure that what is there survives a power
    /// cut, whoever wrote it, before a change builds on it.
    fn bring_to_medium(&self, locked: &Locked, record: &Record) -> Result<(), StoreError> {
        let durability = self.options.durability;
        if durability == Durability::Process || record.is_on_medium()? {
            return Ok(());
        }
        if let Some(user) = record.user()? {
            index::add(&self.root, &Entry::new(user, record.id()), durability)?;
        }
        record.bring_to_medium(locked)?;
        self.flush_parent(locked.name())?;
        record::note_on_medium(locked, record.id(), record.version()?)
    }

    fn touch(
        &self,
        locked: &Locked,
        record: &Record,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        self.bring_to_medium(locked, record)?;
        let Options {
            clock, durability, ..
        } = &self.options;
        record.touch(locked, expires, clock.now(), *durability)
    }

    fn save(&self, locked: Locked, record: &Record, new: NewState) -> Result<Version, StoreError> {
        let durability = self.options.durability;
        self.bring_to_medium(&locked, record)?;
        let before = record.user()?;
        if before == new.user.as_deref() {
            record.save(&locked, &new.slot, durability)?;
            return Ok(new.slot.version());
        }
        let id = record.id();
        if let Some(user) = &new.user {
            index::add(&self.root, &Entry::new(user, id), durability)?;
        }
        record.save(&locked, &new.slot, durability)?;
        self.remove_entry(before, id);
        Ok(new.slot.version())
    }

    fn delete(&self, locked: Locked, record: &Record) -> Result<(), StoreError> {
        self.root.kept.drop(record.id());
        self.bury(&locked, record.id())?;
        // Of a record without a whole slot, nobody knows the user.
        self.remove_entry(record.user().unwrap_or_default(), record.id());
        self.root.unlink(locked.name())?;
        self.flush_parent(locked.name())
    }

    /// With [`Durability::Disk`], makes sure that a record, or that there is
    /// none, survives a power cut: before an entry of the index goes, which the
    /// state before it may need.
    fn make_sure(&self, locked: &Locked, id: &SessionId) -> Result<(), StoreError> {
        match Record::read(locked, id)? {
            Some(record) => self.bring_to_medium(locked, &record),
            None => {
                self.bury(locked, id)?;
                self.flush_parent(locked.name())
            }
        }
    }

    /// Ends what is in a file whose lock is held, so that whoever has it open
    /// finds it. With [`Durability::Disk`], for good.
    fn bury(&self, locked: &Locked, id: &SessionId) -> Result<(), StoreError> {
        Record::bury(locked, id)?;
        match self.options.durability {
            Durability::Process => Ok(()),
            Durability::Disk => record::flush(locked),
        }
    }

    /// What remains is surplus: answers leave it out, and the sweep removes it.
    fn remove_entry(&self, user: Option<&str>, id: &SessionId) {
        if let Some(user) = user {
            let _ = index::remove(&self.root, &Entry::new(user, id));
        }
    }

    /// Removes a file without a session, whose lock is held. Somebody else may
    /// have removed it, and made a session, while this one waited for the lock.
    ///
    /// With [`Durability::Disk`], the tombstone is on the medium before the name
    /// goes: so a name that is gone, other than by a sweep, is enough for the
    /// entries of the index to go.
    fn remove_leftover(&self, locked: &Locked, id: &SessionId) -> Result<(), StoreError> {
        if self.root.is_current(locked)? {
            self.bury(locked, id)?;
            self.root.unlink(locked.name())?;
        }
        Ok(())
    }

    /// With [`Durability::Disk`], brings to the medium which sessions there are
    /// in a subdirectory.
    fn flush_directory(&self, name: &str) -> Result<(), StoreError> {
        if self.options.durability == Durability::Process {
            return Ok(());
        }
        match self.root.flush_directory(name) {
            // There never were any.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            flushed => Ok(flushed?),
        }
    }

    fn flush_parent(&self, name: &str) -> Result<(), StoreError> {
        self.flush_directory(parent_of(name))
    }

    fn check_size(&self, state: &SessionState) -> Result<(), StoreError> {
        let limit = self.options.max_state_bytes;
        if state.size() as u64 > limit {
            return Err(StoreError::TooLarge(limit));
        }
        Ok(())
    }
}

/// A state that is ready to be written.
struct NewState {
    slot: EncodedSlot,
    user: Option<String>,
}

impl NewState {
    fn new(
        id: &SessionId,
        version: Version,
        state: &SessionState,
        options: &Options,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            slot: EncodedSlot::new(id, version, state, options.clock.now())?,
            user: state.user.clone(),
        })
    }
}

#[async_trait]
impl SessionStore for DirectoryStore {
    async fn setup(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn create_session(
        &self,
        id: &SessionId,
        state: &SessionState,
    ) -> Result<Version, StoreError> {
        self.inner.check_size(state)?;
        for _ in 0..MAX_LEFTOVERS {
            let Some(file) = self.inner.create_file(id)? else {
                if self.remove_leftover(id).await? {
                    continue;
                }
                return Err(StoreError::Exists);
            };
            let locked = self.lock(&file, Lock::Exclusive).await?;
            // Between opening and locking, the empty file may have been taken
            // for a leftover: then it has a tombstone, and no name any more.
            if !locked.is_new()? {
                continue;
            }
            let new = NewState::new(id, 1, state, &self.inner.options)?;
            let id = *id;
            return self
                .change(move |inner| inner.create(locked, &id, new))
                .await;
        }
        Err(StoreError::Busy)
    }

    async fn load_session(&self, id: &SessionId) -> Result<Option<StoredSession>, StoreError> {
        loop {
            let opened = match self.inner.open_record(id, Purpose::Load) {
                // What may not be written may be read.
                Err(failure) if failure.is_denied() => return Box::pin(self.look_at(id)).await,
                opened => opened?,
            };
            let Some(opened) = opened else {
                return Ok(None);
            };
            match self.read(&opened.file, id).await? {
                Some(record) => {
                    self.inner.keep(id, &opened);
                    return record.session().map(Some);
                }
                None if opened.is_kept => self.inner.root.kept.drop(id),
                None => return Ok(None),
            }
        }
    }

    async fn save_session(
        &self,
        id: &SessionId,
        state: &SessionState,
        expected: Version,
    ) -> Result<Version, StoreError> {
        self.inner.check_size(state)?;
        let (locked, record) = self.lock_version(id, expected).await?;
        let new = NewState::new(id, record.next_version()?, state, &self.inner.options)?;
        self.change(move |inner| inner.save(locked, &record, new))
            .await
    }

    async fn touch_session(
        &self,
        id: &SessionId,
        expires: Timestamp,
        expected: Version,
    ) -> Result<(), StoreError> {
        let (locked, record) = self.lock_version(id, expected).await?;
        self.change(move |inner| inner.touch(&locked, &record, expires))
            .await
    }

    async fn delete_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        match self.lock_record(id).await {
            Ok(None) => self.delete_nothing(id).await,
            Ok(Some((locked, record))) => {
                let deleted = self.change(move |inner| inner.delete(locked, &record));
                deleted.await.map(|()| true)
            }
            Err(StoreError::Corrupt(_)) => self.delete_damaged(id).await,
            Err(error) => Err(error),
        }
    }

    async fn delete_old_sessions(
        &self,
        minutes: u32,
        limit: Option<Duration>,
    ) -> Result<SweepReport, StoreError> {
        self.block(move |inner| sweep::sweep(inner, minutes, limit))
            .await
    }

    async fn iter_sessions(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<SessionPage, StoreError> {
        let mut next = match cursor {
            Some(cursor) => cursor.parse::<SessionId>()?,
            None => SessionId::from(0),
        };
        let mut paging = Paging::new(limit);
        for prefix in next.prefix()..=u8::MAX {
            let ids = self.block(move |inner| layout::list(&inner.root, prefix));
            let (ids, _) = ids.await?;
            for id in ids.into_iter().filter(|id| *id >= next) {
                // There may be a great many.
                consume_budget().await;
                if !paging.take(&id, self.look_at(&id).await)? {
                    return Ok(paging.page);
                }
            }
            next = SessionId::from(0);
        }
        Ok(paging.page)
    }

    async fn sessions_of_user(&self, user: &str) -> Result<Vec<SessionId>, StoreError> {
        let name = user.to_owned();
        let ids = self
            .block(move |inner| index::sessions_of(&inner.root, &name))
            .await?;
        let mut sessions = Vec::new();
        for id in ids {
            consume_budget().await;
            let session = match self.look_at(&id).await {
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

    async fn lock_session(
        &self,
        id: &SessionId,
        time: Duration,
    ) -> Result<SessionLock, StoreError> {
        let exclusive = exclusive::lock(self, id).await?;
        Ok(SessionLock::new(exclusive, time))
    }

    fn is_multiprocess_safe(&self) -> bool {
        self.inner.is_multiprocess_safe
    }

    fn is_thread_safe(&self) -> bool {
        true
    }
}

/// Reads a session's file that was opened without asking what it is: what has no
/// session in it may be a device.
fn read_record(file: &OpenFile, id: &SessionId) -> Result<Option<Record>, StoreError> {
    match Record::read(file, id)? {
        None if !file.is_regular()? => Err(irregular()),
        record => Ok(record),
    }
}

/// Whether a lock on this file system, by the number that Linux gives it, keeps
/// away everybody who can reach the files. Where another machine or a program
/// of the user's serves the files, it need not.
fn locks_bind_everybody(file_system: u64) -> bool {
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
    fn a_device_or_a_directory_is_no_session_however_it_reads() {
        let root = Root::open(Path::new("/dev"), &Options::default()).expect("it is there");
        let refused = |error: StoreError| assert_eq!(error.to_string(), irregular().to_string());
        // Zeros for ever, the end at once, an error.
        for name in ["zero", "null", "."] {
            let file = root.open_record(name.into(), Open::Read).expect("it opens");
            let file = file.expect("it is there");
            refused(read_record(&file, &SessionId::from(1)).expect_err("no file"));
            let file = root.open_file(name, Open::Read);
            refused(file.map(drop).expect_err("no file").into());
        }
    }

    #[test]
    fn locks_of_network_and_user_file_systems_are_not_trusted() {
        let (ext4, tmpfs, xfs) = (0xef53, 0x0102_1994, 0x5846_5342);
        assert!([ext4, tmpfs, xfs].into_iter().all(locks_bind_everybody));
        let (nfs, fuse, plan_9) = (0x6969, 0x6573_5546, 0x0102_1997);
        assert!(![nfs, fuse, plan_9].into_iter().any(locks_bind_everybody));
    }
}
