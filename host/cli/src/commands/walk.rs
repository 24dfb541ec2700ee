//! A walk through a store that takes long, and waits while the store cannot be reached.

use std::sync::Arc;
use std::time::Duration;

use session3::store::{Maintenance, SessionPage, StoreError};
use tokio::time::sleep;

use super::input::PAGE;

/// How many sessions are worked on at the same time.
pub const CONCURRENCY: usize = 32;

/// How often a session is tried while a store cannot be reached, and the pause after the first
/// attempt. Each pause is twice as long as the one before: half a minute in all.
const ATTEMPTS: u32 = 9;
const FIRST_PAUSE: Duration = Duration::from_millis(120);

/// Repeats an operation while a store cannot be reached.
pub async fn patiently<T>(
    operation: impl AsyncFn() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..ATTEMPTS {
        match operation().await {
            Err(StoreError::Unavailable(_) | StoreError::Busy) => {}
            result => return result,
        }
        sleep(pause).await;
        pause *= 2;
    }
    operation().await
}

/// A walk through the sessions of a store.
pub struct Walk {
    store: Arc<dyn Maintenance>,
    cursor: Option<String>,
    is_at_end: bool,
    /// How much of the walk is done, from 0 to 1, if the store returns the sessions by their
    /// IDs. Those are random, so that the first digits say how far it is.
    pub done: f64,
}

impl Walk {
    /// Begins a walk.
    pub fn new(store: Arc<dyn Maintenance>) -> Self {
        Self {
            store,
            cursor: None,
            is_at_end: false,
            done: 0.0,
        }
    }

    /// Returns the next page, until the last one was returned.
    pub async fn next(&mut self) -> Result<Option<SessionPage>, StoreError> {
        if self.is_at_end {
            return Ok(None);
        }
        let (store, cursor) = (&self.store, self.cursor.as_deref());
        let page = patiently(async || store.iter_sessions(cursor, PAGE).await).await?;
        if let Some(last) = page.sessions.last() {
            self.done = self.done.max(f64::from(last.id.prefix()) / 256.0);
        }
        self.cursor.clone_from(&page.next);
        self.is_at_end = page.next.is_none();
        Ok(Some(page))
    }
}
