//! What a session is, and the bytes that the store keeps of it.
//!
//! The first byte is the version of the encoding; bincode's standard form of
//! [`State`] follows, as version 1 had it, and then what version 2 added, which
//! had form tokens where version 3 has their hashes. The user is not in it: the
//! store keeps that in a field of its own, and two copies could differ.
//!
//! Serde writes the bytes, but reading them is our own: serde would take a hash
//! byte by byte, and 6 kB of the component.

use serde::Serialize;

use crate::bindings::exports::session3::sessions::manager::SessionError;
use crate::bindings::session3::sessions::{store::SessionState, types::Value};
use crate::encoding::{DecodeError, Input, encode};
use crate::forms::FormTokens;
use crate::messages::Messages;
use crate::renewal::{Renewal, Secrets};
use crate::sorted::Sorted;
use crate::token::SecretHash;

/// The version that this manager writes; it reads all before it.
const VERSION: u8 = 3;
/// Attributes of one session.
const MAX_ATTRIBUTES: usize = 1000;

/// All that the manager knows of a session, apart from its ID and version.
#[derive(Clone, Default, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct State {
    /// Milliseconds since 1970.
    pub created: u64,
    /// The secrets that open the session, opened it, or will open it.
    pub secrets: Secrets,
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
    pub attributes: Sorted<Attribute>,
    /// The form tokens that are good. From here on since version 2.
    #[serde(skip)]
    pub forms: FormTokens,
    /// Messages for the next page.
    #[serde(skip)]
    pub messages: Messages,
}

/// An attribute's value with an encoding of its own, so that a change of the
/// WIT cannot change stored bytes.
#[derive(Clone, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
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

impl State {
    /// Whether there is anything worth keeping.
    pub fn has_info(&self) -> bool {
        self.has_more_than_form_tokens() || !self.forms.is_empty()
    }

    /// Whether there is anything but form tokens, which every robot gets.
    pub fn has_more_than_form_tokens(&self) -> bool {
        self.user.is_some() || !self.attributes.is_empty() || !self.messages.is_empty()
    }

    /// Takes everything out that belongs to a user.
    pub fn clear_contents(&mut self) {
        self.attributes.clear();
        self.forms.clear();
        self.messages.clear();
    }

    /// Takes everything out.
    pub fn empty(&mut self) {
        self.user = None;
        self.authenticated = None;
        self.clear_contents();
    }

    /// Gives an attribute a value; refuses one attribute too many.
    pub fn set_attribute(&mut self, name: &str, value: Attribute) -> Result<(), SessionError> {
        let attributes = &mut self.attributes;
        if attributes.len() >= MAX_ATTRIBUTES && attributes.get(name).is_none() {
            return Err(SessionError::Invalid(
                "a session holds at most 1000 attributes: remove some first".into(),
            ));
        }
        attributes.insert(name, value);
        Ok(())
    }

    /// What the store keeps of it.
    pub fn encode(&self, expires: u64) -> Result<SessionState, SessionError> {
        let whole = (
            VERSION,
            self,
            &self.secrets.renewal,
            &self.forms,
            &self.messages,
        );
        let data = encode(whole)
            .map_err(|_| SessionError::Invalid("the session cannot be encoded".into()))?;
        Ok(SessionState {
            user: self.user.clone(),
            expires,
            data,
        })
    }

    /// What the store kept.
    pub fn decode(stored: &SessionState) -> Result<Self, DecodeError> {
        let (version, data) = match stored.data.split_first() {
            None => return Err(DecodeError::Damaged("the state is empty")),
            Some((0, _)) => return Err(DecodeError::Damaged("no encoding has version 0")),
            Some((version, _)) if *version > VERSION => return Err(DecodeError::Newer),
            Some(whole) => whole,
        };
        let mut input = Input::new(data);
        let mut state = Self::read(&mut input, *version)?;
        if !input.is_empty() {
            return Err(DecodeError::Damaged("the state has bytes left over"));
        }
        state.user.clone_from(&stored.user);
        Ok(state)
    }

    fn read(input: &mut Input<'_>, version: u8) -> Result<Self, DecodeError> {
        let mut state = Self::read_version_1(input)?;
        if version == 1 {
            state.secrets.renewal.renewed = state.authenticated.unwrap_or(state.created);
            return Ok(state);
        }
        state.secrets.renewal = Renewal::read(input)?;
        state.forms = FormTokens::read(input)?;
        state.messages = Messages::read(input)?;
        if version == 2 {
            state.forms.hash();
        }
        Ok(state)
    }

    fn read_version_1(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            created: input.value()?,
            secrets: Secrets {
                current: SecretHash::read(input)?,
                ..Secrets::default()
            },
            user_epoch: input.value()?,
            authenticated: input.option(Input::value)?,
            remote_address: input.option(Input::text)?,
            user_agent: input.option(Input::text)?,
            attributes: Sorted::read(input, Attribute::read)?,
            ..Self::default()
        })
    }
}

impl Attribute {
    /// By the numbers that `Serialize` gives to the variants.
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(match input.value::<u32>()? {
            0 => Self::Boolean(input.value()?),
            1 => Self::Integer(input.value()?),
            2 => Self::Number(input.value()?),
            3 => Self::Text(input.text()?),
            4 => Self::Bytes(input.bytes()?),
            5 => Self::Json(input.text()?),
            _ => return Err(DecodeError::Damaged("an attribute is of no known kind")),
        })
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
    use crate::forms::FormTokenHash;
    use crate::imports::Imports;
    use crate::token::Secret;

