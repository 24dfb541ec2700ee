//! Renewal: the secrets of a session over time, and when the session gets a new one.
//!
//! A new secret is pending until the browser first presents it, so that a lost response
//! logs no user out. From then on it is the current secret. The secret that it replaced
//! stays valid for a grace, for the requests that were in progress. A replaced secret that
//! is presented after its grace is a stolen copy, or shows that the newer one is.
//!
//! Several responses may bring a new secret to the browser in any order, so a renewal yields
//! to one that another request made within the last grace and that the browser has not
//! presented yet: of all pending secrets, none is dropped before its response has arrived.
//!
//! A change of user replaces all secrets at once and without a grace. To present one of
//! them later is no sign of a theft, since requests of the previous user may still be in
//! progress.

use serde::Serialize;

use crate::bindings::exports::session3::sessions::manager::Config;
use crate::config::milliseconds;
use crate::encoding::{DecodeError, Input};
use crate::token::{Secret, SecretHash};

/// The number of pending secrets that a session keeps. Several are pending only if the
/// responses of successive renewals get lost.
const MAX_PENDING: usize = 4;
/// The number of replaced secrets that a session keeps.
const MAX_REPLACED: usize = 8;

/// The hashes of a session's secrets.
#[derive(Clone, Default)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct Secrets {
    /// The secret that opens the session. Before the session is stored, no secret has
    /// this hash.
    current: SecretHash,
    /// The time when the newest secret was made, in milliseconds since 1970.
    renewed: u64,
    /// The secrets that were sent and not presented yet, oldest first. They open the
    /// session, too.
    pending: Vec<SecretHash>,
    /// The secrets that were replaced, the first that was replaced first.
    replaced: Vec<Replaced>,
}

/// A secret that was replaced.
#[derive(Clone, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct Replaced {
    hash: SecretHash,
    /// The end of its grace, in milliseconds since 1970; `None` if it had none.
    good_until: Option<u64>,
}

/// What a presented secret is to its session.
#[derive(Clone, Copy, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub enum Standing {
    /// The secret opens the session.
    Current,
    /// The secret opens the session, and is presented for the first time.
    Pending,
    /// The secret was replaced by a renewal, and still opens the session during its grace.
    InGrace,
    /// The secret was replaced by a renewal, and its grace is over.
    Reused,
    /// The secret was replaced by a change of user, within the last `renew-grace`: the request
    /// was in progress at that time.
    Late,
    /// The secret was replaced without a grace.
    Replaced,
    /// The record does not contain the secret.
    Unknown,
}

/// The newest token of the session that the request knows: the one that it presented, or
/// one that it sends.
pub struct KnownToken {
    /// The secret, to send the token again.
    pub secret: Secret,
    /// The hash of the secret.
    pub hash: SecretHash,
    /// What the secret is to the session. A token that the request sends is current.
    pub standing: Standing,
}

/// What decides when a session gets a new secret.
pub struct Rules<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Whether the cookie has a lifetime, so that it expires unless it is sent again.
    pub cookie_expires: bool,
    /// Whether the store has room for another secret.
    pub has_room: bool,
}

impl KnownToken {
    /// Creates a token that the request sends.
    pub fn sent(secret: Secret, hash: SecretHash) -> Self {
        Self {
            secret,
            hash,
            standing: Standing::Current,
        }
    }

    /// Returns whether the request presents the token for the first time.
    pub fn is_pending(&self) -> bool {
        self.standing == Standing::Pending
    }
}

