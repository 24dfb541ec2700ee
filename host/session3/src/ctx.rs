//! The state that the host keeps for one instance of the session manager.

use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use session3_store::{Clock, SessionId, SessionLock, SessionStore};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{HostWallClock, WasiCtxBuilder};

use crate::bindings::session3::sessions::events::Event;

/// The default for how long a request may hold a session exclusively. It is longer than a
/// request may take by default.
const LOCK_TIME: Duration = Duration::from_secs(30);

/// How many sessions an instance may hold exclusively at a time. Each lock may take a file
/// descriptor.
const MAX_LOCKS: usize = 8;

type CommitSink = Arc<dyn Fn(Duration) + Send + Sync>;
type EventSink = Arc<dyn Fn(Event) + Send + Sync>;

/// The store and the sinks of one instance of the session manager.
///
/// ```
/// use std::sync::Arc;
///
/// use session3::{SessionsCtx, store::MemoryStore};
///
/// let sessions = SessionsCtx::builder(Arc::new(MemoryStore::default()))
///     .on_event(|event| println!("{event:?}"))
///     .build();
///
/// // Each instance of a component has a context of its own.
/// let for_another_instance = sessions.for_new_instance();
/// ```
pub struct SessionsCtx {
    shared: Arc<Shared>,
    /// When the commit began that is under way.
    commit_began: Option<Instant>,
    /// The sessions that this instance holds exclusively.
    locks: Vec<(SessionId, Weak<SessionLock>)>,
    /// Where to note the session of the request that is under way.
    session: Option<Arc<OnceLock<SessionId>>>,
}

/// What the contexts of all instances share.
struct Shared {
    store: Arc<dyn SessionStore>,
    on_event: EventSink,
    on_commit: CommitSink,
    lock_time: Duration,
    clock: Option<Arc<dyn Clock>>,
}

/// Builds a [`SessionsCtx`].
pub struct SessionsCtxBuilder {
    shared: Shared,
}

impl SessionsCtxBuilder {
    /// Calls `on_event` with each event that the session manager reports, except the begin and
    /// the end of commits. The call must not block, since a request waits for it. By default,
    /// events are dropped.
    pub fn on_event(mut self, on_event: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.shared.on_event = Arc::new(on_event);
        self
    }

    /// Calls `on_commit` with the duration of each commit that creates, saves or ends a
    /// session, merges and failed commits included. The call must not block.
    pub fn on_commit(mut self, on_commit: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.shared.on_commit = Arc::new(on_commit);
        self
    }

    /// Sets how long a request may hold a session exclusively: 30 seconds by default.
    pub fn lock_time(mut self, time: Duration) -> Self {
        self.shared.lock_time = time;
        self
    }

    /// Sets the time of day that the session manager sees, and the application with it, in
    /// place of this machine's. See [`StoreClock`](crate::store::StoreClock).
    ///
    /// An embedder with a linker of its own sets the clock of its `WasiCtx`.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.shared.clock = Some(clock);
        self
    }

    /// Returns the context.
    pub fn build(self) -> SessionsCtx {
        SessionsCtx::from(Arc::new(self.shared))
    }
}

impl From<Arc<Shared>> for SessionsCtx {
    fn from(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            commit_began: None,
            locks: Vec::new(),
            session: None,
        }
    }
}

impl SessionsCtx {
    /// Creates a context for sessions in this store, which drops events.
    pub fn new(store: Arc<dyn SessionStore>) -> Self {
        Self::builder(store).build()
    }

    /// Starts building a context for sessions in this store.
    pub fn builder(store: Arc<dyn SessionStore>) -> SessionsCtxBuilder {
        SessionsCtxBuilder {
            shared: Shared {
                store,
                on_event: Arc::new(|_| ()),
                on_commit: Arc::new(|_| ()),
                lock_time: LOCK_TIME,
                clock: None,
            },
        }
    }

    /// Creates the context of another instance: with the same store and sinks, without the
    /// locks that this instance holds.
    pub fn for_new_instance(&self) -> Self {
        Self::from(self.shared.clone())
    }

    /// Returns the store.
    pub fn store(&self) -> &Arc<dyn SessionStore> {
        &self.shared.store
    }

    /// Gives the clock to an instance, if there is one.
    pub(crate) fn set_clock(&self, wasi: &mut WasiCtxBuilder) {
        if let Some(clock) = &self.shared.clock {
            wasi.wall_clock(WallClock(clock.clone()));
        }
    }

    /// Ends the request of this instance.
    pub(crate) fn end_request(&mut self) {
        self.commit_began = None;
        self.locks.clear();
        self.session = None;
    }

    /// Notes in `session` which session the request that begins has.
    pub(crate) fn note_session_in(&mut self, session: Arc<OnceLock<SessionId>>) {
        self.session = Some(session);
    }

    /// Notes the session of the request, which is the first one that it loads or creates.
    pub(crate) fn note_session(&self, id: &SessionId) {
        if let Some(session) = &self.session {
            session.get_or_init(|| *id);
        }
    }

    pub(crate) fn lock_time(&self) -> Duration {
        self.shared.lock_time
    }

    pub(crate) fn report(&mut self, event: Event) {
        match event {
            Event::CommitBegan => self.commit_began = Some(Instant::now()),
            Event::CommitEnded => {
                if let Some(began) = self.commit_began.take() {
                    (self.shared.on_commit)(began.elapsed());
                }
            }
            event => (self.shared.on_event)(event),
        }
    }

    /// Returns whether this instance holds the session exclusively.
    pub(crate) fn has_locked(&mut self, id: &SessionId) -> bool {
        let is_held = |lock: &Weak<SessionLock>| lock.upgrade().is_some_and(|l| l.is_held());
        self.locks.retain(|(_, lock)| is_held(lock));
        self.locks.iter().any(|(locked, _)| locked == id)
    }

    /// Returns whether this instance holds as many sessions exclusively as it may.
    pub(crate) fn has_all_locks(&self) -> bool {
        self.locks.len() >= MAX_LOCKS
    }

    /// Remembers that this instance holds the session exclusively.
    pub(crate) fn add_lock(&mut self, id: SessionId, lock: &Arc<SessionLock>) {
        self.locks.push((id, Arc::downgrade(lock)));
    }
}

/// A clock as WASI's time of day.
struct WallClock(Arc<dyn Clock>);

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.now())
    }
}

/// Borrows what the host functions need from the embedder's store data.
pub struct SessionsCtxView<'a> {
    /// The context.
    pub ctx: &'a mut SessionsCtx,
    /// The table that holds the session locks of the instance.
    pub table: &'a mut ResourceTable,
}

/// Gives the host functions access to a [`SessionsCtx`] in the embedder's store data.
pub trait SessionsView: Send {
    /// Returns the context and the table.
    fn sessions(&mut self) -> SessionsCtxView<'_>;
}
