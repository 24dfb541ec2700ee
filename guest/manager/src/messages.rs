//! Messages for the next page.

use serde::Serialize;

use crate::bindings::exports::session3::sessions::manager::SessionError;
use crate::encoding::{DecodeError, Input};

/// The number of messages that one session keeps.
const MAX_MESSAGES: usize = 100;

/// The messages of a session, oldest first.
///
/// Each message has a number that no other message of the session ever gets. To take a
/// message is to remove the one with its number, whatever messages other requests have
/// added or taken meanwhile.
#[derive(Clone, Default, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct Messages {
    next_number: u64,
    list: Vec<Message>,
}

/// A message for the next page.
#[derive(Clone, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct Message {
    /// Its number in the session.
    pub number: u64,
    /// Its text.
    pub text: String,
}

impl Messages {
    /// Decodes the messages.
    pub fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            next_number: input.value()?,
            list: input.list(Message::read)?,
        })
    }

    /// Returns whether there are no messages.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the texts of all messages.
    #[cfg(test)]
    pub fn texts(&self) -> Vec<String> {
        let texts = self.list.iter().map(|message| message.text.clone());
        texts.collect()
    }

    /// Adds a message.
    ///
    /// # Errors
    ///
    /// `invalid` if there are too many messages.
    pub fn add(&mut self, text: String) -> Result<(), SessionError> {
        if self.list.len() >= MAX_MESSAGES {
            return Err(SessionError::Invalid(
                "a message was not added, since a session keeps at most 100: take them first"
                    .into(),
            ));
        }
        let number = self.next_number;
        self.list.push(Message { number, text });
        self.next_number += 1;
        Ok(())
    }

    /// Removes the messages with these numbers.
    pub fn remove(&mut self, numbers: &[u64]) {
        self.list
            .retain(|message| !numbers.contains(&message.number));
    }

    /// Removes all messages and returns them.
    pub fn take_all(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.list)
    }

    /// Removes all messages.
    pub fn clear(&mut self) {
        self.list.clear();
    }
}

impl Message {
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            number: input.value()?,
            text: input.text()?,
        })
    }
}
