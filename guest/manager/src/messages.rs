//! Messages for the next page.

use serde::Serialize;

use crate::bindings::exports::session3::sessions::manager::SessionError;
use crate::encoding::Input;
use crate::session::Session;
use crate::state::DecodeError;

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
        let list = std::mem::take(&mut self.view.messages.list);
        // The last ones are this request's own, which nobody else knows.
        let own = std::mem::take(&mut self.changes.messages).len();
        let stored = list.len().saturating_sub(own);
        let numbers = list.iter().take(stored).map(|message| message.number);
        self.changes.taken_messages.extend(numbers);
        Ok(list.into_iter().map(|message| message.text).collect())
    }
}
