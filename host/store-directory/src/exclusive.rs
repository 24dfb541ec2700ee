//! The locks of exclusive requests: for each session a file `locks/<session ID>`, which
//! exists while a request holds the lock or waits for it.
//!
//! The requests of one process [queue](session3_store::queue), and only the first of them tries to
//! lock the file. If it has to wait, it marks the file by giving it a size. A process that
//! finds a marked file free lets the waiting ones try first: otherwise a process whose own
//! requests follow each other would leave nothing to the others.

use std::sync::Arc;

use session3_record::{Directory, LockedFile as _, OpenFailure, OpenMode, RecordFile as _};
use session3_store::queue::Turn;
use session3_store::{SessionId, StoreError};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::fs::{LockKind, Locked, OpenFile, Root};
use crate::inner::Inner;
use crate::locking::Pauses;
use crate::open_store::OpenStore;

/// The name of the directory that the files are in.
pub const DIRECTORY: &str = "locks";

/// The size of a file that another process waits for.
const MARK: u64 = 1;

/// Releases the lock and removes its file when it is dropped. A disk that stalls does not
/// block the thread that drops this.
struct Exclusive(Option<Held>);

struct Held {
    inner: Arc<Inner>,
    locked: Locked,
    /// Ends after the lock is released, so that the next request of this process finds the
    /// file free.
    _turn: Turn,
}

impl Held {
    fn release(self) {
        if !is_marked(&self.locked) {
            // If this fails, the sweep removes the file.
            let _ = self.inner.root.remove_file(self.locked.name());
        }
    }
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        let Some(held) = self.0.take() else {
            return;
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(|| held.release())),
            Err(_) => held.release(),
        }
    }
}

/// Waits for the lock of a session until the lock timeout.
pub async fn lock(store: &OpenStore, id: &SessionId) -> Result<impl Send + use<>, StoreError> {
    let start = Instant::now();
    let inner = store.inner.clone();
    let turn = inner
        .queues
        .wait(id, inner.options.lock_timeout)
        .await
        .ok_or(StoreError::Busy)?;
    let locked = lock_file(store, id, start).await?;
    Ok(Exclusive(Some(Held {
        inner,
        locked,
        _turn: turn,
    })))
}

/// Waits for the lock of a session's file until the lock timeout, which began at `start`.
async fn lock_file(
    store: &OpenStore,
    id: &SessionId,
    start: Instant,
) -> Result<Locked, StoreError> {
    let mut pauses = Pauses::new(start, store.inner.options.lock_timeout);
    let (id, mut has_waited) = (*id, false);
    loop {
        let attempt = store.block(move |inner| try_lock_file(&inner.root, &id, has_waited));
        match attempt.await? {
            Attempt::Locked(locked) => return Ok(locked),
            Attempt::Again => continue,
            Attempt::GiveWay => pauses.lengthen(),
            Attempt::Wait => {}
        }
        pauses.wait().await?;
        has_waited = true;
    }
}

/// What came of an attempt to lock a file.
enum Attempt {
    /// It is locked.
    Locked(Locked),
    /// The previous holder has removed the file meanwhile.
    Again,
    /// It is free, and another process waits for it.
    GiveWay,
    /// Another process has locked it.
    Wait,
}

/// Tries to lock the file of a session. A request that `has_waited` does not give way to another one.
fn try_lock_file(root: &Root, id: &SessionId, has_waited: bool) -> Result<Attempt, StoreError> {
    let file = open(root, &format!("{DIRECTORY}/{id}"))?;
    let Some(locked) = Locked::try_new(&file, LockKind::Exclusive)? else {
        // Without the mark, as on a full disk, this request only waits longer.
        let _ = file.resize(MARK);
        return Ok(Attempt::Wait);
    };
    if !root.is_current(&locked)? {
        return Ok(Attempt::Again);
    }
    if !is_marked(&locked) {
        return Ok(Attempt::Locked(locked));
    }
    if has_waited {
        // Those that still wait mark the file again.
        let _ = locked.truncate();
        return Ok(Attempt::Locked(locked));
    }
    Ok(Attempt::GiveWay)
}

/// Opens the file of a lock, and creates it if it is missing.
fn open(root: &Root, name: &str) -> Result<Arc<OpenFile>, StoreError> {
    loop {
        let created = match root.open_file(name, OpenMode::Create) {
            Err(OpenFailure::NoDirectory(_)) => {
                root.create_directory(DIRECTORY)?;
                continue;
            }
            created => created?,
        };
        let file = match created {
            Some(file) => Some(file),
            None => root.open_file(name, OpenMode::Write)?,
        };
        // The previous holder may have removed the file between the two calls.
        if let Some(file) = file {
            return Ok(file);
        }
    }
}

/// Returns whether another process waits for the lock. If that is not known, none does.
fn is_marked(locked: &Locked) -> bool {
    locked.size().is_ok_and(|size| size > 0)
}

/// Removes the files of requests that were killed.
pub fn sweep(inner: &Inner) -> Result<(), StoreError> {
    let mut ids = Vec::new();
    inner.root.list(DIRECTORY, &mut |name| {
        ids.extend(name.parse::<SessionId>());
    })?;
    for id in &ids {
        if let Err(error) = remove_if_unused(inner, id) {
            tracing::warn!(session = %id, %error, "the sweep leaves this lock");
        }
    }
    Ok(())
}

fn remove_if_unused(inner: &Inner, id: &SessionId) -> Result<(), StoreError> {
    let name = format!("{DIRECTORY}/{id}");
    if let Some(file) = inner.root.open_file(&name, OpenMode::Write)?
        && let Some(locked) = Locked::try_new(&file, LockKind::Exclusive)?
        && inner.root.is_current(&locked)?
    {
        inner.root.remove_file(locked.name())?;
    }
    Ok(())
}

/// Returns whether a name belongs to the file of a lock: of this store, or of the component
/// `session3-store-filesystem`.
pub fn is_lock(name: &str) -> bool {
    let name = name.trim_end_matches('~');
    let ends = [".change", ".request"].iter();
    let id = ends.filter_map(|end| name.strip_suffix(end)).next();
    name == "sweep" || id.unwrap_or(name).parse::<SessionId>().is_ok()
}
