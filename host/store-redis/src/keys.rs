//! The names of the keys.

use std::fmt;

use session3_store::SessionId;
use sha2::{Digest, Sha256};

/// The keys of one store, which begin with its prefix.
pub(crate) struct Keys {
    prefix: String,
}

/// What a key of the server belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The session with this ID.
    Session(SessionId),
    /// The store as a whole, its indexes or its locks.
    Store,
    /// Something else that uses the tags of the store.
    Foreign,
    /// Something that does not use the tags of the store.
    Elsewhere,
}

/// The keys whose names have the same tag are in one slot of a Cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    /// The keys of the store as a whole.
    Store,
    /// The keys of the sessions whose IDs begin with these two digits.
    Sessions(u8),
}

/// What stands between the braces of a name.
struct Braced<'a> {
    prefix: &'a str,
    tag: Tag,
}

impl fmt::Display for Braced<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.prefix)?;
        match self.tag {
            Tag::Store => Ok(()),
            Tag::Sessions(digits) => write!(f, ":{digits:02x}"),
        }
    }
}

impl Tag {
    pub(crate) fn of(id: &SessionId) -> Self {
        Self::Sessions(id.prefix())
    }
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// Returns what stands between the braces: the part of a name that decides its slot.
    pub(crate) fn tag(&self, tag: Tag) -> String {
        self.braced(tag).to_string()
    }

    fn braced(&self, tag: Tag) -> Braced<'_> {
        let prefix = &self.prefix;
        Braced { prefix, tag }
    }

    fn key(&self, tag: Tag, name: impl fmt::Display) -> String {
        format!("{{{}}}:{name}", self.braced(tag))
    }

    /// Returns the name of the hash of a session.
    pub(crate) fn session(&self, id: &SessionId) -> String {
        self.key(Tag::of(id), format_args!("s:{id}"))
    }

    /// Returns the name of the sorted set of the IDs that begin with these digits.
    pub(crate) fn ids(&self, digits: u8) -> String {
        self.key(Tag::Sessions(digits), "ids")
    }

    /// Returns the name of the index by user of the IDs that begin with these digits.
    pub(crate) fn users(&self, digits: u8) -> String {
        self.key(Tag::Sessions(digits), "u")
    }

    /// Returns the name of the lock of a session.
    pub(crate) fn lock(&self, id: &SessionId) -> String {
        self.key(Tag::of(id), format_args!("l:{id}"))
    }

    /// Returns the name of the schema's version.
    pub(crate) fn schema(&self) -> String {
        self.key(Tag::Store, "schema")
    }

    /// Returns the name of the lock that a sweep holds.
    pub(crate) fn sweep_lock(&self) -> String {
        self.key(Tag::Store, "sweep:l")
    }

    /// Returns the name of the ID at which the next sweep continues.
    pub(crate) fn sweep_position(&self) -> String {
        self.key(Tag::Store, "sweep:at")
    }

    /// Returns a pattern that matches all keys of the store. Others may match it, too.
    pub(crate) fn pattern(&self) -> String {
        format!("{{{}[:}}]*", self.prefix)
    }

    /// Returns what a key belongs to.
    pub(crate) fn owner(&self, key: &[u8]) -> Owner {
        let split = || {
            let key = str::from_utf8(key).ok()?;
            key.strip_prefix('{')?.split_once('}')
        };
        let Some((tag, name)) = split() else {
            return Owner::Elsewhere;
        };
        let own = |is_own: bool| if is_own { Owner::Store } else { Owner::Foreign };
        if tag == self.prefix {
            return own([":schema", ":sweep:l", ":sweep:at"].contains(&name));
        }
        let Some(digits) = self.digits_of(tag) else {
            return Owner::Elsewhere;
        };
        let id = |text: &str| {
            text.parse()
                .ok()
                .filter(|id: &SessionId| id.prefix() == digits)
        };
        match (name.strip_prefix(":s:"), name.strip_prefix(":l:")) {
            (Some(text), _) => id(text).map_or(Owner::Foreign, Owner::Session),
            (_, Some(text)) => own(id(text).is_some()),
            _ => own([":ids", ":u"].contains(&name)),
        }
    }

    fn digits_of(&self, tag: &str) -> Option<u8> {
        let text = tag.strip_prefix(&self.prefix)?.strip_prefix(':')?;
        let digits = u8::from_str_radix(text, 16).ok()?;
        (self.tag(Tag::Sessions(digits)) == tag).then_some(digits)
    }

    /// Returns the names of the keys that a change of a session's record needs.
    pub(crate) fn of_record(&self, id: &SessionId) -> [String; 3] {
        let digits = id.prefix();
        [self.session(id), self.ids(digits), self.users(digits)]
    }
}

/// Returns the SHA-256 of a user: the beginning of the user's members of the index.
pub(crate) fn user_hash(user: &str) -> [u8; 32] {
    Sha256::digest(user).into()
}

/// Returns the slot of a Cluster that has the keys with this tag: CRC-16/XMODEM, modulo 16384.
pub(crate) fn slot(tag: &str) -> u16 {
    let crc = tag.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| match crc & 0x8000 {
            0 => crc << 1,
            _ => crc << 1 ^ 0x1021,
        })
    });
    crc % 16384
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_is_that_of_the_specification() {
        assert_eq!(slot("123456789"), 0x31c3);
        // `CLUSTER KEYSLOT foo` answers this.
        assert_eq!(slot("foo"), 12182);
    }

    #[test]
    fn keys_are_told_from_those_of_others() {
        let keys = Keys::new("s3");
        let id = SessionId::from(0xab << 120);
        let owner = |key: &str| keys.owner(key.as_bytes());
        assert_eq!(owner(&keys.session(&id)), Owner::Session(id));
        for key in [keys.lock(&id), keys.ids(0xab), keys.users(0), keys.schema()] {
            assert_eq!(owner(&key), Owner::Store, "{key}");
        }
        for key in [keys.sweep_lock(), keys.sweep_position()] {
            assert_eq!(owner(&key), Owner::Store, "{key}");
        }
        let in_other_tag = format!("{{s3:ac}}:s:{id}");
        for key in [
            "{s3}:x",
            "{s3:ab}:s:x",
            "{s3:ab}:",
            "{s3:ab}",
            &in_other_tag,
        ] {
            assert_eq!(owner(key), Owner::Foreign, "{key}");
        }
        for key in [
            "{s30}:schema",
            "{s3:AB}:ids",
            "{s3:+b}:ids",
            "{s3:abc}:ids",
            "s3",
            "{s3",
        ] {
            assert_eq!(owner(key), Owner::Elsewhere, "{key}");
        }
    }

    #[test]
    fn all_keys_of_a_session_have_its_tag() {
        let keys = Keys::new("s3");
        let id = SessionId::from(0xab << 120);
        assert_eq!(keys.session(&id), format!("{{s3:ab}}:s:{id}"));
        assert_eq!(keys.lock(&id), format!("{{s3:ab}}:l:{id}"));
        assert_eq!(keys.ids(0xab), "{s3:ab}:ids");
        assert_eq!(keys.users(0xab), "{s3:ab}:u");
        assert_eq!(keys.schema(), "{s3}:schema");
    }
}
