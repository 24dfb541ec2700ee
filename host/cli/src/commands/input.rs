//! What several commands read: files, session IDs, and all sessions of a store.

use std::fs::{Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::fs::OFlags;
use session3::store::{Maintenance, SessionId, SessionPage, SessionStore};
use session3::{Administration, SessionError, SessionManager};

use super::cache::Cache;
use super::output::Content;
use super::progress::Progress;

/// The number of sessions that are read at a time.
pub const PAGE: u32 = 1000;

/// Returns the administration of the sessions of a store. It runs the session manager, the
/// only component that can decode the data of sessions.
pub async fn administration(store: Arc<dyn Maintenance>, cache: &Cache) -> Result<Administration> {
    let manager = SessionManager::builder(store)
        .cache(cache.directory().as_deref())
        // The administration calls one function at a time.
        .max_sessions(1)
        .build();
    // Only the text is kept: it includes the cause, which `{error:#}` would print again.
    let manager = manager.await.map_err(|error| anyhow!("{error}"))?;
    Ok(Administration::new(manager))
}

/// Returns the content of a session; `None` if the session was deleted meanwhile.
pub async fn content(
    administration: &Administration,
    id: &SessionId,
) -> Result<Option<Content>, SessionError> {
    match administration.session(id).await {
        Ok(info) => Ok(info.map(Ok)),
        Err(SessionError::Store(reason)) => Ok(Some(Err(reason))),
        Err(error) => Err(error),
    }
}

/// Reads a regular file. Anything else is refused, since reading a FIFO would wait for its
/// writer, and a device may have no end.
pub fn read(file: &Path) -> Result<Vec<u8>> {
    Ok(read_with_metadata(file)?.0)
}

/// Reads a regular file in UTF-8. The error begins with the name of the file.
pub fn read_text(file: &Path) -> Result<String> {
    let text = read(file).and_then(|bytes| String::from_utf8(bytes).context("it is not UTF-8"));
    text.with_context(|| file.display().to_string())
}

/// Reads a regular file, and returns whose it is as well.
pub fn read_with_metadata(file: &Path) -> Result<(Vec<u8>, Metadata)> {
    // Without this flag, opening a FIFO waits as well.
    let flags = OFlags::NONBLOCK.bits().try_into()?;
    let mut options = OpenOptions::new();
    let opened = options.read(true).custom_flags(flags).open(file);
    let mut opened = opened.context("cannot be read")?;
    let metadata = opened.metadata().context("cannot be read")?;
    ensure!(
        metadata.is_file(),
        "cannot be read: it is not a regular file"
    );
    let mut bytes = Vec::new();
    opened.read_to_end(&mut bytes).context("cannot be read")?;
    Ok((bytes, metadata))
}

/// Reads the file of a component, and returns whose it is as well. The error names the file.
pub fn read_component(file: &Path) -> Result<(Vec<u8>, Metadata)> {
    let name = file.display();
    match file.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("{name}: there is no such file: build the component first, or correct the path")
        }
        Ok(metadata) if metadata.is_dir() => {
            bail!("{name}: it is a directory: name the file of the component in it")
        }
        _ => read_with_metadata(file).with_context(|| name.to_string()),
    }
}

/// Parses a session ID from the command line.
pub fn session_id(text: &str) -> Result<SessionId> {
    text.parse().with_context(|| format!("\"{text}\""))
}

/// Reads all sessions of a store, and calls `visit` with each page of them.
pub async fn for_each_page(
    store: &dyn SessionStore,
    progress: &Progress,
    mut visit: impl AsyncFnMut(&SessionPage) -> Result<()>,
) -> Result<()> {
    let (mut cursor, mut visited) = (None, 0);
    loop {
        let page = store.iter_sessions(cursor.as_deref(), PAGE).await?;
        visited += (page.sessions.len() + page.damaged.len()) as u64;
        progress.count(visited);
        visit(&page).await?;
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}