    /// One of everything that version 1 had.
    fn example_1() -> State {
        let mut attributes = Sorted::default();
        for (name, value) in [
            ("b", Attribute::Boolean(true)),
            ("i", Attribute::Integer(-3)),
            ("j", Attribute::Json("[1]".into())),
            ("n", Attribute::Number(0.5)),
            ("t", Attribute::Text("é".into())),
            ("y", Attribute::Bytes(vec![0, 255])),
        ] {
            attributes.insert(name, value);
        }
        State {
            created: 1_700_000_000_000,
            secrets: Secrets {
                current: Secret::new(&Fake::default()).hash(),
                ..Secrets::default()
            },
            user: Some("alice".into()),
            user_epoch: 2,
            authenticated: Some(1_700_000_000_001),
            remote_address: Some("192.0.2.1".into()),
            user_agent: None,
            attributes,
            ..State::default()
        }
    }

    /// One of everything.
    fn example() -> State {
        let fake = Fake::default();
        let mut state = example_1();
        let hash = || Secret::new(&fake).hash();
        assert!(
            hash().is(&state.secrets.current),
            "the next ones are others"
        );
        state.secrets.replace_all(hash(), 1_700_000_000_002);
        let second = hash();
        state.secrets.add(second.clone(), 1_700_000_000_003);
        state.secrets.confirm(&second, 1_700_000_060_004);
        state.secrets.add(hash(), 1_700_000_000_005);
        let form = fake.random().to_le_bytes();
        state.forms.add(FormTokenHash::of(&form));
        state.messages.add("Saved.".into()).expect("room for one");
        state
    }

    #[test]
    fn a_state_reads_back_as_it_was() {
        let state = example();
        let stored = state.encode(9).expect("encodes");
        assert_eq!((stored.user.as_deref(), stored.expires), (Some("alice"), 9));
        assert_eq!(State::decode(&stored), Ok(state));
    }

    /// Sessions outlive releases: what a version wrote has to be read for
    /// ever.
    #[test]
    fn the_bytes_of_version_1_are_read() {
        let stored = SessionState {
            user: Some("alice".into()),
            expires: 9,
            data: include_bytes!("../golden/state-1.bin").to_vec(),
        };
        let mut expected = example_1();
        expected.secrets.renewal.renewed = 1_700_000_000_001;
        assert_eq!(State::decode(&stored), Ok(expected));
    }

    /// It had the form tokens as they were sent.
    #[test]
    fn the_bytes_of_version_2_are_read() {
        let stored = SessionState {
            user: Some("alice".into()),
            expires: 9,
            data: include_bytes!("../golden/state-2.bin").to_vec(),
        };
        assert_eq!(State::decode(&stored), Ok(example()));
    }

    #[test]
    fn the_bytes_of_version_3_are_the_golden_ones() {
        let golden = include_bytes!("../golden/state-3.bin");
        let stored = example().encode(9).expect("encodes");
        assert_eq!(stored.data, golden, "{:02x?}", stored.data);
    }

    #[test]
    fn a_state_of_a_newer_manager_is_not_taken_for_damage() {
        let mut stored = example().encode(0).expect("encodes");
        stored.data[0] = VERSION + 1;
        assert_eq!(State::decode(&stored), Err(DecodeError::Newer));
    }

    /// Every byte, so every length too: nothing promises more than there is.
    #[test]
    fn whatever_byte_is_another_no_decoding_panics() {
        let whole = example().encode(0).expect("encodes");
        for place in 0..whole.data.len() {
            for byte in [0, 1, 0x7f, 250, 251, 252, 253, 254, 255] {
                let mut stored = whole.clone();
                stored.data[place] = byte;
                let _ = State::decode(&stored);
            }
        }
    }

    fn golden() -> [SessionState; 3] {
        let golden: [&[u8]; 3] = [
            include_bytes!("../golden/state-1.bin"),
            include_bytes!("../golden/state-2.bin"),
            include_bytes!("../golden/state-3.bin"),
        ];
        golden.map(|data| SessionState {
            user: None,
            expires: 0,
            data: data.to_vec(),
        })
    }

    #[test]
    fn whatever_byte_of_any_version_is_another_what_decodes_reads_back() {
        for whole in golden() {
            for place in 0..whole.data.len() {
                for byte in 0..=255 {
                    let mut stored = whole.clone();
                    stored.data[place] = byte;
                    let Ok(state) = State::decode(&stored) else {
                        continue;
                    };
                    let again = state.encode(0).expect("encodes");
                    assert_eq!(State::decode(&again), Ok(state), "{place}: {byte}");
                }
            }
        }
    }

    #[test]
    fn whatever_is_cut_off_any_version_is_damage() {
        for whole in golden() {
            for length in 0..whole.data.len() {
                let mut stored = whole.clone();
                stored.data.truncate(length);
                let decoded = State::decode(&stored);
                assert!(matches!(decoded, Err(DecodeError::Damaged(_))), "{length}");
            }
        }
    }

    #[test]
    fn attributes_out_of_order_are_damage() {
        let mut stored = example().encode(0).expect("encodes");
        let name = stored.data.windows(2).position(|pair| pair == [1, b'i']);
        stored.data[name.expect("the name") + 1] = b'a';
        let error = DecodeError::Damaged("the attributes are out of order");
        assert_eq!(State::decode(&stored), Err(error));
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
