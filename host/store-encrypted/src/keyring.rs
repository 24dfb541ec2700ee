//! The keys of a store.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::{Key, KeyId, KeyringError, RandomSource};

/// What a file of a key ring begins with.
const HEADER: &str = "\
# A key ring of session3. Who can read it can read all sessions that it seals: keep it secret,
# and keep a copy, because without it the sessions are lost.
";

/// The keys of a store: one seals, and all of them open.
///
/// # Its text
///
/// Each line has one key in four words: `seal` or `open`, the key's ID, the time when it was
/// made, and its 64 hexadecimal digits. Exactly one line says `seal`. Empty lines and lines that
/// begin with `#` mean nothing. The ID follows from the key, so that a line which was changed or
/// cut is noticed.
///
/// ```
/// use session3_store_encrypted::{Key, Keyring, SystemRandom};
///
/// let mut keyring = Keyring::new(Key::generate(&SystemRandom, "2027-03-01T09:00:00Z"));
/// let first = keyring.sealing_key().id();
///
/// // A second key opens at once, and seals when every server has it.
/// let second = keyring.add(Key::generate(&SystemRandom, "2028-03-01T09:00:00Z"))?;
/// keyring.seal_with(second)?;
///
/// let read: Keyring = keyring.to_text().parse()?;
/// assert_eq!(read.sealing_key().id(), second);
/// assert_eq!(read.keys().map(Key::id).collect::<Vec<_>>(), [first, second]);
/// # Ok::<(), session3_store_encrypted::KeyringError>(())
/// ```
#[derive(Clone)]
pub struct Keyring {
    /// In the order of the file: a new key comes last.
    keys: Vec<Arc<Key>>,
    /// One of the keys.
    sealing: Arc<Key>,
}

impl Keyring {
    /// Creates a ring with one key, which seals.
    pub fn new(key: Key) -> Self {
        let sealing = Arc::new(key);
        Self {
            keys: vec![sealing.clone()],
            sealing,
        }
    }

    /// Creates a ring with one new key of random bytes, which seals.
    pub fn generate(random: &dyn RandomSource, created: &str) -> Self {
        Self::new(Key::generate(random, created))
    }

    /// Adds a key, which only opens until [`seal_with`](Self::seal_with) chooses it.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Twice`] if the ring has this key.
    pub fn add(&mut self, key: Key) -> Result<KeyId, KeyringError> {
        let id = key.id();
        match self.key(id) {
            Some(_) => Err(KeyringError::Twice(id)),
            None => {
                self.keys.push(Arc::new(key));
                Ok(id)
            }
        }
    }

    /// Chooses the key that seals.
    ///
    /// # Errors
    ///
    /// [`KeyringError::NoKey`] if the ring does not have it.
    pub fn seal_with(&mut self, id: KeyId) -> Result<(), KeyringError> {
        let mut keys = self.keys.iter();
        let key = keys.find(|key| key.id() == id);
        self.sealing = key.ok_or(KeyringError::NoKey(id))?.clone();
        Ok(())
    }

    /// Removes a key, so that what it has sealed cannot be opened any more.
    ///
    /// # Errors
    ///
    /// [`KeyringError::InUse`] if it is the key that seals; [`KeyringError::NoKey`] if the ring
    /// does not have it.
    pub fn remove(&mut self, id: KeyId) -> Result<(), KeyringError> {
        if id == self.sealing.id() {
            return Err(KeyringError::InUse(id));
        }
        self.key(id).ok_or(KeyringError::NoKey(id))?;
        self.keys.retain(|key| key.id() != id);
        Ok(())
    }

    /// Returns the key that seals.
    pub fn sealing_key(&self) -> &Key {
        &self.sealing
    }

    /// Returns the key with this ID.
    pub fn key(&self, id: KeyId) -> Option<&Key> {
        self.keys().find(|key| key.id() == id)
    }

    /// Returns all keys, the newest last.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Key> {
        self.keys.iter().map(|key| &**key)
    }

    /// Returns the text of the ring, which [`parse`](str::parse) reads.
    pub fn to_text(&self) -> Zeroizing<String> {
        // A buffer that grows would leave copies of the keys behind.
        let capacity = HEADER.len()
            + self
                .keys
                .iter()
                .map(|key| LINE + key.created().len())
                .sum::<usize>();
        let mut text = Zeroizing::new(String::with_capacity(capacity));
        text.push_str(HEADER);
        for key in self.keys() {
            let seals = key.id() == self.sealing.id();
            let role = if seals { SEAL } else { OPEN };
            let words = [role, " ", &key.id().to_string(), " ", key.created(), " "];
            words.into_iter().for_each(|word| text.push_str(word));
            text.push_str(&key.digits());
            text.push('\n');
        }
        text
    }
}

const SEAL: &str = "seal";
const OPEN: &str = "open";
/// The bytes of a line without the time: the role, the ID, the digits, three spaces and the end.
const LINE: usize = SEAL.len() + 8 + 64 + 4;

impl FromStr for Keyring {
    type Err = KeyringError;

