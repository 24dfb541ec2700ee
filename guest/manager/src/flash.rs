//! Adding messages for the next page to a session, and taking them.

use crate::bindings::exports::session3::sessions::manager::SessionError;
use crate::session::Session;

impl Session {
    /// Adds a message for the next page.
    pub fn flash(&mut self, text: String) -> Result<(), SessionError> {
        self.check_writable()?;
        self.view.messages.add(text.clone())?;
        self.changes.messages.push(text);
        Ok(())
    }

    /// Removes all messages and returns their texts.
    pub fn take_flashes(&mut self) -> Result<Vec<String>, SessionError> {
        self.check_writable()?;
        let messages = self.view.messages.take_all();
        // The last messages are those that this request added. They are not stored, so
        // there is nothing to remove at the commit.
        let added = std::mem::take(&mut self.changes.messages).len();
        let stored = messages.len().saturating_sub(added);
        let numbers = messages.iter().take(stored).map(|message| message.number);
        self.changes.taken_messages.extend(numbers);
        Ok(messages.into_iter().map(|message| message.text).collect())
    }
}
