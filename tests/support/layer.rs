//! A store as it is, or sealed, for tests that hold for both.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use session3_store::Maintenance;
use session3_store_encrypted::{EncryptedStore, Keyring};

/// How a test uses a store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layer {
    /// As it is.
    Plain,
    /// Sealed with [`key_ring`].
    Sealed,
}

impl Layer {
    /// Returns the store with this layer.
    pub fn over(self, store: impl Maintenance + 'static) -> Arc<dyn Maintenance> {
        match self {
            Self::Plain => Arc::new(store),
            Self::Sealed => Arc::new(sealed(store)),
        }
    }
}

/// Returns a key ring, which is the same in every process.
pub fn key_ring() -> Keyring {
    Keyring::generate(&|bytes: &mut [u8]| bytes.fill(7), "today")
}

/// Seals a store with [`key_ring`]. Its nonces are numbers, so that a test that repeats its choices
/// also repeats the bytes.
pub fn sealed(store: impl Maintenance + 'static) -> EncryptedStore {
    let count = AtomicU64::new(0);
    let nonce = move |bytes: &mut [u8]| {
        let number = count.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        let pairs = bytes.iter_mut().zip(number);
        pairs.for_each(|(to, from)| *to = from);
    };
    EncryptedStore::new(Arc::new(store), key_ring()).random(nonce)
}
