//! What several commands need: a store that is there, IDs, and all its sessions.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use session3::store::directory::{Durability, OpenError, Options};
use session3::store::{DirectoryStore, SessionId, SessionPage, SessionStore};

use super::progress::Progress;

/// Sessions read before they are shown.
pub const PAGE: u32 = 1000;

/// Opens a store, and never makes one. What an operator changes by hand, a power
/// cut must not take back.
pub fn open(path: &Path) -> Result<DirectoryStore> {
    let options = Options::default().durability(Durability::Disk);
    DirectoryStore::open(path, options).map_err(|error| match error {
        OpenError::Missing(path) => anyhow!(
            "{}: there is no such directory; name one that has sessions",
            path.display()
        ),
        // Its text has its source already.
        error => anyhow!("{error}"),
    })
}

/// A session's ID, as somebody typed it.
pub fn session_id(text: &str) -> Result<SessionId> {
    text.parse().with_context(|| format!("\"{text}\""))
}

/// Reads all sessions of a store, page by page.
pub async fn walk(
    store: &DirectoryStore,
    progress: &Progress,
    mut look: impl FnMut(&SessionPage) -> Result<()>,
) -> Result<()> {
    let (mut cursor, mut seen) = (None, 0);
    loop {
        let page = store.iter_sessions(cursor.as_deref(), PAGE).await?;
        seen += (page.sessions.len() + page.damaged.len()) as u64;
        progress.count(seen);
        look(&page)?;
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}
