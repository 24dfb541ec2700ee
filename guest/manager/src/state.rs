//! The state of a session, and its encoding in the record.
//!
//! The first byte is the version of the encoding. The fields follow in bincode's standard
//! encoding, in the order of [`Encoding`]. Version 1 ends after the attributes. Version 2
//! contains the form tokens themselves where version 3 contains their hashes. Version 4 is
//! version 3 with the fields of [`Addition`] at the end. The user is not encoded, because the
//! store keeps the user in a field of its own, and two copies could differ.

use serde::Serialize;

use crate::attribute::{Attribute, invalid};
use crate::bindings::exports::session3::sessions::manager::SessionError;
use crate::bindings::session3::sessions::store::SessionState;
use crate::csrf::CsrfSeed;
use crate::encoding::{DecodeError, Input, encode};
use crate::forms::FormTokens;
use crate::messages::Messages;
use crate::renewal::{Replaced, Secrets};
use crate::sorted::Sorted;
use crate::token::SecretHash;

/// The version of a state without the fields of [`Addition`]. An earlier release reads it, so
/// a session that does not use the new fields works while two releases run side by side.
const VERSION: u8 = 3;
/// The version of a state with the fields of [`Addition`]. This manager reads all versions up
/// to this one.
const NEWEST_VERSION: u8 = 4;
/// What a state begins with that the host's `EncryptedStore` has sealed.
const SEAL: &[u8] = b"\xfes3";
/// The number of attributes that one session can have.
const MAX_ATTRIBUTES: usize = 1000;

/// The state of a session: all that the manager knows of it, apart from its ID, its version
/// and its expiry.
#[derive(Clone, Default)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct State {
    /// The time when the session began, in milliseconds since 1970.
    pub created: u64,
    /// The secrets that open the session or did.
    pub secrets: Secrets,
    /// The user who is logged in.
    pub user: Option<String>,
    /// The number of changes of user. A commit that began in another epoch saves nothing.
    pub user_epoch: u64,
    /// The time when the user was last set, in milliseconds since 1970.
    pub authenticated: Option<u64>,
    /// The remote address of the request that started the session.
    pub remote_address: Option<String>,
    /// The user agent of the request that started the session.
    pub user_agent: Option<String>,
    /// The values that the application keeps in the session.
    pub attributes: Sorted<Attribute>,
    /// The valid form tokens.
    pub forms: FormTokens,
    /// The messages for the next page.
    pub messages: Messages,
    /// The seed of the CSRF tokens, from the first one on.
    pub csrf: Option<CsrfSeed>,
    /// Whether the session lasts longer than the browser, because its user asked for that.
    pub is_remembered: bool,
}

/// The encoded fields, in their order. Reordering them would make every stored session
/// unreadable.
#[derive(Serialize)]
struct Encoding<'a> {
    version: u8,
    created: u64,
    secret: &'a SecretHash,
    user_epoch: u64,
    authenticated: Option<u64>,
    remote_address: Option<&'a str>,
    user_agent: Option<&'a str>,
    attributes: &'a Sorted<Attribute>,
    // Since version 2.
    secret_history: (u64, &'a [SecretHash], &'a [Replaced]),
    forms: &'a FormTokens,
    messages: &'a Messages,
}

/// The encoded fields since version 4, in their order.
#[derive(Serialize)]
struct Addition<'a> {
    csrf: &'a Option<CsrfSeed>,
    is_remembered: bool,
}

impl State {
    /// Returns whether the session contains anything worth storing.
    pub fn has_info(&self) -> bool {
        self.has_more_than_form_tokens() || !self.forms.is_empty() || self.csrf.is_some()
    }

    /// Returns whether the session contains anything but form tokens and CSRF tokens. Any
    /// robot that loads a form causes such tokens.
    pub fn has_more_than_form_tokens(&self) -> bool {
        self.user.is_some() || !self.attributes.is_empty() || !self.messages.is_empty()
    }

    /// Removes everything that belongs to the user.
    pub fn clear_contents(&mut self) {
        self.attributes.clear();
        self.forms.clear();
        self.messages.clear();
        self.csrf = None;
        self.is_remembered = false;
    }

    /// Removes the user and everything that belongs to the user.
    pub fn clear_user_and_contents(&mut self) {
        self.user = None;
        self.authenticated = None;
        self.clear_contents();
    }

