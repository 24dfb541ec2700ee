//! What was done to each session, and which states a power cut may leave.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::collections::BTreeMap;

use session3_store::{SessionId, StoreError, StoredSession};
use session3_store_directory::Durability;

/// The changes of each session in all runs up to now.
pub type Steps = BTreeMap<SessionId, Vec<Step>>;

/// A change of a session.
#[derive(Clone, Debug)]
pub struct Step {
    pub how: How,
    pub durability: Durability,
    /// The number of events before it began.
    pub begins: usize,
    /// The number of events when it was acknowledged; [`NEVER`] if it was not.
    pub ends: usize,
    pub state: Found,
}

/// The end of a change that was cut short.
pub const NEVER: usize = usize::MAX;

/// What an operation does to a session's file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    Create,
    Save,
    Touch,
    Delete,
    /// Entries may have been removed from the index.
    Tidy,
    /// The system has written the session back as it is.
    WriteBack,
}

/// What a load finds.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Absent,
    Whole(StoredSession),
    Corrupt,
}

impl Found {
    pub fn from_load(loaded: Result<Option<StoredSession>, StoreError>) -> Self {
        match loaded {
            Ok(None) => Self::Absent,
            Ok(Some(session)) => Self::Whole(session),
            Err(StoreError::Corrupt(_)) => Self::Corrupt,
            Err(error) => panic!("{error}"),
        }
    }

    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Whole(session) => session.state.user.as_deref(),
            _ => None,
        }
    }
}

/// The states that a session may have after a power cut.
pub struct Allowed<'a> {
    /// The latest step that is certainly on the medium, and the steps since then.
    pub steps: Vec<&'a Step>,
    /// The steps before.
    pub earlier: &'a [Step],
}

impl<'a> Allowed<'a> {
    /// Returns the states after a power cut that follows the first `cut` events.
    pub fn after(steps: &'a [Step], cut: usize) -> Self {
        let is_durable = |step: &Step| step.durability == Durability::Disk && step.ends <= cut;
        let surely = steps.iter().rposition(is_durable).unwrap();
        let since = steps[surely + 1..].iter();
        let begun = since.take_while(|step| step.begins < cut);
        Self {
            steps: std::iter::once(&steps[surely]).chain(begun).collect(),
            earlier: &steps[..surely],
        }
    }

    pub fn has(&self, found: &Found) -> bool {
        self.steps.iter().any(|step| step.state == *found)
            || *found == Found::Corrupt && self.may_be_in_no_slot()
            || self.is_older(found)
    }

    /// Whether the record may have no valid slot: both were overwritten, or none was ever
    /// flushed.
    pub fn may_be_in_no_slot(&self) -> bool {
        self.count(How::Save) >= 2 || self.count(How::Create) >= 1
    }

    /// Whether the record may be in a state older than the latest durable one. That is so
    /// after two saves of which the first is lost and the second is torn: the second has
    /// destroyed the durable slot, and the slot of the first holds the state before that. Two
    /// touches do the same to the two cells of touches, if the saves between them are lost.
    pub fn is_older(&self, found: &Found) -> bool {
        let (Found::Whole(surely), Found::Whole(older)) = (&self.steps[0].state, found) else {
            return false;
        };
        let is_possible = match older.version.cmp(&surely.version) {
            Less => self.count(How::Save) >= 2,
            Equal => self.count(How::Touch) >= 2,
            Greater => false,
        };
        is_possible && self.earlier.iter().any(|step| step.state == *found)
    }

    /// Counts the unflushed changes since the latest durable state. A change that was cut
    /// short under `disk` counts, too, if a change under `process` built on it.
    pub fn count(&self, how: How) -> usize {
        let is_process = |step: &Step| step.durability == Durability::Process;
        let since = &self.steps[1..];
        let is_mixed = since.iter().any(|step| is_process(step));
        let is_unflushed = |step: &Step| is_process(step) || is_mixed && step.ends == NEVER;
        let changes = since.iter().filter(|step| step.how == how);
        changes.filter(|step| is_unflushed(step)).count()
    }

    /// Whether the index must have the session's entry: a store under `process` does not flush
    /// the index.
    pub fn has_entry(&self) -> bool {
        let is_disk = |step: &&Step| step.durability == Durability::Disk;
        self.steps[1..].iter().all(is_disk)
    }
}
