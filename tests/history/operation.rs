//! What clients ask a store to do, and what the store answers.

use std::fmt;

use serde::{Deserialize, Serialize};
use session3_store::{SessionId, Version};

/// What a client asks a store to do with one session. The numbers stand for states and times,
/// and differ from each other, so that a load tells which operation it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Action {
    /// Creates the session.
    Create {
        /// The number of the state.
        state: u64,
        /// The number of the time when the session expires.
        expires: u64,
    },
    /// Loads the session.
    Load,
    /// Replaces the state.
    Save {
        /// The number of the state.
        state: u64,
        /// The number of the time when the session expires.
        expires: u64,
        /// The version that the client expects.
        expected: Version,
    },
    /// Sets the time when the session expires.
    Touch {
        /// The number of this time.
        expires: u64,
        /// The version that the client expects.
        expected: Version,
    },
    /// Deletes the session.
    Delete,
}

/// A session as a load returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub struct Content {
    /// The version.
    pub version: Version,
    /// The number of the state.
    pub state: u64,
    /// The number of the time when the session expires.
    pub expires: u64,
}

/// What a store answered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Outcome {
    /// A create or a save made this version.
    Made(Version),
    /// A load returned this.
    Loaded(Option<Content>),
    /// A touch succeeded.
    Touched,
    /// A delete succeeded, and returned whether there was a session.
    Deleted(bool),
    /// A create found a session.
    Exists,
    /// A save or a touch found no session.
    Absent,
    /// A save or a touch found this version.
    Conflict(Version),
    /// The operation may take effect at any time after its call, or never.
    Unknown,
    /// The store answered what the contract does not allow.
    Forbidden(String),
}

/// One operation of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The number of the client.
    pub client: usize,
    /// The session.
    pub session: SessionId,
    /// When the client called the store. Calls and returns are numbered in one sequence.
    pub called: u64,
    /// When the store answered.
    pub returned: u64,
    /// What the client asked for.
    pub action: Action,
    /// What the store answered.
    pub outcome: Outcome,
}

impl Operation {
    /// Returns whether it is not known if the operation took effect.
    pub fn is_unknown(&self) -> bool {
        self.outcome == Outcome::Unknown
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { state, expires } => write!(f, "create state {state} until {expires}"),
            Self::Load => write!(f, "load"),
            Self::Save {
                state,
                expires,
                expected,
            } => write!(
                f,
                "save state {state} until {expires} at version {expected}"
            ),
            Self::Touch { expires, expected } => {
                write!(f, "touch until {expires} at version {expected}")
            }
            Self::Delete => write!(f, "delete"),
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (version, state, expires) = (self.version, self.state, self.expires);
        write!(f, "version {version} with state {state} until {expires}")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made(version) => write!(f, "version {version}"),
            Self::Loaded(Some(content)) => write!(f, "{content}"),
            Self::Loaded(None) => write!(f, "no session"),
            Self::Touched => write!(f, "done"),
            Self::Deleted(true) => write!(f, "deleted"),
            Self::Deleted(false) => write!(f, "there was none"),
            Self::Exists => write!(f, "exists"),
            Self::Absent => write!(f, "absent"),
            Self::Conflict(version) => write!(f, "conflict: its version is {version}"),
            Self::Unknown => write!(f, "unknown"),
            Self::Forbidden(what) => write!(f, "forbidden: {what}"),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let returned = match self.is_unknown() {
            true => "never".to_owned(),
            false => self.returned.to_string(),
        };
        write!(
            f,
            "{:>6} {returned:>6}  client {:<2} {:<42} {}",
            self.called,
            self.client,
            self.action.to_string(),
            self.outcome
        )
    }
}

/// Returns a create of a state that tells it from all others.
pub(crate) fn create(new: u64) -> Action {
    Action::Create {
        state: new,
        expires: new,
    }
}

/// Returns a save of such a state.
pub(crate) fn save(new: u64, expected: Version) -> Action {
    Action::Save {
        state: new,
        expires: new,
        expected,
    }
}

/// Returns a touch with a time that tells it from all others.
pub(crate) fn touch(new: u64, expected: Version) -> Action {
    Action::Touch {
        expires: new,
        expected,
    }
}