    /// Sets an attribute.
    ///
    /// # Errors
    ///
    /// `invalid` if there are too many attributes.
    pub fn set_attribute(&mut self, name: &str, value: Attribute) -> Result<(), SessionError> {
        let attributes = &mut self.attributes;
        if attributes.len() >= MAX_ATTRIBUTES && attributes.get(name).is_none() {
            return Err(invalid(
                name,
                "it was not added, since a session has at most 1000: remove some first",
            ));
        }
        attributes.insert(name, value);
        Ok(())
    }

    /// Encodes the state for the store.
    pub fn encode(&self, expires: u64) -> Result<SessionState, SessionError> {
        let addition = Addition {
            csrf: &self.csrf,
            is_remembered: self.is_remembered,
        };
        let has_addition = self.csrf.is_some() || self.is_remembered;
        let encoding = Encoding {
            version: if has_addition {
                NEWEST_VERSION
            } else {
                VERSION
            },
            created: self.created,
            secret: self.secrets.current(),
            user_epoch: self.user_epoch,
            authenticated: self.authenticated,
            remote_address: self.remote_address.as_deref(),
            user_agent: self.user_agent.as_deref(),
            attributes: &self.attributes,
            secret_history: self.secrets.history(),
            forms: &self.forms,
            messages: &self.messages,
        };
        let unencodable = |_| SessionError::Invalid("the session cannot be encoded".into());
        let data = if has_addition {
            encode((encoding, addition))
        } else {
            encode(encoding)
        };
        let data = data.map_err(unencodable)?;
        Ok(SessionState {
            user: self.user.clone(),
            expires,
            data,
        })
    }

