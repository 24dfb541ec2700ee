//! The memory for the bodies of requests and responses that the server holds for its clients.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a frame costs at least, in bytes: a body in many small frames takes more memory than its
/// bytes.
const MIN_COST: usize = 256;

/// Returns what a frame with this number of bytes costs of the memory for bodies.
pub fn cost(bytes: usize) -> usize {
    bytes.max(MIN_COST)
}

/// The memory for all bodies together.
#[derive(Clone)]
pub struct Buffers {
    semaphore: Arc<Semaphore>,
    size: usize,
}

/// A part of the memory, which is given back when this is dropped.
#[derive(Default)]
pub struct Share {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Buffers {
    /// Creates buffers of this size in bytes.
    pub fn new(size: usize) -> Self {
        let size = size.min(Semaphore::MAX_PERMITS);
        Self {
            semaphore: Arc::new(Semaphore::new(size)),
            size,
        }
    }

    /// Returns whether more than three quarters of the memory are taken.
    pub fn are_crowded(&self) -> bool {
        self.semaphore.available_permits() < self.size / 4
    }

    /// Takes a number of bytes; `None` if not so many are left.
    pub fn take(&self, bytes: usize) -> Option<Share> {
        let bytes = u32::try_from(bytes).ok()?;
        let permit = self.semaphore.clone().try_acquire_many_owned(bytes).ok()?;
        Some(Share {
            _permit: Some(permit),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let buffers = Buffers::new(10);
        let first = buffers.take(6).expect("there is room");
        assert!(buffers.take(5).is_none() && !buffers.are_crowded());
        let second = buffers.take(4).expect("there is room");
        assert!(buffers.are_crowded());
        drop(first);
        assert!(buffers.take(6).is_some());
        drop(second);
    }
}
