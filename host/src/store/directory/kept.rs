//! Files of sessions in use, kept open: a load is one read then, and a save
//! saves opening and closing.
//!
//! A file whose session another process deleted, or this one just when it was
//! loaded, is found out the next time; until then, or until others take its
//! place, it takes room on the disk. No more than the bound does, so that a load
//! does not look once more for that.

use std::sync::Arc;

use quick_cache::sync::Cache;
use rustix::process::{Resource, getrlimit};

use super::fs::OpenFile;
use crate::store::SessionId;

/// More than this does not pay.
const MOST: u64 = 1024;

/// A bounded number of open files.
pub struct KeptFiles {
    files: Cache<SessionId, Arc<OpenFile>>,
}

impl KeptFiles {
    /// Keeps at most this many.
    pub fn new(most: usize) -> Self {
        Self {
            files: Cache::new(most),
        }
    }

    /// The file of a session, which may have been unlinked since.
    pub fn get(&self, id: &SessionId) -> Option<Arc<OpenFile>> {
        self.files.get(id)
    }

    /// Keeps a file for the next time.
    pub fn keep(&self, id: &SessionId, file: &Arc<OpenFile>) {
        self.files.insert(*id, file.clone());
    }

    /// Keeps it no longer.
    pub fn drop(&self, id: &SessionId) {
        self.files.remove(id);
    }

    /// Gives all file descriptors back, for others that need them.
    pub fn drop_all(&self) {
        self.files.clear();
    }
}

/// A quarter of what this process may have open: the rest is for connections.
pub fn default_limit() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(MOST * 4);
    usize::try_from((limit / 4).min(MOST)).unwrap_or(0)
}
