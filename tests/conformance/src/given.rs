//! What a test of the suite is given.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use session3_store::{SessionId, SessionStore};

/// A clock that a test sets, in milliseconds since 1970. It begins at 1000. Clones show the
/// same time.
#[derive(Clone, Debug)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    /// Returns a function that reads the clock. Every such function is a
    /// [`Clock`](session3_store::Clock).
    pub fn reader(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let clock = self.0.clone();
        move || clock.load(Ordering::SeqCst)
    }

    /// Returns the number that the clock shows.
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

/// An empty store, its clock, and what is known of it.
pub struct Given {
    /// The store.
    pub store: Arc<dyn SessionStore>,
    /// The clock of the store.
    pub clock: TestClock,
    /// Whether several processes may use the store; false by default.
    pub is_multiprocess_safe: bool,
    /// Whether the store has `import_session`; true by default.
    pub can_import: bool,
    damage: Option<Box<Damage>>,
    keep: Vec<Box<dyn Any + Send>>,
}

type Damage = dyn Fn(&SessionId) + Send + Sync;

impl Given {
    /// Creates the input of a test.
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

    /// Sets whether several processes may use the store at the same time.
    pub fn multiprocess_safe(mut self, is_safe: bool) -> Self {
        self.is_multiprocess_safe = is_safe;
        self
    }

    /// Declares that the store has no `import_session`.
    pub fn without_import(mut self) -> Self {
        self.can_import = false;
        self
    }

    /// Sets how to damage the record of a session. A store without this does not show what
    /// happens to damaged records.
    pub fn damage_with(mut self, damage: impl Fn(&SessionId) + Send + Sync + 'static) -> Self {
        self.damage = Some(Box::new(damage));
        self
    }

    /// Keeps a value until the end of the test, for example a temporary directory.
    pub fn keep(mut self, value: impl Send + 'static) -> Self {
        self.keep.push(Box::new(value));
        self
    }

    /// Damages the record of a session. Returns false if that is not possible.
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
