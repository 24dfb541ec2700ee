//! Walks in pages.

use super::{SessionId, SessionPage, StoreError, StoredSession};

/// Fills a page.
pub struct Paging {
    /// What it holds so far.
    pub page: SessionPage,
    limit: u32,
    /// Bytes of the sessions' users and data, and of what else a row has.
    size: usize,
}

impl Paging {
    /// The most that a page holds, unless a single session is larger.
    const MAX_BYTES: usize = 1 << 20;
    /// What every row has, so that there is an end of empty ones: ID, version,
    /// times.
    const ROW: usize = 128;

    /// At most this many sessions. 0 counts as 1, or a walk would never end.
    pub fn new(limit: u32) -> Self {
        Self {
            page: SessionPage::default(),
            limit: limit.max(1),
            size: 0,
        }
    }

    /// Takes what a load answered; false when it has to go to the next page. A
    /// record that could not be read is no reason to stop; one that is in use
    /// is, since it can be read in a moment.
    pub fn take(
        &mut self,
        id: &SessionId,
        loaded: Result<Option<StoredSession>, StoreError>,
    ) -> Result<bool, StoreError> {
        let size = match &loaded {
            Ok(None) => return Ok(true),
            Ok(Some(session)) => session.state.size(),
            Err(StoreError::Busy) => return Err(StoreError::Busy),
            Err(error) => error.to_string().len(),
        };
        let size = Self::ROW + size;
        let count = self.page.sessions.len() + self.page.damaged.len();
        let is_too_large = count > 0 && self.size + size > Self::MAX_BYTES;
        if count as u64 >= u64::from(self.limit) || is_too_large {
            self.page.next = Some(id.to_string());
            return Ok(false);
        }
        self.size += size;
        match loaded {
            Ok(session) => self.page.sessions.extend(session),
            Err(error) => self.page.damaged.push((*id, error.to_string())),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many rows a page has, if there is no end of them.
    fn fill(loaded: &Result<Option<StoredSession>, StoreError>) -> usize {
        let mut paging = Paging::new(u32::MAX);
        let mut ids = (0..).map(SessionId::from);
        let has_more = ids.find(|id| paging.take(id, loaded.clone()) != Ok(true));
        assert_eq!(paging.page.next, has_more.map(|id| id.to_string()));
        paging.page.sessions.len() + paging.page.damaged.len()
    }

    #[test]
    fn there_is_an_end_of_empty_and_of_damaged_sessions() {
        let empty = StoredSession {
            id: SessionId::from(1),
            version: 1,
            modified: 0,
            state: crate::store::SessionState::default(),
        };
        assert_eq!(fill(&Ok(Some(empty))), (1 << 20) / 128);
        let text = "the record is damaged: ";
        let damaged = StoreError::Corrupt("x".repeat(896 - text.len()));
        assert_eq!(fill(&Err(damaged)), 1 << 10);
    }

    #[test]
    fn what_cannot_be_read_is_named_and_what_is_in_use_fails_the_page() {
        let mut paging = Paging::new(9);
        let id = SessionId::from(1);
        let busy = paging.take(&id, Err(StoreError::Busy));
        assert_eq!(busy, Err(StoreError::Busy));
        assert_eq!(paging.page, SessionPage::default());
        let unreadable = StoreError::Unavailable("why".into());
        assert_eq!(paging.take(&id, Err(unreadable)), Ok(true));
        assert_eq!(paging.page.damaged, [(id, "the store failed: why".into())]);
    }
}
