//! The file descriptor cache: files of active sessions stay open, so that a load is one
//! read, and a save needs no open and close.
//!
//! A cached file may belong to a session that another process has deleted. Until the cache
//! drops the file, it takes space on the disk. The next access to the session, a sweep by this
//! process, or a call that fails for lack of space drops it.

use std::sync::Arc;

use quick_cache::sync::Cache;
use rustix::process::{Resource, getrlimit};
use session3_store::SessionId;

use crate::fs::OpenFile;

/// The largest default size. More files bring no measurable gain.
const MAX_DEFAULT: u64 = 1024;

/// A bounded number of open files.
pub struct DescriptorCache {
    files: Cache<SessionId, Arc<OpenFile>>,
}

impl DescriptorCache {
    /// Creates a cache of at most `limit` files.
    pub fn new(limit: usize) -> Self {
        Self {
            files: Cache::new(limit),
        }
    }

    /// Returns the file of a session. It may have been unlinked since.
    pub fn get(&self, id: &SessionId) -> Option<Arc<OpenFile>> {
        self.files.get(id)
    }

    /// Adds the file of a session.
    pub fn insert(&self, id: &SessionId, file: &Arc<OpenFile>) {
        self.files.insert(*id, file.clone());
    }

    /// Drops the file of a session.
    pub fn remove(&self, id: &SessionId) {
        self.files.remove(id);
    }

    /// Drops all files, when their file descriptors or their space are needed elsewhere.
    pub fn clear(&self) {
        self.files.clear();
    }
}

/// Returns the default size: a quarter of the file descriptors of this process. The rest
/// is for connections.
pub fn default_limit() -> usize {
    let limit = getrlimit(Resource::Nofile)
        .current
        .unwrap_or(MAX_DEFAULT * 4);
    usize::try_from((limit / 4).min(MAX_DEFAULT)).unwrap_or(0)
}