    /// Decodes the state that the store returned.
    pub fn decode(stored: &SessionState) -> Result<Self, DecodeError> {
        let (version, data) = match stored.data.split_first() {
            None => return Err(DecodeError::Damaged("the state is empty")),
            Some((0, _)) => return Err(DecodeError::Damaged("no encoding has version 0")),
            Some(_) if stored.data.starts_with(SEAL) => return Err(DecodeError::Sealed),
            Some((version, _)) if *version > NEWEST_VERSION => return Err(DecodeError::Newer),
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
        let mut state = Self {
            created: input.value()?,
            secrets: Secrets::read_current(input)?,
            user_epoch: input.value()?,
            authenticated: input.option(Input::value)?,
            remote_address: input.option(Input::text)?,
            user_agent: input.option(Input::text)?,
            attributes: Sorted::read(input, Attribute::read)?,
            ..Self::default()
        };
        if version == 1 {
            // Version 1 does not contain the time when the secret was made, which was not
            // before this one.
            let renewed = state.authenticated.unwrap_or(state.created);
            state.secrets.set_renewed(renewed);
            return Ok(state);
        }
        state.secrets.read_history(input)?;
        state.forms = FormTokens::read(input)?;
        state.messages = Messages::read(input)?;
        if version == 2 {
            state.forms.hash();
        }
        if version >= 4 {
            state.csrf = input.option(CsrfSeed::read)?;
            state.is_remembered = input.value()?;
        }
        Ok(state)
    }

    /// Replaces times that are in the future, and returns whether there were any. A host whose
    /// clock was ahead has written them. Otherwise the absolute timeout would begin, and the
    /// authentication would be recent, until the clock gets there.
    pub fn correct_times(&mut self, now: u64, renew_grace: u64) -> bool {
        let is_ahead = self.created > now || self.authenticated.is_some_and(|time| time > now);
        self.created = self.created.min(now);
        self.authenticated = self.authenticated.map(|time| time.min(now));
        self.secrets.correct_times(now, renew_grace) || is_ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use crate::forms::FormTokenHash;
    use crate::imports::Imports;
    use crate::token::Secret;

    /// Returns a state with each kind of content that version 1 knows.
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
        let mut secrets = Secrets::default();
        secrets.start(Secret::new(&Fake::default()).hash(), 1_700_000_000_001);
        State {
            created: 1_700_000_000_000,
            secrets,
            user: Some("alice".into()),
            user_epoch: 2,
            authenticated: Some(1_700_000_000_001),
            remote_address: Some("192.0.2.1".into()),
            user_agent: None,
            attributes,
            ..State::default()
        }
    }

    /// Returns a state with each kind of content.
    fn example() -> State {
        let fake = Fake::default();
        let mut state = example_1();
        let hash = || Secret::new(&fake).hash();
        let secrets = &mut state.secrets;
        assert!(hash().is(secrets.current()), "the next ones are others");
        secrets.replace(hash(), 1_700_000_000_002);
        let second = hash();
        secrets.add(second.clone(), 1_700_000_000_003);
        secrets.confirm(&second, 1_700_000_060_004);
        secrets.add(hash(), 1_700_000_000_005);
        let form = fake.random().to_le_bytes();
        state.forms.add(FormTokenHash::new(&form));
        state.messages.add("Saved.".into()).expect("room for one");
        state
    }

    /// Returns a state that only version 4 can encode.
    fn example_4() -> State {
        State {
            csrf: Some(CsrfSeed::new(1)),
            is_remembered: true,
            ..example()
        }
    }

    #[test]
    fn a_state_reads_back_as_it_was() {
        for state in [example(), example_4()] {
            let stored = state.encode(9).expect("encodes");
            assert_eq!((stored.user.as_deref(), stored.expires), (Some("alice"), 9));
            assert_eq!(State::decode(&stored), Ok(state));
        }
    }

    /// Sessions outlive releases, so each version has to be read for ever.
    #[test]
    fn the_bytes_of_version_1_are_read() {
        let stored = SessionState {
            user: Some("alice".into()),
            expires: 9,
            data: include_bytes!("../golden/state-1.bin").to_vec(),
        };
        assert_eq!(State::decode(&stored), Ok(example_1()));
    }

    /// Version 2 contains the form tokens themselves.
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
    fn the_bytes_of_version_4_are_the_golden_ones() {
        let golden = include_bytes!("../golden/state-4.bin");
        let stored = example_4().encode(9).expect("encodes");
        assert_eq!(stored.data, golden, "{:02x?}", stored.data);
    }

    /// An earlier release may run beside this one, and refuses version 4.
    #[test]
    fn version_4_is_written_only_for_what_needs_it() {
        let version = |state: State| state.encode(0).expect("encodes").data[0];
        assert_eq!(version(example()), 3);
        let csrf = Some(CsrfSeed::new(1));
        assert_eq!(version(State { csrf, ..example() }), 4);
        let is_remembered = true;
        let remembered = State {
            is_remembered,
            ..example()
        };
        assert_eq!(version(remembered.clone()), 4);
        let mut cleared = remembered;
        cleared.clear_user_and_contents();
        assert_eq!(version(cleared), 3);
    }

    #[test]
    fn times_in_the_future_are_corrected() {
        let (now, grace) = (1_700_000_000_000, 60_000);
        let mut state = example();
        assert!(!state.clone().correct_times(now + 100_000, grace));
        assert!(state.correct_times(now - 1_000_000, grace));
        assert_eq!(state.created, now - 1_000_000);
        assert_eq!(state.authenticated, Some(now - 1_000_000));
        assert!(!state.clone().correct_times(now - 1_000_000, grace));
    }

    #[test]
    fn a_state_of_a_newer_manager_is_not_taken_for_damage() {
        let mut stored = example().encode(0).expect("encodes");
        stored.data[0] = NEWEST_VERSION + 1;
        assert_eq!(State::decode(&stored), Err(DecodeError::Newer));
        stored.data[..4].copy_from_slice(b"\xfes3\x01");
        assert_eq!(State::decode(&stored), Err(DecodeError::Sealed));
    }

    /// The changed bytes include every length, so some lengths exceed the bytes that follow.
    #[test]
    fn whatever_byte_is_another_no_decoding_panics() {
        let whole = example_4().encode(0).expect("encodes");
        for place in 0..whole.data.len() {
            for byte in [0, 1, 0x7f, 250, 251, 252, 253, 254, 255] {
                let mut stored = whole.clone();
                stored.data[place] = byte;
                let _ = State::decode(&stored);
            }
        }
    }

    fn golden() -> [SessionState; 4] {
        let golden: [&[u8]; 4] = [
            include_bytes!("../golden/state-1.bin"),
            include_bytes!("../golden/state-2.bin"),
            include_bytes!("../golden/state-3.bin"),
            include_bytes!("../golden/state-4.bin"),
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
        let whole = example_4().encode(0).expect("encodes");
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
