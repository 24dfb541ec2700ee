//! The manager's imports `store` and `events`, for an embedder's linker.

mod convert;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{HasData, Linker, Resource};

use crate::bindings::session3::sessions::{events, store as wit, types};
use crate::store::{SessionId, SessionLock, SessionStore, StoreError};

pub use crate::bindings::session3::sessions::events::{EndReason, Event, RejectReason};

/// How long a guest's sweep may take at a time: a request waits for it.
const SWEEP_LIMIT: Duration = Duration::from_secs(5);

/// How long a session is exclusive at most: by default longer than a request may
/// take.
const LOCK_TIME: Duration = Duration::from_secs(30);

type CommitSink = Arc<dyn Fn(Duration) + Send + Sync>;
type EventSink = Arc<dyn Fn(Event) + Send + Sync>;

/// What a commit took so far.
struct Attempt {
    began: Instant,
    ended: Instant,
}

/// What the embedder's store data has to hold for [`add_to_linker`].
pub struct SessionsCtx {
    store: Arc<dyn SessionStore>,
    on_event: EventSink,
    on_commit: CommitSink,
    /// The commit whose save somebody else was faster with: another may follow.
    conflict: Option<Attempt>,
    lock_time: Duration,
    /// The instance's exclusive sessions, by the number of their handle.
    locks: HashMap<u32, (SessionId, SessionLock)>,
}

impl Clone for SessionsCtx {
    /// For another instance, which holds locks of its own.
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            on_event: self.on_event.clone(),
            on_commit: self.on_commit.clone(),
            conflict: None,
            lock_time: self.lock_time,
            locks: HashMap::new(),
        }
    }
}

impl SessionsCtx {
    /// Sessions in this store; events go nowhere.
    pub fn new(store: Arc<dyn SessionStore>) -> Self {
        Self {
            store,
            on_event: Arc::new(|_| ()),
            on_commit: Arc::new(|_| ()),
            conflict: None,
            lock_time: LOCK_TIME,
            locks: HashMap::new(),
        }
    }

    /// Calls `on_commit` with the time that each commit took, from its first
    /// save to the one that got through, failed or was the last; using up a
    /// form token counts as one. It must not block either.
    pub fn on_commit(mut self, on_commit: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.on_commit = Arc::new(on_commit);
        self
    }

    /// How long a request may have a session exclusively; 30 seconds by
    /// default.
    pub fn lock_time(mut self, time: Duration) -> Self {
        self.lock_time = time;
        self
    }

    /// Calls `on_event` with everything that the manager reports. It must not
    /// block: a request waits for it.
    pub fn on_event(mut self, on_event: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.on_event = Arc::new(on_event);
        self
    }
}

impl SessionsCtx {
    /// Measures one attempt of a commit; after a conflict, another may follow.
    fn attempted<T>(&mut self, began: Instant, result: &Result<T, StoreError>) {
        let began = self.conflict.take().map_or(began, |first| first.began);
        match result {
            Err(StoreError::Conflict(_)) => {
                let ended = Instant::now();
                self.conflict = Some(Attempt { began, ended });
            }
            _ => (self.on_commit)(began.elapsed()),
        }
    }

    /// No other attempt follows: the request is over.
    pub(crate) fn finish(&mut self) {
        if let Some(attempt) = self.conflict.take() {
            (self.on_commit)(attempt.ended - attempt.began);
        }
    }
}

impl Drop for SessionsCtx {
    fn drop(&mut self) {
        self.finish();
    }
}

/// How [`add_to_linker`] finds the context in the embedder's store data.
pub trait SessionsView: Send {
    /// The context.
    fn sessions(&mut self) -> &mut SessionsCtx;
}

struct HasSessions;

impl HasData for HasSessions {
    type Data<'a> = &'a mut SessionsCtx;
}

/// Adds `session3:sessions/store` and `session3:sessions/events`, which is all
/// that the manager component imports beside WASI's clock and random numbers.
///
/// Whoever has `store` has all sessions, so link this to the manager only, and
/// the manager's exports to an application.
///
/// ```
/// use session3::bindings::{SessionManager, exports::session3::sessions::manager};
/// use session3::{SessionsCtx, SessionsView, store::MemoryStore};
/// use wasmtime::component::{Component, Linker, ResourceTable};
/// use wasmtime::{Engine, Store};
/// use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
///
/// struct State {
///     sessions: SessionsCtx,
///     wasi: WasiCtx,
///     table: ResourceTable,
/// }
///
/// impl SessionsView for State {
///     fn sessions(&mut self) -> &mut SessionsCtx {
///         &mut self.sessions
///     }
/// }
///
/// impl WasiView for State {
///     fn ctx(&mut self) -> WasiCtxView<'_> {
///         WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
///     }
/// }
///
/// # #[tokio::main]
/// # async fn main() -> wasmtime::Result<()> {
/// let engine = Engine::default();
/// let mut linker = Linker::<State>::new(&engine);
/// wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
/// session3::add_to_linker(&mut linker)?;
///
/// let mut store = Store::new(&engine, State {
///     sessions: SessionsCtx::new(std::sync::Arc::new(MemoryStore::default())),
///     wasi: WasiCtx::builder().build(),
///     table: ResourceTable::new(),
/// });
/// let component = Component::new(&engine, session3::components::MANAGER)?;
/// let component = SessionManager::instantiate_async(&mut store, &component, &linker).await?;
///
/// let guest = component.session3_sessions_manager();
/// let config = guest.call_default_config(&mut store).await?;
/// let manager = guest.session_manager().call_open(&mut store, &config).await??;
/// let request = manager::Request {
///     cookies: vec![b"__Host-session=forged".to_vec()],
///     remote_address: None,
///     user_agent: None,
/// };
/// let session = guest
///     .session_manager()
///     .call_get_session(&mut store, manager, &request, manager::Mode::Merge)
///     .await??;
/// assert!(guest.session().call_is_new(&mut store, session).await?);
/// # Ok(())
/// # }
/// ```
pub fn add_to_linker<T: SessionsView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    types::add_to_linker::<T, HasSessions>(linker, T::sessions)?;
    wit::add_to_linker::<T, HasSessions>(linker, T::sessions)?;
    events::add_to_linker::<T, HasSessions>(linker, T::sessions)
}

