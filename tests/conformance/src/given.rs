//! The input of a test of the suite: a store, and what the test may expect of it.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use session3_store::{SessionId, SessionStore};

/// A clock that a test sets, in milliseconds since 1970.
///
/// It begins at 1000 and stands still until the test sets it. Clones share one time.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::Ordering;
///
/// use session3_store_tests::TestClock;
///
/// let clock = TestClock::default();
/// let now = clock.reader();
/// assert_eq!(now(), 1000);
/// clock.store(5000, Ordering::SeqCst);
/// assert_eq!(now(), 5000);
/// ```
#[derive(Clone, Debug)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    /// Returns a function that reads the clock, to give to the store. Every such function is
    /// a [`Clock`](session3_store::Clock).
    pub fn reader(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let clock = self.0.clone();
        move || clock.load(Ordering::SeqCst)
    }

    /// Returns the number behind the clock, for a store that keeps a reference to it.
    pub fn shared(&self) -> &Arc<AtomicU64> {
        &self.0
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(1000)))
    }
}

impl Deref for TestClock {
    type Target = AtomicU64;

    fn deref(&self) -> &AtomicU64 {
        &self.0
    }
}

/// The input of a test: an empty store, its clock, and what the test may expect of the store.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use session3_store::MemoryStore;
/// use session3_store_tests::{Given, TestClock};
///
/// let clock = TestClock::default();
/// let store = Arc::new(MemoryStore::new(clock.reader()));
/// let given = Given::new(store, clock).multiprocess_safe(false);
/// assert!(given.can_import);
/// ```
pub struct Given {
    /// The store, which has no sessions yet.
    pub store: Arc<dyn SessionStore>,
    /// The clock that the store reads.
    pub clock: TestClock,
    /// Whether several processes may use the store at the same time; false by default.
    pub is_multiprocess_safe: bool,
    /// Whether the store supports `import_session`; true by default.
    pub can_import: bool,
    damage: Option<Box<Damage>>,
    keep: Vec<Box<dyn Any + Send>>,
}

type Damage = dyn Fn(&SessionId) + Send + Sync;

impl Given {
    /// Creates the input of a test from an empty store and the clock that the store reads.
    pub fn new(store: Arc<dyn SessionStore>, clock: TestClock) -> Self {
        Self {
            store,
            clock,
            is_multiprocess_safe: false,
            can_import: true,
            damage: None,
            keep: Vec::new(),
        }
    }

    /// Sets whether several processes may use the store at the same time. The suite checks
    /// that the store says the same.
    pub fn multiprocess_safe(mut self, is_safe: bool) -> Self {
        self.is_multiprocess_safe = is_safe;
        self
    }

    /// Declares that the store does not support `import_session`. The suite then checks that
    /// an import fails with [`StoreError::Unsupported`](session3_store::StoreError::Unsupported).
    pub fn without_import(mut self) -> Self {
        self.can_import = false;
        self
    }

    /// Sets a function that damages the record of a session, for example by overwriting it
    /// with other bytes. A load must then fail with
    /// [`StoreError::Corrupt`](session3_store::StoreError::Corrupt).
    ///
    /// Without this function, the suite skips the promise about damaged records.
    pub fn damage_with(mut self, damage: impl Fn(&SessionId) + Send + Sync + 'static) -> Self {
        self.damage = Some(Box::new(damage));
        self
    }

    /// Keeps a value until the end of the test, for example the guard that removes a temporary
    /// directory.
    pub fn keep(mut self, value: impl Send + 'static) -> Self {
        self.keep.push(Box::new(value));
        self
    }

    /// Damages the record of a session. Returns false and changes nothing if
    /// [`damage_with`](Self::damage_with) was not called.
    pub fn damage(&self, id: &SessionId) -> bool {
        if let Some(damage) = &self.damage {
            damage(id);
        }
        self.damage.is_some()
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").finish_non_exhaustive()
    }
}
