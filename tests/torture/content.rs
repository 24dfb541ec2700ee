//! States of which every byte can be told.

use session3_store::{SessionId, StoredSession, Version};

use crate::random::Random;

const HEAD: usize = 40;

/// What a state says about itself. All of its bytes follow from these four
/// numbers, which it begins with, so one that is not as it was saved shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Content {
    /// Whose state it is.
    pub session: SessionId,
    /// The version that this save makes.
    pub version: Version,
    /// What the torture counts, or knows a save by.
    pub number: u64,
    /// Bytes in all, of which 40 are for these four.
    pub length: u64,
}

impl Content {
    /// What to save.
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

    /// What was loaded, or the name of what is wrong with it.
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

/// The 8 bytes at an offset.
pub fn number_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..][..8].try_into().unwrap())
}
