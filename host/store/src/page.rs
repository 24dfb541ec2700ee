//! Building the pages of a walk through all sessions.

use crate::{SessionId, SessionPage, StoreError, StoredSession};

/// Builds one page, within the bounds that the contract sets.
pub struct PageBuilder {
    page: SessionPage,
    limit: u32,
    /// The number of bytes of the rows so far.
    size: usize,
}

impl PageBuilder {
    /// The largest size of a page in bytes, unless a single session is larger.
    const MAX_BYTES: usize = 1 << 20;
    /// The bytes that every row counts for its ID, version and times, so that a page of
    /// empty sessions ends too.
    const ROW_BYTES: usize = 128;

    /// Starts a page of at most `limit` sessions. A limit of 0 counts as 1, since a walk
    /// in empty pages would never end.
    pub fn new(limit: u32) -> Self {
        Self {
            page: SessionPage::default(),
            limit: limit.max(1),
            size: 0,
        }
    }

    /// Adds the result of loading the session `id`, and returns whether the page had room
    /// for it. If not, the page is complete and its cursor is this session.
    ///
    /// An unreadable record becomes a row of the page's `damaged`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] if the load returned it: the record can be read in a moment,
    /// so it must not count as damaged.
    pub fn add(
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
        let size = Self::ROW_BYTES + size;
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

    /// Returns the page.
    pub fn finish(self) -> SessionPage {
        self.page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many rows a page holds of an endless walk.
    fn fill(loaded: &Result<Option<StoredSession>, StoreError>) -> usize {
        let mut builder = PageBuilder::new(u32::MAX);
        let mut ids = (0..).map(SessionId::from);
        let has_more = ids.find(|id| builder.add(id, loaded.clone()) != Ok(true));
        assert_eq!(builder.page.next, has_more.map(|id| id.to_string()));
        builder.page.sessions.len() + builder.page.damaged.len()
    }

    #[test]
    fn there_is_an_end_of_empty_and_of_damaged_sessions() {
        let empty = StoredSession {
            id: SessionId::from(1),
            version: 1,
            modified: 0,
            state: crate::SessionState::default(),
        };
        assert_eq!(fill(&Ok(Some(empty))), (1 << 20) / 128);
        let text = "the record is damaged: ";
        let damaged = StoreError::Corrupt("x".repeat(896 - text.len()));
        assert_eq!(fill(&Err(damaged)), 1 << 10);
    }

    #[test]
    fn what_cannot_be_read_is_named_and_what_is_in_use_fails_the_page() {
        let mut builder = PageBuilder::new(9);
        let id = SessionId::from(1);
        let busy = builder.add(&id, Err(StoreError::Busy));
        assert_eq!(busy, Err(StoreError::Busy));
        assert_eq!(builder.page, SessionPage::default());
        let unreadable = StoreError::Unavailable("why".into());
        assert_eq!(builder.add(&id, Err(unreadable)), Ok(true));
        assert_eq!(builder.page.damaged, [(id, "the store failed: why".into())]);
    }
}
