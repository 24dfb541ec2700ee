//! The messages of a session for the next page.

use crate::bindings::exports::session3::sessions::manager::SessionError;
use crate::session::Session;

impl Session {
    /// Leaves a message for the next page.
    pub fn flash(&mut self, text: String) -> Result<(), SessionError> {
        self.check_writable()?;
        self.view.messages.add(text.clone())?;
        self.changes.messages.push(text);
        Ok(())
    }

    /// The messages, which go.
    pub fn take_flashes(&mut self) -> Result<Vec<String>, SessionError> {
        self.check_writable()?;
        let list = self.view.messages.take();
        // The last ones are this request's own, which nobody else knows.
        let own = std::mem::take(&mut self.changes.messages).len();
        let stored = list.len().saturating_sub(own);
        let numbers = list.iter().take(stored).map(|(number, _)| *number);
        self.changes.taken_messages.extend(numbers);
        Ok(list.into_iter().map(|(_, text)| text).collect())
    }
}
