//! Mutexes whose content cannot be left half changed.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks it. No change of what is in it can be left half done, so a panic
/// elsewhere does not matter.
pub fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
