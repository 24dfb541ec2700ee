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
    /// At this subdirectory of the index.
    Index(u16),
}

/// Where the last sweep stopped; the beginning, if the file says anything else.
pub fn read(file: &OpenFile) -> Result<Position, StoreError> {
    let mut bytes = [0; 32];
    let length = file.read_at(&mut bytes, 0)?;
    let text = std::str::from_utf8(&bytes[..length]).unwrap_or_default();
    Ok(match text.split_once(' ') {
        Some(("users", number)) => Position::Index(number.trim().parse().unwrap_or(0)),
        _ => Position::Record(text.parse().unwrap_or(SessionId::from(0))),
    })
}

/// Remembers where this one stopped; none for the end.
pub fn write(file: &Locked, position: Option<Position>) -> Result<(), StoreError> {
    let text = match position {
        None => SessionId::from(0).to_string(),
        Some(Position::Record(id)) => id.to_string(),
        Some(Position::Index(number)) => format!("users {number:<26}"),
    };
    Ok(file.write_at(text.as_bytes(), 0)?)
}
