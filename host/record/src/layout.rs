//! Where the files of sessions are: in 256 subdirectories, by the first two digits of
//! their IDs.

use std::fmt::Write;

use session3_store::{SessionId, StoreError};

use crate::files::Directory;

/// The bytes of a record's name.
const NAME: usize = 35;

/// Returns the name of a session's file.
pub fn record_name(id: &SessionId) -> String {
    // One allocation of the right size: this runs for each file that is opened.
    let mut name = String::with_capacity(NAME);
    // Writing to a string does not fail.
    let _ = write!(name, "{:02x}/{id}", id.prefix());
    name
}

/// Returns the first session ID of the next subdirectory, or `None` after the last one.
pub fn next_subdirectory(prefix: u8) -> Option<SessionId> {
    let next = prefix.checked_add(1)?;
    Some(SessionId::from(u128::from(next) << 120))
}

/// Returns the name of the subdirectory for IDs that begin with `prefix`.
pub fn subdirectory(prefix: u8) -> String {
    format!("{prefix:02x}")
}

/// Returns the name of the directory that a file is in.
pub fn parent_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(".", |(parent, _)| parent)
}

/// Returns the sessions of one subdirectory in the order of their IDs, and the foreign
/// names in it.
pub fn list(
    directory: &impl Directory,
    prefix: u8,
) -> Result<(Vec<SessionId>, Vec<String>), StoreError> {
    let subdirectory = subdirectory(prefix);
    let (mut ids, mut foreign) = (Vec::new(), Vec::new());
    directory.list(&subdirectory, &mut |name| match name.parse::<SessionId>() {
        Ok(id) if id.prefix() == prefix => ids.push(id),
        _ => foreign.push(format!("{subdirectory}/{name}")),
    })?;
    ids.sort_unstable();
    Ok((ids, foreign))
}
