//! What a session is, and the bytes that the store keeps of it.
//!
//! The first byte is the version of the encoding; bincode's standard form of
//! [`State`] follows. The user is not in it: the store keeps that in a field of
//! its own, and two copies could differ.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bindings::exports::session3::sessions::manager::SessionError;
use crate::bindings::session3::sessions::{store::SessionState, types::Value};
use crate::token::SecretHash;

/// The version that this manager writes.
const VERSION: u8 = 1;
/// Attributes of one session.
const MAX_ATTRIBUTES: usize = 1000;

/// All that the manager knows of a session, apart from its ID and version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Milliseconds since 1970.
    pub created: u64,
    /// Of the secret that opens the session; of none before it is stored.
    pub secret: SecretHash,
    /// Who is logged in.
    #[serde(skip)]
    pub user: Option<String>,
    /// Counts the changes of user: a commit that began under another epoch
    /// saves nothing.
    pub user_epoch: u64,
    /// When the user was last set.
    pub authenticated: Option<u64>,
    /// Of the request that started the session.
    pub remote_address: Option<String>,
    /// Likewise.
    pub user_agent: Option<String>,
    /// What the application keeps.
    pub attributes: BTreeMap<String, Attribute>,
}

/// An attribute's value with an encoding of its own, so that a change of the
/// WIT cannot change stored bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Attribute {
    /// True or false.
    Boolean(bool),
    /// What `add` counts in.
    Integer(i64),
    /// A float.
    Number(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A JSON text.
    Json(String),
}

/// Why stored bytes are not a state.
#[derive(Debug, PartialEq)]
pub enum DecodeError {
    /// A later manager wrote them: this one must not touch the session.
    Newer(u8),
    /// They are not what any manager wrote.
    Damaged(String),
}

impl State {
    /// Whether there is anything worth keeping.
    pub fn has_info(&self) -> bool {
        self.user.is_some() || !self.attributes.is_empty()
    }

    /// The session with nothing in it.
    pub fn emptied(&self) -> Self {
        Self {
            user: None,
            authenticated: None,
            attributes: BTreeMap::new(),
            ..self.clone()
        }
    }

    /// Gives an attribute a value; refuses one attribute too many.
    pub fn set_attribute(&mut self, name: &str, value: Attribute) -> Result<(), SessionError> {
        if let Some(attribute) = self.attributes.get_mut(name) {
            *attribute = value;
            return Ok(());
        }
        if self.attributes.len() >= MAX_ATTRIBUTES {
            return Err(SessionError::Invalid(format!(
                "a session holds at most {MAX_ATTRIBUTES} attributes: remove some first"
            )));
        }
        self.attributes.insert(name.to_owned(), value);
        Ok(())
    }

    /// What the store keeps of it.
    pub fn encode(&self, expires: u64) -> Result<SessionState, SessionError> {
        let data = bincode::serde::encode_to_vec((VERSION, self), bincode::config::standard())
            .map_err(|_| SessionError::Invalid("the session cannot be encoded".into()))?;
        Ok(SessionState {
            user: self.user.clone(),
            expires,
            data,
        })
    }

    /// What the store kept.
    pub fn decode(stored: &SessionState) -> Result<Self, DecodeError> {
        let damaged = |why: &str| DecodeError::Damaged(why.into());
        let (version, data) = stored
            .data
            .split_first()
            .ok_or_else(|| damaged("the state is empty"))?;
        match *version {
            VERSION => {}
            0 => return Err(damaged("no encoding has version 0")),
            newer => return Err(DecodeError::Newer(newer)),
        }
        let (mut state, length): (Self, usize) =
            bincode::serde::decode_from_slice(data, bincode::config::standard())
                .map_err(|_| damaged("it does not decode"))?;
        if length != data.len() {
            return Err(damaged("bytes are left over"));
        }
        state.user.clone_from(&stored.user);
        Ok(state)
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer(version) => write!(
                f,
                "its state has version {version}, this manager reads {VERSION}: use a newer one"
            ),
            Self::Damaged(why) => write!(f, "its state is damaged: {why}"),
        }
    }
}

impl From<Value> for Attribute {
    fn from(value: Value) -> Self {
        match value {
            Value::Boolean(v) => Self::Boolean(v),
            Value::Integer(v) => Self::Integer(v),
            Value::Number(v) => Self::Number(v),
            Value::Text(v) => Self::Text(v),
            Value::Bytes(v) => Self::Bytes(v),
            Value::Json(v) => Self::Json(v),
        }
    }
}

impl From<Attribute> for Value {
    fn from(attribute: Attribute) -> Self {
        match attribute {
            Attribute::Boolean(v) => Self::Boolean(v),
            Attribute::Integer(v) => Self::Integer(v),
            Attribute::Number(v) => Self::Number(v),
            Attribute::Text(v) => Self::Text(v),
            Attribute::Bytes(v) => Self::Bytes(v),
            Attribute::Json(v) => Self::Json(v),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use crate::token::Secret;

    /// One of everything.
    fn example() -> State {
        let attributes = [
            ("b", Attribute::Boolean(true)),
            ("i", Attribute::Integer(-3)),
            ("j", Attribute::Json("[1]".into())),
            ("n", Attribute::Number(0.5)),
            ("t", Attribute::Text("é".into())),
            ("y", Attribute::Bytes(vec![0, 255])),
        ];
        State {
            created: 1_700_000_000_000,
            secret: Secret::new(&Fake::default()).hash(),
            user: Some("alice".into()),
            user_epoch: 2,
            authenticated: Some(1_700_000_000_001),
            remote_address: Some("192.0.2.1".into()),
            user_agent: None,
            attributes: attributes.map(|(n, a)| (n.to_owned(), a)).into(),
        }
    }

    #[test]
    fn a_state_reads_back_as_it_was() {
        let state = example();
        let stored = state.encode(9).expect("encodes");
        assert_eq!((stored.user.as_deref(), stored.expires), (Some("alice"), 9));
        assert_eq!(State::decode(&stored), Ok(state));
    }

    /// Sessions outlive releases: what this version wrote has to be read for
    /// ever.
    #[test]
    fn the_bytes_of_version_1_are_the_golden_ones() {
        let golden = include_bytes!("../golden/state-1.bin");
        let stored = example().encode(9).expect("encodes");
        assert_eq!(stored.data, golden, "{:02x?}", stored.data);
    }

    #[test]
    fn a_state_of_a_newer_manager_is_not_taken_for_damage() {
        let mut stored = example().encode(0).expect("encodes");
        stored.data[0] = 2;
        assert_eq!(State::decode(&stored), Err(DecodeError::Newer(2)));
    }

    #[test]
    fn whatever_is_cut_off_or_added_is_damage() {
        let whole = example().encode(0).expect("encodes");
        for length in 0..whole.data.len() {
            let mut stored = whole.clone();
            stored.data.truncate(length);
            let decoded = State::decode(&stored);
            assert!(matches!(decoded, Err(DecodeError::Damaged(_))), "{length}");
        }
        let mut stored = whole;
        stored.data.push(0);
        assert!(matches!(
            State::decode(&stored),
            Err(DecodeError::Damaged(_))
        ));
    }
}