    fn from_str(text: &str) -> Result<Self, KeyringError> {
        let (mut keys, mut sealing) = (Vec::<Arc<Key>>::new(), Vec::new());
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let in_line = |error| KeyringError::Line {
                line: number + 1,
                source: Box::new(error),
            };
            let (seals, key) = parse_line(line).map_err(in_line)?;
            if keys.iter().any(|other| other.id() == key.id()) {
                return Err(in_line(KeyringError::Twice(key.id())));
            }
            let key = Arc::new(key);
            if seals {
                sealing.push(key.clone());
            }
            keys.push(key);
        }
        let count = sealing.len();
        match <[_; 1]>::try_from(sealing) {
            Ok([sealing]) => Ok(Self { keys, sealing }),
            Err(_) => Err(KeyringError::Sealing(count)),
        }
    }
}

/// Returns the key of a line, and whether it seals.
fn parse_line(line: &str) -> Result<(bool, Key), KeyringError> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [role, id, created, digits] = *words else {
        return Err(KeyringError::Words);
    };
    let seals = match role {
        SEAL => true,
        OPEN => false,
        _ => return Err(KeyringError::Role),
    };
    let id: KeyId = id.parse()?;
    let key = Key::parse(digits, created)?;
    match key.id() == id {
        true => Ok((seals, key)),
        false => Err(KeyringError::WrongId(id)),
    }
}

// The keys themselves stay out.
impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Keyring")
            .field("keys", &self.keys)
            .field("sealing", &self.sealing_key().id())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::digits_of;

    /// Returns a key whose bytes all are this one.
    fn key(byte: u8) -> Key {
        Key::generate(&|bytes: &mut [u8]| bytes.fill(byte), "2027-03-01")
    }

    fn ring() -> Keyring {
        let mut ring = Keyring::new(key(1));
        let second = ring.add(key(2)).expect("a key");
        ring.seal_with(second).expect("the key");
        ring
    }

    #[test]
    fn a_ring_reads_back_as_it_was_written() {
        let text = ring().to_text();
        let read: Keyring = text.parse().expect("a ring");
        assert_eq!(*read.to_text(), *text);
        assert_eq!(read.sealing_key().id(), key(2).id());
        // The buffer did not grow.
        assert_eq!(text.capacity(), text.len());
    }

    #[test]
    fn what_follows_from_a_key_never_changes() {
        let key = key(1);
        assert_eq!(key.id().to_string(), "1dfff191");
        assert_eq!(
            digits_of(key.hash_of("alice")),
            "969ab3fa2c594509c326ae644db1f0e9"
        );
    }

    #[test]
    fn each_changed_line_is_refused_with_its_number() {
        let text = ring().to_text();
        let line = text.lines().last().expect("a line");
        let id = key(2).id();
        for (changed, expected) in [
            (line.replace("seal ", "seals "), KeyringError::Role),
            (line.replace(" 2027", " a b"), KeyringError::Words),
            (line.replace(&id.to_string(), "x"), KeyringError::KeyId),
            (line[..line.len() - 1].into(), KeyringError::Digits),
            (line.replace("0202", "02AB"), KeyringError::Digits),
            (
                line.replace("02020202", "02020203"),
                KeyringError::WrongId(id),
            ),
            (format!("{line}00"), KeyringError::Digits),
            (
                format!("{line}\n{}", line.replace("seal", "open")),
                KeyringError::Twice(id),
            ),
        ] {
            let whole = text.replace(line, &changed);
            let KeyringError::Line { line, source } = whole.parse::<Keyring>().expect_err(&changed)
            else {
                panic!("{changed}: no line");
            };
            assert_eq!(*source, expected, "{changed}");
            assert_eq!(line, 4 + usize::from(changed.contains('\n')));
        }
    }

    #[test]
    fn exactly_one_key_seals() {
        let text = ring().to_text();
        for (changed, count) in [
            (text.replace("seal ", "open "), 0),
            (text.replace("open ", "seal "), 2),
            (String::new(), 0),
        ] {
            let error = changed.parse::<Keyring>().expect_err("an error");
            assert_eq!(error, KeyringError::Sealing(count));
        }
    }

    #[test]
    fn the_key_that_seals_stays() {
        let mut ring = ring();
        let (first, second) = (key(1).id(), key(2).id());
        assert_eq!(ring.remove(second), Err(KeyringError::InUse(second)));
        assert_eq!(ring.add(key(1)), Err(KeyringError::Twice(first)));
        assert_eq!(ring.remove(first), Ok(()));
        assert_eq!(ring.remove(first), Err(KeyringError::NoKey(first)));
        assert_eq!(ring.seal_with(first), Err(KeyringError::NoKey(first)));
        assert_eq!(ring.keys().count(), 1);
    }

    #[test]
    fn no_key_is_shown() {
        for text in [format!("{:?}", ring()), format!("{:?}", key(2))] {
            assert!(text.contains(&key(2).id().to_string()), "{text}");
            assert!(!text.contains("0202") && !text.contains("2, 2"), "{text}");
        }
    }
}
