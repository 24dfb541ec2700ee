//! The locks of exclusive requests: for each session a file `locks/<session ID>`, which
//! exists while a request holds the lock or waits for it.
//!
//! The requests of one process [queue](crate::queue), and only the first of them tries to
//! lock the file. If it has to wait, it marks the file by giving it a size. A process that
//! finds a marked file free lets the waiting ones try first: otherwise a process whose own
//! requests follow each other would leave nothing to the others.

use std::sync::Arc;

use session3_record::{Directory, LockedFile as _, OpenFailure, OpenMode, RecordFile as _};
use session3_store::{SessionId, StoreError};
use tokio::time::Instant;

use crate::fs::{LockKind, Locked, OpenFile, Root};
use crate::inner::Inner;
use crate::locking::Pauses;
use crate::open_store::OpenStore;
use crate::queue::Turn;

/// The name of the directory that the files are in.
pub const DIRECTORY: &str = "locks";

/// The size of a file that another process waits for.
const MARK: u64 = 1;

/// Releases the lock and removes its file when it is dropped.
struct Exclusive {
    inner: Arc<Inner>,
    locked: Locked,
    /// Ends after the lock is released, so that the next request of this process finds the
    /// file free.
    _turn: Turn,
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        if is_marked(&self.locked) {
            return;
        }
        // If this fails, the sweep removes the file.
        let _ = self.inner.root.remove_file(self.locked.name());
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
    let locked = lock_file(&inner, id, start).await?;
    Ok(Exclusive {
        inner,
        locked,
        _turn: turn,
    })
}

/// Waits for the lock of a session's file until the lock timeout, which began at `start`.
async fn lock_file(inner: &Inner, id: &SessionId, start: Instant) -> Result<Locked, StoreError> {
    let root = &inner.root;
    let name = format!("{DIRECTORY}/{id}");
    let mut pauses = Pauses::new(start, inner.options.lock_timeout);
    let mut has_waited = false;
    loop {
        let file = open(root, &name)?;
        match Locked::try_new(&file, LockKind::Exclusive)? {
            // The previous holder may have removed the file meanwhile.
            Some(locked) if !root.is_current(&locked)? => continue,
            Some(locked) if !is_marked(&locked) => return Ok(locked),
            Some(locked) if has_waited => {
                // Those that still wait mark the file again.
                let _ = locked.truncate();
                return Ok(locked);
            }
            Some(locked) => {
                drop(locked);
                pauses.lengthen();
            }
            // Without the mark, as on a full disk, this request only waits longer.
            None => drop(file.resize(MARK)),
        }
        pauses.wait().await?;
        has_waited = true;
    }
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
