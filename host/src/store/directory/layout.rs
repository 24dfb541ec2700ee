//! Where the files of sessions are: in 256 subdirectories, by the first two
//! digits of their IDs.

use std::fmt::Write;

use super::fs::Root;
use crate::store::{SessionId, StoreError};

/// Bytes of a name.
const NAME: usize = 35;

/// The file of a session.
pub fn record_name(id: &SessionId) -> String {
    // At once: of the parts, it takes twice as long, for each file that is opened.
    let mut name = String::with_capacity(NAME);
    // Writing to a string does not fail.
    let _ = write!(name, "{:02x}/{id}", id.prefix());
    name
}

/// The subdirectory after another one, by its first session; `None` after the
/// last.
pub fn next(prefix: u8) -> Option<SessionId> {
    let next = prefix.checked_add(1)?;
    Some(SessionId::from(u128::from(next) << 120))
}

/// A subdirectory with sessions.
pub fn directory(prefix: u8) -> String {
    format!("{prefix:02x}")
}

/// The directory that a file is in.
pub fn parent_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(".", |(parent, _)| parent)
}

/// The sessions of one subdirectory in the order of their IDs, and the names
/// that are none.
pub fn list(root: &Root, prefix: u8) -> Result<(Vec<SessionId>, Vec<String>), StoreError> {
    let directory = directory(prefix);
    let (mut ids, mut foreign) = (Vec::new(), Vec::new());
    root.list(&directory, |name| match name.parse::<SessionId>() {
        Ok(id) if id.prefix() == prefix => ids.push(id),
        _ => foreign.push(format!("{directory}/{name}")),
    })?;
    ids.sort_unstable();
    Ok((ids, foreign))
}
