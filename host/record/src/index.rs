//! The index of the sessions of each user: empty files `users/123/4567….<session ID>`,
//! where 1234567… is the SHA-256 of the user's name in hexadecimal digits.
//!
//! An entry is written before the record that needs it. It is removed after that record
//! has another user or a tombstone. Both happen under the record's lock. So a live session
//! always has its entry, and an interrupted change leaves at most a surplus entry, which
//! only means that a record is read in vain.
//!
//! With [`Durability::Disk`], an entry is removed only after the change that makes it
//! surplus is durable, since the state before that change may need it.

use std::collections::BinaryHeap;

use sha2::{Digest, Sha256};

use session3_store::{SessionId, StoreError};

use crate::Durability;
use crate::files::{Directory, OpenFailure, OpenMode, RecordFile};
use crate::record::Record;

/// The name of the directory that the index is in.
pub const DIRECTORY: &str = "users";
/// The digits of the hash that name a subdirectory: each subdirectory then has some
/// hundred entries when there are a million sessions.
const PREFIX: usize = 3;
/// The number of possible subdirectories.
pub const SUBDIRECTORIES: u16 = 1 << (4 * PREFIX);

/// The number of entries to hold in memory at a time, which takes some megabytes: a single
/// user may have all sessions.
const BATCH: usize = 1 << 15;

/// An entry of the index.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The session that belongs or belonged to the user.
    pub id: SessionId,
    /// The SHA-256 of the user's name.
    hash: String,
}

/// A part of the entries of a subdirectory.
pub struct Batch {
    /// The entries in the order of their sessions.
    pub entries: Vec<Entry>,
    /// The session at which the next batch begins; `None` at the end.
    pub next: Option<SessionId>,
    /// All foreign names in the subdirectory.
    pub foreign: Vec<String>,
}

impl Entry {
    /// Creates the entry for a session of a user.
    pub fn new(user: &str, id: &SessionId) -> Self {
        Self {
            id: *id,
            hash: hash_of(user),
        }
    }

    /// Returns whether the entry belongs to this user.
    pub fn belongs_to(&self, user: &str) -> bool {
        self.hash == hash_of(user)
    }

    /// Returns the name of the entry's file.
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

/// Returns the subdirectories of the index in their order, and the foreign names in it.
pub fn subdirectories(directory: &impl Directory) -> Result<(Vec<u16>, Vec<String>), StoreError> {
    let (mut numbers, mut foreign) = (Vec::new(), Vec::new());
    directory.list(
        DIRECTORY,
        &mut |name| match u16::from_str_radix(&name, 16) {
            Ok(number) if name == prefix_of(number) => numbers.push(number),
            _ => foreign.push(format!("{DIRECTORY}/{name}")),
        },
    )?;
    numbers.sort_unstable();
    Ok((numbers, foreign))
}

/// Returns entries of a subdirectory, from the session `first` on.
pub fn list(
    directory: &impl Directory,
    number: u16,
    first: SessionId,
) -> Result<Batch, StoreError> {
    let subdirectory = directory_of(number);
    let (mut entries, mut foreign) = (BinaryHeap::new(), Vec::new());
    directory.list(&subdirectory, &mut |name| {
        match Entry::parse(&prefix_of(number), &name) {
            Some(entry) if entry.id < first => {}
            Some(entry) => {
                entries.push(entry);
                // Keep the first ones, and one more to know where to continue.
                if entries.len() > BATCH + 1 {
                    entries.pop();
                }
            }
            None => foreign.push(format!("{subdirectory}/{name}")),
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

/// Returns the name of a subdirectory.
pub fn directory_of(number: u16) -> String {
    format!("{DIRECTORY}/{}", prefix_of(number))
}

fn prefix_of(number: u16) -> String {
    format!("{number:0PREFIX$x}")
}

/// Returns the sessions that belong or belonged to a user.
pub fn sessions_of_user(
    directory: &impl Directory,
    user: &str,
) -> Result<Vec<SessionId>, StoreError> {
    let hash = hash_of(user);
    let prefix = &hash[..PREFIX];
    let mut sessions = Vec::new();
    directory.list(&format!("{DIRECTORY}/{prefix}"), &mut |name| {
        let entry = Entry::parse(prefix, &name).filter(|entry| entry.hash == hash);
        sessions.extend(entry.map(|entry| entry.id));
    })?;
    Ok(sessions)
}

/// Creates an entry, or leaves it as it is if it exists.
pub fn add(
    directory: &impl Directory,
    entry: &Entry,
    durability: Durability,
) -> Result<(), StoreError> {
    let name = entry.name();
    let parent = format!("{DIRECTORY}/{}", &entry.hash[..PREFIX]);
    let created = match directory.open_file(&name, OpenMode::Create) {
        Err(OpenFailure::NoDirectory(_)) => {
            directory.create_directory(DIRECTORY)?;
            directory.create_directory(&parent)?;
            directory.open_file(&name, OpenMode::Create)?
        }
        created => created?,
    };
    if durability == Durability::Disk {
        if let Some(file) = created {
            directory.sync_file(&file)?;
        }
        directory.sync_directory(&parent)?;
    }
    Ok(())
}

/// Returns whether an entry exists.
pub fn has(directory: &impl Directory, entry: &Entry) -> Result<bool, StoreError> {
    Ok(directory
        .open_file(&entry.name(), OpenMode::Read)?
        .is_some())
}

/// Removes an entry, or does nothing if it does not exist.
pub fn remove(directory: &impl Directory, entry: &Entry) -> Result<(), StoreError> {
    directory.remove_file(&entry.name())
}

/// Returns whether a record needs an entry. A damaged record may need it.
pub fn is_needed(file: &impl RecordFile, entry: &Entry) -> Result<bool, StoreError> {
    let user = match Record::read(file, &entry.id) {
        Ok(Some(record)) => record
            .user()
            .map(|user| user.map(|user| entry.belongs_to(user))),
        Ok(None) => return Ok(false),
        Err(error) => Err(error),
    };
    match user {
        Ok(is_of_user) => Ok(is_of_user == Some(true)),
        Err(StoreError::Corrupt(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Returns the SHA-256 of a user's name in hexadecimal digits.
fn hash_of(user: &str) -> String {
    use std::fmt::Write as _;
    let mut hash = String::with_capacity(64);
    for byte in Sha256::digest(user) {
        // Writing to a string does not fail.
        let _ = write!(hash, "{byte:02x}");
    }
    hash
}
