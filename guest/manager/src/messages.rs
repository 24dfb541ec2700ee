//! Messages for the next page.

use serde::Serialize;

use crate::bindings::exports::session3::sessions::manager::SessionError;
use crate::encoding::{DecodeError, Input};

/// Messages of one session.
const MAX_MESSAGES: usize = 100;

/// The messages, oldest first. Each has a number that no other of the session
/// ever gets, so that taking one removes that one, whatever others left or
/// took meanwhile.
#[derive(Clone, Default, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct Messages {
    next: u64,
    list: Vec<Message>,
}

#[derive(Clone, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
struct Message {
    number: u64,
    text: String,
}

impl Messages {
    /// Those of a record.
    pub fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            next: input.value()?,
            list: input.list(Message::read)?,
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Their texts.
    #[cfg(test)]
    pub fn texts(&self) -> Vec<String> {
        let texts = self.list.iter().map(|message| message.text.clone());
        texts.collect()
    }

    /// Leaves a message; refuses one too many.
    pub fn add(&mut self, text: String) -> Result<(), SessionError> {
        if self.list.len() >= MAX_MESSAGES {
            return Err(SessionError::Invalid(
                "a session keeps at most 100 messages: take them first".into(),
            ));
        }
        let number = self.next;
        self.list.push(Message { number, text });
        self.next += 1;
        Ok(())
    }

    /// Takes all messages out, each with its number.
    pub fn take(&mut self) -> Vec<(u64, String)> {
        let list = std::mem::take(&mut self.list).into_iter();
        list.map(|message| (message.number, message.text)).collect()
    }

    /// Takes those of these numbers out.
    pub fn remove(&mut self, numbers: &[u64]) {
        self.list
            .retain(|message| !numbers.contains(&message.number));
    }

    /// Takes all of them out.
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
