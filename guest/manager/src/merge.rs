//! Merging: the changes of one request, kept apart from what the request read, so that they
//! can be applied to a newer state if other requests committed first.
//!
//! Changes of different attributes never conflict. Additions all count. If two requests set
//! one attribute, the later commit counts. A request whose session went to another user
//! merges nothing.

use crate::attribute::{Attribute, sum};
use crate::bindings::exports::session3::sessions::manager::SessionError;
use crate::errors::{session_error, undecodable};
use crate::forms::FormTokens;
use crate::imports::Imports;
use crate::sorted::Sorted;
use crate::state::State;

/// The number of times that one commit tries its compare-and-swap. An attempt fails only if
/// another commit succeeded, so 64 concurrent commits of one session all succeed. The
/// component cannot sleep between two attempts.
pub const MAX_ATTEMPTS: u32 = 64;

/// The changes of one request since its last commit. The values themselves are in the
/// request's view of the session.
#[derive(Default)]
pub struct Changes {
    user: Option<UserChange>,
    attributes: Sorted<AttributeChange>,
    /// The form tokens that the request created.
    pub forms: FormTokens,
    /// The messages that the request added and did not take.
    pub messages: Vec<String>,
    /// The numbers of the stored messages that the request took.
    pub taken_messages: Vec<u64>,
    /// Whether the request asked for a renewal.
    pub renews: bool,
    /// Whether the request created the first CSRF token of the session.
    pub creates_csrf: bool,
    /// Whether the session is remembered from now on, if the request changed that.
    pub remembers: Option<bool>,
}

/// The user was set.
struct UserChange {
    /// Whether the contents of the session were cleared, at this or an earlier change.
    clears_contents: bool,
}

enum AttributeChange {
    /// The attribute was set to the view's value, or removed if the view has none.
    Set,
    /// This was added to the attribute. The type is wider than the attribute's, since the
    /// sum of several additions may not fit into an attribute although each result did.
    Add(i128),
}

impl Changes {
    /// Returns whether there are no changes.
    pub fn is_empty(&self) -> bool {
        self.user.is_none()
            && self.attributes.is_empty()
            && self.forms.is_empty()
            && self.messages.is_empty()
            && self.taken_messages.is_empty()
            && !self.renews
            && !self.creates_csrf
            && self.remembers.is_none()
    }

    /// Returns whether the user was set, so that all secrets have to be replaced.
    pub fn sets_user(&self) -> bool {
        self.user.is_some()
    }

    /// Returns whether the contents of the session were cleared because its user changed.
    pub fn clears_contents(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.clears_contents)
    }

    /// Notes that the user was set, and whether that cleared the contents of the session.
    pub fn set_user(&mut self, clears_contents: bool) {
        let cleared_earlier = self.clears_contents();
        if clears_contents {
            *self = Self::default();
        }
        self.user = Some(UserChange {
            clears_contents: clears_contents || cleared_earlier,
        });
    }

    /// Notes that an attribute was set or removed.
    pub fn set_attribute(&mut self, name: &str) {
        self.attributes.insert(name, AttributeChange::Set);
    }

    /// Notes that `delta` was added to an attribute.
    pub fn add_to_attribute(&mut self, name: &str, delta: i64) {
        let change = match self.attributes.get(name) {
            None => AttributeChange::Add(delta.into()),
            Some(AttributeChange::Add(earlier)) => {
                AttributeChange::Add(earlier.saturating_add(delta.into()))
            }
            // The request set or removed the attribute, so the view's sum is final.
            Some(AttributeChange::Set) => return,
        };
        self.attributes.insert(name, change);
    }

    /// Applies the changes to a newer state. `view` is the request's view, which has the
    /// values.
    ///
    /// # Errors
    ///
    /// `invalid` if the changes are not possible in the newer state. That state is then
    /// changed in part and must not be saved.
    pub fn apply(&self, view: &State, newer: &mut State) -> Result<(), SessionError> {
        let epoch = newer.user_epoch;
        if self.user.is_some() {
            if self.clears_contents() {
                newer.clear_contents();
            }
            newer.user.clone_from(&view.user);
            newer.user_epoch = view.user_epoch;
            newer.authenticated = view.authenticated;
            if view.user_epoch != epoch {
                newer.csrf = None;
            }
        }
        if self.creates_csrf && newer.csrf.is_none() {
            newer.csrf.clone_from(&view.csrf);
        }
        if let Some(is_remembered) = self.remembers {
            newer.is_remembered = is_remembered;
        }
        for (name, change) in self.attributes.iter() {
            change.apply(name, view, newer)?;
        }
        newer.forms.add_all(&self.forms);
        newer.messages.remove(&self.taken_messages);
        for message in &self.messages {
            newer.messages.add(message.clone())?;
        }
        Ok(())
    }
}

impl AttributeChange {
    fn apply(&self, name: &str, view: &State, newer: &mut State) -> Result<(), SessionError> {
        let value = match (self, view.attributes.get(name)) {
            (Self::Add(delta), _) => {
                Attribute::Integer(sum(newer.attributes.get(name), *delta, name)?)
            }
            (Self::Set, Some(value)) => value.clone(),
            (Self::Set, None) => {
                newer.attributes.remove(name);
                return Ok(());
            }
        };
        newer.set_attribute(name, value)
    }
}

/// Loads the newer state with which a request has to merge, and its version.
///
/// # Errors
///
/// `ended` if the session was ended, or if its user epoch is not `user_epoch` any more;
/// `store` if the state cannot be read.
pub fn load_newer(
    id: &str,
    user_epoch: u64,
    imports: &dyn Imports,
) -> Result<(State, u64), SessionError> {
    let stored = imports
        .load_session(id)
        .map_err(session_error)?
        .ok_or(SessionError::Ended)?;
    let state = State::decode(&stored.state).map_err(undecodable)?;
    if state.user_epoch != user_epoch {
        return Err(SessionError::Ended);
    }
    Ok((state, stored.version))
}
