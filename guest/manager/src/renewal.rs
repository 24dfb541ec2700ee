//! The secrets of a session over time: the one that opens it, those that were
//! sent and have not come back, and those that they replaced.
//!
//! A new secret is pending until the browser first presents it, so that a lost
//! response loses nothing. The old one then stays good for a grace, for the
//! requests that were under way. After that, a copy of it is in somebody
//! else's hands. A change of user knows no grace, and what it replaced is no
//! sign of a theft: the requests of the user before may still be under way.

use serde::Serialize;

use crate::encoding::{DecodeError, Input};
use crate::token::SecretHash;

/// More are pending only when one renewal after the other gets lost.
const MAX_PENDING: usize = 4;
/// Replaced secrets that are still known.
const MAX_REPLACED: usize = 8;

/// The secrets of a session.
#[derive(Clone, Default, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct Secrets {
    /// The hash of the secret that opens the session; all zeros before the session is
    /// stored.
    pub current: SecretHash,
    /// The secrets beside it. A record has them in another place, since version 2 of the
    /// encoding.
    #[serde(skip)]
    pub renewal: Renewal,
}

/// The secrets beside the one that opens the session.
#[derive(Clone, Default, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct Renewal {
    /// When the newest secret was made, in milliseconds since 1970.
    pub renewed: u64,
    /// Oldest first.
    pending: Vec<SecretHash>,
    /// Oldest first.
    replaced: Vec<Replaced>,
}

#[derive(Clone, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
struct Replaced {
    hash: SecretHash,
    /// The end of its grace; none for what a change of user replaced.
    good_until: Option<u64>,
}

/// What a presented secret is to the session.
#[derive(Clone, Copy, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub enum Standing {
    /// It opens the session.
    Current,
    /// Likewise, and it was not presented before.
    Pending,
    /// Likewise, for the requests that were under way.
    InGrace,
    /// It was replaced by renewal, and its grace is over.
    Reused,
    /// It was replaced by a change of user.
    Replaced,
    /// It was never the session's, as far as is known.
    Unknown,
}

impl Secrets {
    /// What a secret is to the session now, compared in constant time.
    pub fn standing(&self, hash: &SecretHash, now: u64) -> Standing {
        let renewal = &self.renewal;
        if self.current.is(hash) {
            return Standing::Current;
        }
        if renewal.pending.iter().any(|pending| pending.is(hash)) {
            return Standing::Pending;
        }
        let replaced = renewal.replaced.iter().find(|old| old.hash.is(hash));
        match replaced.map(|old| old.good_until) {
            None => Standing::Unknown,
            Some(None) => Standing::Replaced,
            Some(Some(until)) if now < until => Standing::InGrace,
            Some(Some(_)) => Standing::Reused,
        }
    }

    /// The secret that was made last.
    pub fn newest(&self) -> &SecretHash {
        self.renewal.pending.last().unwrap_or(&self.current)
    }

    /// Whether no secret is newer.
    pub fn is_newest(&self, hash: &SecretHash) -> bool {
        self.newest().is(hash)
    }

    /// Gives a session that was not stored its first secret.
    pub fn start(&mut self, hash: SecretHash, now: u64) {
        self.current = hash;
        self.renewal.renewed = now;
    }

    /// Adds a secret that opens the session from its first use on.
    pub fn add(&mut self, hash: SecretHash, now: u64) {
        let renewal = &mut self.renewal;
        renewal.renewed = now;
        renewal.pending.push(hash);
        if renewal.pending.len() > MAX_PENDING {
            let lost = renewal.pending.remove(0);
            renewal.replace(lost, None);
        }
    }

    /// Makes a pending secret, which was presented, the current one. What came
    /// before it stays good until `good_until`.
    pub fn confirm(&mut self, hash: &SecretHash, good_until: u64) {
        let renewal = &mut self.renewal;
        let Some(place) = renewal.pending.iter().position(|pending| pending.is(hash)) else {
            return;
        };
        for _ in 0..=place {
            let next = renewal.pending.remove(0);
            let old = std::mem::replace(&mut self.current, next);
            renewal.replace(old, Some(good_until));
        }
    }

    /// A change of user: one secret opens the session, and no other.
    pub fn replace_all(&mut self, hash: SecretHash, now: u64) {
        let renewal = &mut self.renewal;
        for old in &mut renewal.replaced {
            old.good_until = old.good_until.filter(|until| *until <= now);
        }
        let old = std::mem::replace(&mut self.current, hash);
        renewal.replace(old, None);
        for lost in std::mem::take(&mut renewal.pending) {
            renewal.replace(lost, None);
        }
        renewal.renewed = now;
    }
}

impl Renewal {
    /// Those of a record.
    pub fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            renewed: input.value()?,
            pending: input.list(SecretHash::read)?,
            replaced: input.list(Replaced::read)?,
        })
    }

    fn replace(&mut self, hash: SecretHash, good_until: Option<u64>) {
        self.replaced.push(Replaced { hash, good_until });
        if self.replaced.len() > MAX_REPLACED {
            self.replaced.remove(0);
        }
    }
}

impl Replaced {
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            hash: SecretHash::read(input)?,
            good_until: input.option(Input::value)?,
        })
    }
}
