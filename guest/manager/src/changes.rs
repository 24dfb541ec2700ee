//! What one request changed, kept apart from what it read, so that it can be
//! applied to a newer state when others committed first.
//!
//! Different attributes never disturb each other; additions all count; the
//! same attribute set twice keeps the later commit.

use crate::bindings::exports::session3::sessions::manager::SessionError;
use crate::forms::FormTokens;
use crate::sorted::Sorted;
use crate::state::{Attribute, State};

/// The changes of one request since its last commit. The values are in the
/// request's view.
#[derive(Default)]
pub struct Changes {
    user: Option<UserChange>,
    attributes: Sorted<AttributeChange>,
    /// Those that it made.
    pub forms: FormTokens,
    /// Those that it left and did not take.
    pub messages: Vec<String>,
    /// The numbers of those that it found and took.
    pub taken_messages: Vec<u64>,
    /// Whether it asked for another token.
    pub renews: bool,
}

/// That the user was set, and whether that ever made the contents go.
struct UserChange {
    clears_contents: bool,
}

enum AttributeChange {
    /// It has the view's value, or none.
    Set,
    /// Wider than the attribute: the sum of several additions may not fit into
    /// one although each step did.
    Add(i128),
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.user.is_none()
            && self.attributes.is_empty()
            && self.forms.is_empty()
            && self.messages.is_empty()
            && self.taken_messages.is_empty()
            && !self.renews
    }

    /// Whether the user was set, so that the token has to change.
    pub fn set_a_user(&self) -> bool {
        self.user.is_some()
    }

    /// Whether all that was there before has gone with its user.
    pub fn clear_contents(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.clears_contents)
    }

    /// The user is set; whether the contents go.
    pub fn set_user(&mut self, clears_contents: bool) {
        let cleared_earlier = self.clear_contents();
        if clears_contents {
            *self = Self::default();
        }
        self.user = Some(UserChange {
            clears_contents: clears_contents || cleared_earlier,
        });
    }

    /// The attribute gets another value, or goes.
    pub fn set(&mut self, name: &str) {
        self.attributes.insert(name, AttributeChange::Set);
    }

    /// The attribute is added to.
    pub fn add(&mut self, name: &str, delta: i64) {
        let change = match self.attributes.get(name) {
            None => AttributeChange::Add(delta.into()),
            Some(AttributeChange::Add(earlier)) => {
                AttributeChange::Add(earlier.saturating_add(delta.into()))
            }
            // The request gave it a value, or took it away, and knows the sum.
            Some(AttributeChange::Set) => return,
        };
        self.attributes.insert(name, change);
    }

    /// Makes the changes, which `view` has the values of, in a newer state; an
    /// error when they do not go with what others made of it.
    pub fn apply(&self, view: &State, state: &mut State) -> Result<(), SessionError> {
        if self.user.is_some() {
            if self.clear_contents() {
                state.clear_contents();
            }
            state.user.clone_from(&view.user);
            state.user_epoch = view.user_epoch;
            state.authenticated = view.authenticated;
        }
        for (name, change) in self.attributes.iter() {
            change.apply(name, view, state)?;
        }
        state.forms.add_all(&self.forms);
        state.messages.remove(&self.taken_messages);
        for message in &self.messages {
            state.messages.add(message.clone())?;
        }
        Ok(())
    }
}

impl AttributeChange {
    fn apply(&self, name: &str, view: &State, state: &mut State) -> Result<(), SessionError> {
        let value = match (self, view.attributes.get(name)) {
            (Self::Add(delta), _) => {
                Attribute::Integer(sum(state.attributes.get(name), *delta, name)?)
            }
            (Self::Set, Some(value)) => value.clone(),
            (Self::Set, None) => {
                state.attributes.remove(name);
                return Ok(());
            }
        };
        state.set_attribute(name, value)
    }
}

/// `delta` more than the attribute called `name`, which starts at 0.
pub fn sum(attribute: Option<&Attribute>, delta: i128, name: &str) -> Result<i64, SessionError> {
    let invalid = |why| SessionError::Invalid(["attribute \"", name, "\": ", why].concat());
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
