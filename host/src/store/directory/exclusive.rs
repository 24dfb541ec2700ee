//! Exclusive requests: a lock of its own for each session, on an empty file
//! `locks/<session ID>` that is there while somebody has or wants it.

use std::sync::Arc;

use tokio::time::Instant;

use super::fs::{Lock, Locked, Open};
use super::{DirectoryStore, Inner};
use crate::store::{SessionId, StoreError};

/// Where the files are.
pub const DIRECTORY: &str = "locks";

/// Gives the lock back and removes its file.
struct Exclusive {
    inner: Arc<Inner>,
    locked: Locked,
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        // What remains, the sweep removes.
        let _ = self.inner.root.unlink(self.locked.name());
    }
}

/// Waits for the lock, for the lock timeout at most.
pub async fn lock(store: &DirectoryStore, id: &SessionId) -> Result<impl Send + use<>, StoreError> {
    let root = &store.inner.root;
    let name = format!("{DIRECTORY}/{id}");
    let start = Instant::now();
    loop {
        let file = match root.open_file(&name, Open::New) {
            Err(failure) if failure.is_missing() => {
                root.make_directory(DIRECTORY)?;
                continue;
            }
            Ok(None) => root.open_file(&name, Open::Write)?,
            file => file?,
        };
        // Whoever had the lock may have removed the file meanwhile.
        let Some(file) = file else { continue };
        // All attempts together, since there may be no end of others.
        let locked = store.wait_for_lock(start, &file, Lock::Exclusive).await?;
        if root.is_current(&locked)? {
            let inner = store.inner.clone();
            return Ok(Exclusive { inner, locked });
        }
    }
}

/// Removes what requests that were killed left.
pub fn sweep(inner: &Inner) -> Result<(), StoreError> {
    let mut ids = Vec::new();
    let take = |name: String| ids.extend(name.parse::<SessionId>());
    inner.root.list(DIRECTORY, take)?;
    for id in &ids {
        if let Err(error) = remove_if_left(inner, id) {
            tracing::warn!(session = %id, %error, "the sweep leaves this lock");
        }
    }
    Ok(())
}

fn remove_if_left(inner: &Inner, id: &SessionId) -> Result<(), StoreError> {
    let name = format!("{DIRECTORY}/{id}");
    if let Some(file) = inner.root.open_file(&name, Open::Write)?
        && let Some(locked) = file.try_lock(Lock::Exclusive)?
        && inner.root.is_current(&locked)?
    {
        inner.root.unlink(locked.name())?;
    }
    Ok(())
}

/// Whether a name is one of a lock's file, or of a lock that the store over
/// WASI's file system has there.
pub fn is_lock(name: &str) -> bool {
    let name = name.trim_end_matches('~');
    let ends = [".change", ".request"].iter();
    let id = ends.filter_map(|end| name.strip_suffix(end)).next();
    name == "sweep" || id.unwrap_or(name).parse::<SessionId>().is_ok()
}
