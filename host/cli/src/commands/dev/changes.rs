//! The changes of an application's files.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher, recommended_watcher};

/// How long no file may change until the changes count as complete. An editor that saves a file
/// makes several changes.
const QUIET: Duration = Duration::from_millis(100);

/// Tells when files change.
pub struct Changes {
    /// Watches as long as it exists.
    _watcher: RecommendedWatcher,
    changed: Receiver<()>,
}

impl Changes {
    /// Begins to watch files, and directories with all that they contain.
    ///
    /// # Errors
    ///
    /// If a path does not exist, or the system cannot watch it.
    pub fn watch(paths: &[PathBuf]) -> Result<Self> {
        let (sender, changed) = channel();
        let absolute: Vec<PathBuf> = paths
            .iter()
            .map(|path| {
                path.canonicalize()
                    .with_context(|| format!("{}: cannot be watched", path.display()))
            })
            .collect::<Result<_>>()?;
        let watched = absolute.clone();
        let mut watcher = recommended_watcher(move |event: notify::Result<Event>| {
            // An error may have hidden a change.
            if event.map_or(true, |event| is_change(&event, &watched)) {
                // This fails only if the program ends.
                let _ = sender.send(());
            }
        })
        .context("files cannot be watched")?;
        for path in &absolute {
            // Editors replace a file by another one: its directory notices that.
            let (place, mode) = match path.parent() {
                Some(parent) if path.is_file() => (parent, RecursiveMode::NonRecursive),
                _ => (path.as_path(), RecursiveMode::Recursive),
            };
            watcher
                .watch(place, mode)
                .with_context(|| format!("{}: cannot be watched", path.display()))?;
        }
        Ok(Self {
            _watcher: watcher,
            changed,
        })
    }

    /// Waits for a change, and until the changes are complete.
    pub fn wait(&self) {
        // The sender lives as long as the watcher.
        let _ = self.changed.recv();
        while self.changed.recv_timeout(QUIET) != Err(RecvTimeoutError::Timeout) {}
    }
}

/// Returns whether an event changes one of the paths, or something below. Reading a file does
/// not.
fn is_change(event: &Event, watched: &[PathBuf]) -> bool {
    let is_change = match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    };
    let is_watched = |path: &PathBuf| watched.iter().any(|watched| contains(watched, path));
    is_change && (event.paths.is_empty() || event.paths.iter().any(is_watched))
}

/// Returns whether a path is another one, or is below it. Hidden files, such as those of editors,
/// do not count.
fn contains(watched: &Path, path: &Path) -> bool {
    path.strip_prefix(watched).is_ok_and(|below| {
        let is_hidden = |part: &std::ffi::OsStr| part.as_encoded_bytes().starts_with(b".");
        !below.iter().any(is_hidden)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_is_replaced_by_another_has_changed() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("app.py");
        fs::write(&file, "1").expect("a file");
        let changes = Changes::watch(std::slice::from_ref(&file)).expect("watched");
        for content in ["2", "3"] {
            let new = directory.path().join("new");
            fs::write(&new, content).expect("a file");
            fs::rename(&new, &file).expect("renamed");
            changes.wait();
        }
    }

    #[test]
    fn neighbours_and_hidden_files_do_not_count() {
        assert!(contains(Path::new("/a/b"), Path::new("/a/b/c")));
        assert!(contains(Path::new("/a/b"), Path::new("/a/b")));
        assert!(!contains(Path::new("/a/b"), Path::new("/a/c")));
        assert!(!contains(Path::new("/a/b"), Path::new("/a/b/.c.swp")));
    }

    #[test]
    fn a_missing_path_is_named() {
        let error = Changes::watch(&["nowhere".into()]).err().expect("an error");
        assert!(format!("{error:#}").starts_with("nowhere: cannot be watched: "));
    }
}
