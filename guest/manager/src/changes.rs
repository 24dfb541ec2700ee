//! What one request changed, kept apart from what it read, so that it can be
//! applied to a newer state when others committed first.
//!
//! Different attributes never disturb each other; additions all count; the
//! same attribute set twice keeps the later commit.

use std::collections::BTreeMap;

use crate::bindings::exports::session3::sessions::manager::SessionError;
use crate::state::{Attribute, State};

/// The changes of one request since its last commit.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    user: Option<UserChange>,
    attributes: BTreeMap<String, AttributeChange>,
}

/// The last change of user, and whether any of them made attributes go.
#[derive(Clone, Debug)]
struct UserChange {
    user: Option<String>,
    at: u64,
    drops_attributes: bool,
}

#[derive(Clone, Debug)]
enum AttributeChange {
    Set(Attribute),
    Remove,
    /// Wider than the attribute: the sum of several additions may not fit into
    /// one although each step did.
    Add(i128),
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.user.is_none() && self.attributes.is_empty()
    }

    /// Whether the user was set, so that the token has to change.
    pub fn set_a_user(&self) -> bool {
        self.user.is_some()
    }

    /// From `before`, who is the user so far, to `user`.
    pub fn set_user(&mut self, before: Option<&str>, user: Option<String>, at: u64) {
        let drops_now = before.is_some() && before != user.as_deref();
        if drops_now {
            self.attributes.clear();
        }
        let dropped_earlier = self.user.as_ref().is_some_and(|c| c.drops_attributes);
        self.user = Some(UserChange {
            user,
            at,
            drops_attributes: drops_now || dropped_earlier,
        });
    }

    /// The attribute gets a value, whatever it has.
    pub fn set(&mut self, name: String, value: Attribute) {
        self.attributes.insert(name, AttributeChange::Set(value));
    }

    /// The attribute goes.
    pub fn remove(&mut self, name: String) {
        self.attributes.insert(name, AttributeChange::Remove);
    }

    /// The attribute, whose value was just found to become `sum`, is added to.
    pub fn add(&mut self, name: String, delta: i64, sum: i64) {
        let change = match self.attributes.get(&name) {
            None => AttributeChange::Add(delta.into()),
            Some(AttributeChange::Add(earlier)) => {
                AttributeChange::Add(earlier.saturating_add(delta.into()))
            }
            // The request gave it a value, or took it away, and knows the sum.
            Some(AttributeChange::Set(_) | AttributeChange::Remove) => {
                AttributeChange::Set(Attribute::Integer(sum))
            }
        };
        self.attributes.insert(name, change);
    }

    /// `state` with the changes made; an error when they do not go with what
    /// others made of it.
    pub fn apply(&self, state: &State) -> Result<State, SessionError> {
        let mut next = state.clone();
        if let Some(change) = &self.user {
            change.apply(&mut next);
        }
        for (name, change) in &self.attributes {
            change.apply(&mut next, name)?;
        }
        Ok(next)
    }
}

impl UserChange {
    fn apply(&self, state: &mut State) {
        if self.drops_attributes {
            state.attributes.clear();
        }
        if self.drops_attributes || state.user != self.user {
            state.user_epoch += 1;
        }
        state.user.clone_from(&self.user);
        state.authenticated = self.user.is_some().then_some(self.at);
    }
}

impl AttributeChange {
    fn apply(&self, state: &mut State, name: &str) -> Result<(), SessionError> {
        let value = match self {
            Self::Set(value) => value.clone(),
            Self::Add(delta) => Attribute::Integer(sum(state.attributes.get(name), *delta, name)?),
            Self::Remove => {
                state.attributes.remove(name);
                return Ok(());
            }
        };
        state.set_attribute(name, value)
    }
}

/// `delta` more than the attribute called `name`, which starts at 0.
pub fn sum(attribute: Option<&Attribute>, delta: i128, name: &str) -> Result<i64, SessionError> {
    let invalid = |why| SessionError::Invalid(format!("attribute {name:?}: {why}"));
    let before = match attribute {
        None => 0,
        Some(Attribute::Integer(value)) => *value,
        Some(_) => return Err(invalid("only an integer can be added to")),
    };
    delta
        .checked_add(before.into())
        .and_then(|sum| i64::try_from(sum).ok())
        .ok_or_else(|| invalid("the sum does not fit into 64 bits"))
}
