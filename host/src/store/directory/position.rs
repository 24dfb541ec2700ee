//! Where a sweep stopped: as text, in a file beside the subdirectories.

use super::fs::{Locked, OpenFile};
use crate::store::{SessionId, StoreError};

/// The file that remembers it. Its lock keeps a second sweep away.
pub const FILE: &str = "sweep.lock";

/// Where a sweep goes on: first through the records, then through the index.
#[derive(Clone, Copy)]
pub enum Position {
    /// At this session.
    Record(SessionId),
    /// At this subdirectory of the index, and at this session in it.
    Index(u16, SessionId),
}

/// Bytes of the file: the words "users", a number, and a session.
const LENGTH: usize = 42;

/// Where the last sweep stopped; the beginning, if the file says anything else.
pub fn read(file: &OpenFile) -> Result<Position, StoreError> {
    let bytes = file.read_at(0, LENGTH)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let mut words = text.split_whitespace();
    Ok(match words.next() {
        Some("users") => {
            let number = words.next().and_then(|number| number.parse().ok());
            Position::Index(number.unwrap_or(0), id_of(words.next()))
        }
        word => Position::Record(id_of(word)),
    })
}

/// Remembers where this one stopped; none for the end.
pub fn write(file: &Locked, position: Option<Position>) -> Result<(), StoreError> {
    let text = match position {
        None => SessionId::from(0).to_string(),
        Some(Position::Record(id)) => id.to_string(),
        Some(Position::Index(number, id)) => format!("users {number} {id}"),
    };
    let text = format!("{text:LENGTH$}");
    Ok(file.write_at(text.as_bytes(), 0)?)
}

fn id_of(word: Option<&str>) -> SessionId {
    let id = word.and_then(|word| word.parse().ok());
    id.unwrap_or(SessionId::from(0))
}
