//! What several commands need: a store that is there, IDs, and all its sessions.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use session3::store::directory::{Durability, OpenError, Options};
use session3::store::{DirectoryStore, SessionId, SessionPage, SessionStore};
use session3::{Administration, SessionError, SessionManager};

use super::output::Content;
use super::progress::Progress;
use super::serving::cache_directory;

/// Sessions read before they are shown.
pub const PAGE: u32 = 1000;

/// Opens a store, and never makes one. What an operator changes by hand, a power
/// cut must not take back.
pub fn open(path: &Path) -> Result<Arc<DirectoryStore>> {
    open_with(path, Options::default().durability(Durability::Disk))
}

/// Opens a store of which nothing is to be changed: it may be a snapshot.
pub fn open_to_look(path: &Path) -> Result<Arc<DirectoryStore>> {
    open_with(path, Options::default().read_only(true))
}

fn open_with(path: &Path, options: Options) -> Result<Arc<DirectoryStore>> {
    DirectoryStore::open(path, options)
        .map(Arc::new)
        .map_err(|error| match error {
            OpenError::Missing(path) => anyhow!(
                "{}: there is no such directory; name one that has sessions",
                path.display()
            ),
            // Its text has its source already.
            error => anyhow!("{error}"),
        })
}

/// What the manager says of the sessions of a store, which it alone can read.
pub async fn administration(store: Arc<DirectoryStore>) -> Result<Administration> {
    let manager = SessionManager::builder(store)
        .cache(cache_directory().as_deref())
        .build();
    Ok(Administration::new(manager.await?))
}

/// What is in a session; `None` when it is gone meanwhile.
pub async fn content(
    administration: &Administration,
    id: &SessionId,
) -> Result<Option<Content>, SessionError> {
    match administration.session(id).await {
        Ok(info) => Ok(info.map(Ok)),
        Err(SessionError::Store(why)) => Ok(Some(Err(why))),
        Err(error) => Err(error),
    }
}

/// A session's ID, as somebody typed it.
pub fn session_id(text: &str) -> Result<SessionId> {
    text.parse().with_context(|| format!("\"{text}\""))
}

/// Reads all sessions of a store, page by page.
pub async fn walk(
    store: &DirectoryStore,
    progress: &Progress,
    mut look: impl AsyncFnMut(&SessionPage) -> Result<()>,
) -> Result<()> {
    let (mut cursor, mut seen) = (None, 0);
    loop {
        let page = store.iter_sessions(cursor.as_deref(), PAGE).await?;
        seen += (page.sessions.len() + page.damaged.len()) as u64;
        progress.count(seen);
        look(&page).await?;
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}
