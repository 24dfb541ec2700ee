//! States of which every byte can be checked.

use session3_store::{SessionId, StoredSession, Version};

use crate::random::Random;

const HEAD: usize = 40;

/// The four numbers with which a state begins. All other bytes follow from them, so any byte that
/// differs from the saved one is detected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Content {
    /// The session that the state belongs to.
    pub session: SessionId,
    /// The version that the save of this state makes.
    pub version: Version,
    /// A number of the torture: a count, or the identity of a save.
    pub number: u64,
    /// The length of the state in bytes, with 40 bytes for these four numbers.
    pub length: u64,
}

impl Content {
    /// Returns the bytes of the state.
    pub fn bytes(&self) -> Vec<u8> {
        let length = self.length as usize;
        let mut bytes = Vec::with_capacity(length + 8);
        bytes.extend(self.session.to_bits().to_le_bytes());
        let numbers = [self.version, self.number, self.length];
        bytes.extend(numbers.into_iter().flat_map(u64::to_le_bytes));
        let seed = bytes.chunks(8).fold(0, |seed, chunk| {
            Random::new(seed ^ number_at(chunk, 0)).number()
        });
        let mut pattern = Random::new(seed);
        while bytes.len() < length {
            bytes.extend(pattern.number().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    /// Reads the content of a session that was loaded.
    ///
    /// # Errors
    ///
    /// The name of the fault if the state is not one that was saved for this session and version.
    pub fn read(stored: &StoredSession) -> Result<Self, &'static str> {
        let bytes = &stored.state.data;
        let head = bytes.get(..HEAD).ok_or("torn")?;
        let session = u128::from(number_at(head, 0)) | u128::from(number_at(head, 8)) << 64;
        let content = Self {
            session: session.into(),
            version: number_at(head, 16),
            number: number_at(head, 24),
            length: number_at(head, 32),
        };
        if content.length != bytes.len() as u64 || content.bytes() != *bytes {
            return Err("torn");
        }
        if content.session != stored.id {
            return Err("foreign");
        }
        if content.version != stored.version {
            return Err("stale");
        }
        Ok(content)
    }
}

/// Returns the number in the 8 bytes at an offset.
pub fn number_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..][..8].try_into().unwrap())
}