impl types::Host for SessionsCtx {}

impl events::Host for SessionsCtx {
    async fn report(&mut self, event: Event) {
        (self.on_event)(event);
    }
}

impl wit::Host for SessionsCtx {
    async fn setup(&mut self) -> Result<(), wit::StoreError> {
        told(self.store.setup().await)
    }

    async fn create_session(
        &mut self,
        id: String,
        state: wit::SessionState,
    ) -> Result<u64, wit::StoreError> {
        let (id, began) = (parse(&id)?, Instant::now());
        let created = self.store.create_session(&id, &state.into()).await;
        self.attempted(began, &created);
        told(created)
    }

    async fn load_session(
        &mut self,
        id: String,
    ) -> Result<Option<wit::StoredSession>, wit::StoreError> {
        let id = parse(&id)?;
        let session = told(self.store.load_session(&id).await)?;
        Ok(session.map(wit::StoredSession::from))
    }

    async fn save_session(
        &mut self,
        id: String,
        state: wit::SessionState,
        expected: u64,
    ) -> Result<u64, wit::StoreError> {
        let (id, began) = (parse(&id)?, Instant::now());
        let state = state.into();
        let saved = self.store.save_session(&id, &state, expected).await;
        self.attempted(began, &saved);
        told(saved)
    }

    async fn touch_session(
        &mut self,
        id: String,
        expires: u64,
        expected: u64,
    ) -> Result<(), wit::StoreError> {
        let id = parse(&id)?;
        told(self.store.touch_session(&id, expires, expected).await)
    }

    async fn delete_session(&mut self, id: String) -> Result<bool, wit::StoreError> {
        let id = parse(&id)?;
        told(self.store.delete_session(&id).await)
    }

    async fn has_session(&mut self, id: String) -> Result<bool, wit::StoreError> {
        let id = parse(&id)?;
        told(self.store.has_session(&id).await)
    }

    async fn delete_old_sessions(
        &mut self,
        minutes: u32,
    ) -> Result<wit::SweepReport, wit::StoreError> {
        let sweep = self.store.delete_old_sessions(minutes, Some(SWEEP_LIMIT));
        Ok(told(sweep.await)?.into())
    }

    async fn iter_sessions(
        &mut self,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<wit::SessionPage, wit::StoreError> {
        let page = self.store.iter_sessions(cursor.as_deref(), limit);
        Ok(told(page.await)?.into())
    }

    async fn sessions_of_user(&mut self, user: String) -> Result<Vec<String>, wit::StoreError> {
        let ids = told(self.store.sessions_of_user(&user).await)?;
        Ok(ids.iter().map(SessionId::to_string).collect())
    }

    async fn lock_session(
        &mut self,
        id: String,
    ) -> Result<Resource<wit::SessionLock>, wit::StoreError> {
        let id = parse(&id)?;
        let mut locks = self.locks.values();
        if locks.any(|(locked, lock)| *locked == id && lock.is_held()) {
            return Err(wit::StoreError::Busy);
        }
        let lock = told(self.store.lock_session(&id, self.lock_time).await)?;
        let number = (0..).find(|number| !self.locks.contains_key(number));
        // A guest with four billion of them has other troubles.
        let number = number.ok_or(wit::StoreError::Busy)?;
        self.locks.insert(number, (id, lock));
        Ok(Resource::new_own(number))
    }

    async fn is_multiprocess_safe(&mut self) -> bool {
        self.store.is_multiprocess_safe()
    }

    async fn is_thread_safe(&mut self) -> bool {
        self.store.is_thread_safe()
    }
}

impl wit::HostSessionLock for SessionsCtx {
    async fn is_held(&mut self, lock: Resource<wit::SessionLock>) -> bool {
        let lock = self.locks.get(&lock.rep());
        lock.is_some_and(|(_, lock)| lock.is_held())
    }

    async fn drop(&mut self, lock: Resource<wit::SessionLock>) -> wasmtime::Result<()> {
        self.locks.remove(&lock.rep());
        Ok(())
    }
}

/// For the guest; what the system said, for the operator too.
fn told<T>(result: Result<T, StoreError>) -> Result<T, wit::StoreError> {
    if let Err(error @ StoreError::Unavailable(_)) = &result {
        tracing::error!("{error}");
    }
    Ok(result?)
}

/// Nothing is done with an ID that is none.
fn parse(id: &str) -> Result<SessionId, wit::StoreError> {
    Ok(id.parse::<SessionId>()?)
}
