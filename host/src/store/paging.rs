//! Walks in pages.

use super::{SessionId, SessionPage, StoreError, StoredSession};

/// Fills a page.
pub struct Paging {
    /// What it holds so far.
    pub page: SessionPage,
    limit: u32,
    /// Bytes of the sessions' users and data.
    size: usize,
}

impl Paging {
    /// The most that a page holds, unless a single session is larger.
    const MAX_BYTES: usize = 1 << 20;

    /// At most this many sessions. 0 counts as 1, or a walk would never end.
    pub fn new(limit: u32) -> Self {
        Self {
            page: SessionPage::default(),
            limit: limit.max(1),
            size: 0,
        }
    }

    /// Takes what a load answered; false when it has to go to the next page.
    pub fn take(
        &mut self,
        id: &SessionId,
        loaded: Result<Option<StoredSession>, StoreError>,
    ) -> bool {
        let size = match &loaded {
            Ok(None) => return true,
            Ok(Some(session)) => session.state.size(),
            Err(_) => 0,
        };
        let count = self.page.sessions.len() + self.page.damaged.len();
        let is_too_large = count > 0 && self.size + size > Self::MAX_BYTES;
        if count as u64 >= u64::from(self.limit) || is_too_large {
            self.page.next = Some(id.to_string());
            return false;
        }
        self.size += size;
        match loaded {
            Ok(session) => self.page.sessions.extend(session),
            Err(error) => self.page.damaged.push((*id, error.to_string())),
        }
        true
    }
}
