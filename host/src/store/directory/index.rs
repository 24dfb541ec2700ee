//! Which sessions a user has: empty files, `users/123/4567….<session ID>`,
//! where 1234567… is SHA-256 of the user in hexadecimal digits.
//!
//! An entry is written before the record that needs it and removed after that
//! record has another user or a tombstone, both under the record's lock. So a
//! live session always has its entry; whatever is cut short leaves a surplus
//! one, which only means that a record is looked at in vain.
//!
//! With [`Durability::Disk`], an entry goes only after what makes it surplus is
//! on the medium, since the state before that may need it.

use std::collections::BinaryHeap;

use sha2::{Digest, Sha256};

use super::Durability;
use super::fs::{Open, OpenFile, Root};
use super::record::Record;
use crate::store::{SessionId, StoreError};

/// Where the index is.
pub const DIRECTORY: &str = "users";
/// Digits of the hash that make a subdirectory, so that each has some hundreds
/// of entries when there are a million sessions.
const PREFIX: usize = 3;
/// How many subdirectories there may be.
pub const SUBDIRECTORIES: u16 = 1 << (4 * PREFIX);

/// Entries to have in memory at a time, some megabytes: one user may have all the
/// sessions.
const BATCH: usize = 1 << 15;

/// An entry of the index.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The session that is or was this user's.
    pub id: SessionId,
    /// SHA-256 of the user.
    hash: String,
}

/// Entries of a subdirectory.
pub struct Batch {
    /// In the order of their sessions.
    pub entries: Vec<Entry>,
    /// The session where the next ones begin; `None` at the end.
    pub next: Option<SessionId>,
    /// All names in the subdirectory that are none of ours.
    pub foreign: Vec<String>,
}

impl Entry {
    /// That a user has a session.
    pub fn new(user: &str, id: &SessionId) -> Self {
        Self {
            id: *id,
            hash: hash_of(user),
        }
    }

    /// Whether it is one of this user's.
    pub fn is_of(&self, user: &str) -> bool {
        self.hash == hash_of(user)
    }

    /// Its name in the store's directory.
    pub fn name(&self) -> String {
        let (prefix, rest) = self.hash.split_at(PREFIX);
        format!("{DIRECTORY}/{prefix}/{rest}.{}", self.id)
    }

    fn parse(prefix: &str, name: &str) -> Option<Self> {
        let (rest, id) = name.split_once('.')?;
        let hash = format!("{prefix}{rest}");
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_hash = hash.len() == 64 && hash.bytes().all(is_digit);
        let id = id.parse().ok()?;
        is_hash.then_some(Self { id, hash })
    }
}

/// The subdirectories in their order, and the names that are none.
pub fn subdirectories(root: &Root) -> Result<(Vec<u16>, Vec<String>), StoreError> {
    let (mut numbers, mut foreign) = (Vec::new(), Vec::new());
    root.list(DIRECTORY, |name| match u16::from_str_radix(&name, 16) {
        Ok(number) if name == prefix_of(number) => numbers.push(number),
        _ => foreign.push(format!("{DIRECTORY}/{name}")),
    })?;
    numbers.sort_unstable();
    Ok((numbers, foreign))
}

/// Entries of a subdirectory, from a session on.
pub fn list(root: &Root, number: u16, first: SessionId) -> Result<Batch, StoreError> {
    let directory = directory_of(number);
    let (mut entries, mut foreign) = (BinaryHeap::new(), Vec::new());
    root.list(&directory, |name| {
        match Entry::parse(&prefix_of(number), &name) {
            Some(entry) if entry.id < first => {}
            Some(entry) => {
                entries.push(entry);
                // The first ones, and the one after these.
                if entries.len() > BATCH + 1 {
                    entries.pop();
                }
            }
            None => foreign.push(format!("{directory}/{name}")),
        }
    })?;
    let mut entries = entries.into_sorted_vec();
    let after = entries.split_off(entries.len().min(BATCH));
    Ok(Batch {
        entries,
        next: after.first().map(|entry| entry.id),
        foreign,
    })
}

/// A subdirectory, by its number.
pub fn directory_of(number: u16) -> String {
    format!("{DIRECTORY}/{}", prefix_of(number))
}

fn prefix_of(number: u16) -> String {
    format!("{number:0PREFIX$x}")
}

/// The sessions that are or were a user's.
pub fn sessions_of(root: &Root, user: &str) -> Result<Vec<SessionId>, StoreError> {
    let hash = hash_of(user);
    let prefix = &hash[..PREFIX];
    let mut sessions = Vec::new();
    root.list(&format!("{DIRECTORY}/{prefix}"), |name| {
        let entry = Entry::parse(prefix, &name).filter(|entry| entry.hash == hash);
        sessions.extend(entry.map(|entry| entry.id));
    })?;
    Ok(sessions)
}

/// Writes an entry; that it is there is fine.
pub fn add(root: &Root, entry: &Entry, durability: Durability) -> Result<(), StoreError> {
    let name = entry.name();
    let parent = format!("{DIRECTORY}/{}", &entry.hash[..PREFIX]);
    let created = match root.open_file(&name, Open::New) {
        Err(failure) if failure.is_missing() => {
            root.make_directory(DIRECTORY)?;
            root.make_directory(&parent)?;
            root.open_file(&name, Open::New)?
        }
        created => created?,
    };
    if durability == Durability::Disk {
        if let Some(file) = created {
            file.flush()?;
        }
        root.flush_directory(&parent)?;
    }
    Ok(())
}

/// Whether an entry is there.
pub fn has(root: &Root, entry: &Entry) -> Result<bool, StoreError> {
    Ok(root.open_file(&entry.name(), Open::Read)?.is_some())
}

/// Removes an entry.
pub fn remove(root: &Root, entry: &Entry) -> Result<(), StoreError> {
    Ok(root.unlink(&entry.name())?)
}

/// Whether a record needs an entry. Nobody knows what a damaged one needs.
pub fn is_needed(file: &OpenFile, entry: &Entry) -> Result<bool, StoreError> {
    let user = match Record::read(file, &entry.id) {
        Ok(Some(record)) => record.user().map(|user| user.map(|user| entry.is_of(user))),
        Ok(None) => return Ok(false),
        Err(error) => Err(error),
    };
    match user {
        Ok(is_of_user) => Ok(is_of_user == Some(true)),
        Err(StoreError::Corrupt(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

fn hash_of(user: &str) -> String {
    use std::fmt::Write as _;
    let mut hash = String::with_capacity(64);
    for byte in Sha256::digest(user) {
        // Writing to a string does not fail.
        let _ = write!(hash, "{byte:02x}");
    }
    hash
}
