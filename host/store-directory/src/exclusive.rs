//! The locks of exclusive requests: for each session an empty file `locks/<session ID>`,
//! which exists while a request holds the lock or waits for it.

use std::sync::Arc;

use session3_record::{Directory, OpenFailure, OpenMode};
use session3_store::{SessionId, StoreError};
use tokio::time::Instant;

use crate::DirectoryStore;
use crate::fs::{LockKind, Locked};
use crate::inner::Inner;

/// The name of the directory that the files are in.
pub const DIRECTORY: &str = "locks";

/// Releases the lock and removes its file when it is dropped.
struct Exclusive {
    inner: Arc<Inner>,
    locked: Locked,
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        // If this fails, the sweep removes the file.
        let _ = self.inner.root.remove_file(self.locked.name());
    }
}

/// Waits for the lock of a session until the lock timeout.
pub async fn lock(store: &DirectoryStore, id: &SessionId) -> Result<impl Send + use<>, StoreError> {
    let root = &store.inner.root;
    let name = format!("{DIRECTORY}/{id}");
    let start = Instant::now();
    loop {
        let file = match root.open_file(&name, OpenMode::Create) {
            Err(OpenFailure::NoDirectory(_)) => {
                root.create_directory(DIRECTORY)?;
                continue;
            }
            Ok(None) => root.open_file(&name, OpenMode::Write)?,
            file => file?,
        };
        // The previous holder may have removed the file meanwhile.
        let Some(file) = file else { continue };
        // The timeout covers all attempts: each one may meet another holder.
        let locked = store
            .wait_for_lock(start, &file, LockKind::Exclusive)
            .await?;
        if root.is_current(&locked)? {
            let inner = store.inner.clone();
            return Ok(Exclusive { inner, locked });
        }
    }
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