impl Secrets {
    /// Decodes the current secret, which has a place of its own in the record.
    pub fn read_current(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            current: SecretHash::read(input)?,
            ..Self::default()
        })
    }

    /// Decodes everything but the current secret.
    pub fn read_history(&mut self, input: &mut Input<'_>) -> Result<(), DecodeError> {
        self.renewed = input.value()?;
        self.pending = input.list(SecretHash::read)?;
        self.replaced = input.list(Replaced::read)?;
        Ok(())
    }

    /// Sets the time when the newest secret was made, which older records do not contain.
    pub fn set_renewed(&mut self, renewed: u64) {
        self.renewed = renewed;
    }

    /// Returns the current secret, to be encoded.
    pub fn current(&self) -> &SecretHash {
        &self.current
    }

    /// Returns everything but the current secret, to be encoded in this order.
    pub fn history(&self) -> (u64, &[SecretHash], &[Replaced]) {
        (self.renewed, &self.pending, &self.replaced)
    }

    /// Replaces times that are in the future, and returns whether there were any.
    pub fn correct_times(&mut self, now: u64, renew_grace: u64) -> bool {
        let last = now.saturating_add(renew_grace);
        let mut is_ahead = self.renewed > now;
        self.renewed = self.renewed.min(now);
        for time in self
            .replaced
            .iter_mut()
            .filter_map(|old| old.good_until.as_mut())
        {
            is_ahead |= *time > last;
            *time = last.min(*time);
        }
        is_ahead
    }

    /// Returns what a secret is to the session at the time `now`. It compares in constant
    /// time.
    pub fn standing(&self, hash: &SecretHash, renew_grace: u64, now: u64) -> Standing {
        if self.current.is(hash) {
            return Standing::Current;
        }
        if self.pending.iter().any(|pending| pending.is(hash)) {
            return Standing::Pending;
        }
        let replaced = self.replaced.iter().find(|old| old.hash.is(hash));
        match replaced.map(|old| old.good_until) {
            None => Standing::Unknown,
            // The newest secret is that of the change of user, or a later one.
            Some(None) if now < self.renewed.saturating_add(renew_grace) => Standing::Late,
            Some(None) => Standing::Replaced,
            Some(Some(until)) if now < until => Standing::InGrace,
            Some(Some(_)) => Standing::Reused,
        }
    }

    /// Returns the secret that was made last.
    pub fn newest(&self) -> &SecretHash {
        self.pending.last().unwrap_or(&self.current)
    }

    /// Returns whether a secret is the one that was made last.
    pub fn is_newest(&self, hash: &SecretHash) -> bool {
        self.newest().is(hash)
    }

    /// Sets the first secret of a session that was not stored before.
    pub fn start(&mut self, hash: SecretHash, now: u64) {
        self.current = hash;
        self.renewed = now;
    }

    /// Adds a pending secret, unless another renewal counts: one that made a newer secret than
    /// `known`, which was the newest when the request came; or one of the last grace, whose
    /// secret the browser has not presented yet.
    pub fn renew(&mut self, known: &SecretHash, hash: SecretHash, renew_grace: u64, now: u64) {
        let is_under_way =
            !self.pending.is_empty() && now < self.renewed.saturating_add(renew_grace);
        if self.is_newest(known) && !is_under_way {
            self.add(hash, now);
        }
    }

    /// Adds a pending secret.
    pub fn add(&mut self, hash: SecretHash, now: u64) {
        self.renewed = now;
        self.pending.push(hash);
        if self.pending.len() > MAX_PENDING {
            let lost = self.pending.remove(0);
            self.retire(lost, None);
        }
    }

    /// Makes a pending secret the current one, since the browser has presented it. The
    /// secrets that are older stay valid until `good_until`.
    pub fn confirm(&mut self, hash: &SecretHash, good_until: u64) {
        let Some(index) = self.pending.iter().position(|pending| pending.is(hash)) else {
            return;
        };
        for _ in 0..=index {
            let next = self.pending.remove(0);
            let old = std::mem::replace(&mut self.current, next);
            self.retire(old, Some(good_until));
        }
    }

    /// Replaces all secrets by one, without a grace, since the user changes.
    pub fn replace(&mut self, hash: SecretHash, now: u64) {
        for old in &mut self.replaced {
            old.good_until = old.good_until.filter(|until| *until <= now);
        }
        let old = std::mem::replace(&mut self.current, hash);
        self.retire(old, None);
        for lost in std::mem::take(&mut self.pending) {
            self.retire(lost, None);
        }
        self.renewed = now;
    }

    fn retire(&mut self, hash: SecretHash, good_until: Option<u64>) {
        self.replaced.push(Replaced { hash, good_until });
        if self.replaced.len() > MAX_REPLACED {
            self.replaced.remove(0);
        }
    }

    /// Returns whether an automatic renewal is due at the time `now`, in a request that
    /// knows `token`.
    pub fn is_renewal_due(&self, token: &KnownToken, rules: &Rules<'_>, now: u64) -> bool {
        // A browser that presents a token in its grace has a newer one, or is about to
        // receive it.
        let is_in_grace = token.standing == Standing::InGrace;
        let time = self.renewal_time(token, rules);
        time.is_some_and(|time| now >= time) && !is_in_grace
    }

    /// Returns whether the response may send `token` again at the time `now`. Only a cookie
    /// with a lifetime is sent again, so that it does not expire while the session is used.
    ///
    /// An older token is never sent again, since the browser would replace the newer one by
    /// it. Within a grace before a renewal no token is sent again either, since the
    /// response with the renewed token might arrive first.
    pub fn may_send_again(&self, token: &KnownToken, rules: &Rules<'_>, now: u64) -> bool {
        let soon = now.saturating_add(milliseconds(rules.config.renew_grace));
        let time = self.renewal_time(token, rules);
        rules.cookie_expires && time.is_none_or(|time| soon < time) && self.is_newest(&token.hash)
    }

    /// Returns when the next automatic renewal is due, or `None` if there will be none.
    ///
    /// If the browser does not present the newest token, the response with it may be lost,
    /// and a cookie with a lifetime would expire. The older token that the browser has may
    /// not be sent again, so another renewal follows after the grace.
    fn renewal_time(&self, token: &KnownToken, rules: &Rules<'_>) -> Option<u64> {
        let seconds = if rules.cookie_expires && !self.is_newest(&token.hash) {
            rules.config.renew_grace
        } else {
            rules.config.renew_after
        };
        let time = self.renewed.saturating_add(milliseconds(seconds));
        (seconds > 0 && rules.has_room).then_some(time)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_the_future_are_corrected_wherever_they_are() {
        let hash = Secret::example().hash();
        let secrets = |renewed, good_until| Secrets {
            renewed,
            replaced: vec![
                Replaced {
                    hash: hash.clone(),
                    good_until,
                },
                Replaced {
                    hash: hash.clone(),
                    good_until: Some(1),
                },
            ],
            ..Secrets::default()
        };
        for (before, is_ahead, after) in [
            (secrets(100, Some(110)), false, secrets(100, Some(110))),
            (secrets(101, Some(110)), true, secrets(100, Some(110))),
            (secrets(100, Some(111)), true, secrets(100, Some(110))),
            (secrets(100, None), false, secrets(100, None)),
        ] {
            let mut corrected = before;
            assert_eq!(corrected.correct_times(100, 10), is_ahead);
            assert_eq!(corrected, after);
        }
    }
}
