//! The host functions of the interfaces that the session manager imports.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use session3_store::{SessionId, SessionLock, StoreError};
use wasmtime::component::{HasData, Linker, Resource};

use crate::bindings::session3::sessions::events::{self, Event};
use crate::bindings::session3::sessions::{session_types, store as wit};
use crate::ctx::{SessionsCtxView, SessionsView};
use crate::log_limit::{Decision, LogLimit};

session3_store::convert_store_bindings!(wit);

/// How long a sweep of a guest may take: a request waits for it.
const SWEEP_LIMIT: Duration = Duration::from_secs(5);

/// The lock of an exclusive session, as the table of an instance holds it.
pub struct HeldLock(Arc<SessionLock>);

struct HasSessions;

impl HasData for HasSessions {
    type Data<'a> = SessionsCtxView<'a>;
}

/// Adds `session3:sessions/store` and `session3:sessions/events` to a linker. Beside these,
/// the session manager imports only WASI's clock and random numbers.
///
/// A component that imports `store` can read and change all sessions. So link this to the
/// session manager only, and the manager's exports to an application.
///
/// # Errors
///
/// The linker's error if one of the interfaces is defined already.
///
/// # Examples
///
/// ```
/// use session3::bindings::{SessionManager, exports::session3::sessions::manager};
/// use session3::{SessionsCtx, SessionsCtxView, SessionsView, store::MemoryStore};
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
///     fn sessions(&mut self) -> SessionsCtxView<'_> {
///         SessionsCtxView { ctx: &mut self.sessions, table: &mut self.table }
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
    session_types::add_to_linker::<T, HasSessions>(linker, T::sessions)?;
    wit::add_to_linker::<T, HasSessions>(linker, T::sessions)?;
    events::add_to_linker::<T, HasSessions>(linker, T::sessions)
}

impl session_types::Host for SessionsCtxView<'_> {}

impl events::Host for SessionsCtxView<'_> {
    async fn report(&mut self, event: Event) {
        self.ctx.report(event);
    }
}

impl wit::Host for SessionsCtxView<'_> {
    async fn setup(&mut self) -> Result<(), wit::StoreError> {
        log_failure(self.ctx.store().setup().await)
    }

    async fn create_session(
        &mut self,
        id: String,
        state: wit::SessionState,
    ) -> Result<u64, wit::StoreError> {
        let id = parse(&id)?;
        let created = self.ctx.store().create_session(&id, &state.into()).await;
        if created.is_ok() {
            self.ctx.note_session(&id);
        }
        log_failure(created)
    }

    async fn load_session(
        &mut self,
        id: String,
    ) -> Result<Option<wit::StoredSession>, wit::StoreError> {
        let id = parse(&id)?;
        let session = log_failure(self.ctx.store().load_session(&id).await)?;
        if session.is_some() {
            self.ctx.note_session(&id);
        }
        Ok(session.map(wit::StoredSession::from))
    }

    async fn save_session(
        &mut self,
        id: String,
        state: wit::SessionState,
        expected: u64,
    ) -> Result<u64, wit::StoreError> {
        let (id, state) = (parse(&id)?, state.into());
        log_failure(self.ctx.store().save_session(&id, &state, expected).await)
    }

    async fn touch_session(
        &mut self,
        id: String,
        expires: u64,
        expected: u64,
    ) -> Result<(), wit::StoreError> {
        let id = parse(&id)?;
        log_failure(self.ctx.store().touch_session(&id, expires, expected).await)
    }

    async fn delete_session(&mut self, id: String) -> Result<bool, wit::StoreError> {
        let id = parse(&id)?;
        log_failure(self.ctx.store().delete_session(&id).await)
    }

    async fn has_session(&mut self, id: String) -> Result<bool, wit::StoreError> {
        let id = parse(&id)?;
        log_failure(self.ctx.store().has_session(&id).await)
    }

    async fn delete_old_sessions(
        &mut self,
        minutes: u32,
    ) -> Result<wit::SweepReport, wit::StoreError> {
        let sweep = self
            .ctx
            .store()
            .delete_old_sessions(minutes, Some(SWEEP_LIMIT));
        Ok(log_failure(sweep.await)?.into())
    }

    async fn iter_sessions(
        &mut self,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<wit::SessionPage, wit::StoreError> {
        let page = self.ctx.store().iter_sessions(cursor.as_deref(), limit);
        Ok(log_failure(page.await)?.into())
    }

    async fn sessions_of_user(&mut self, user: String) -> Result<Vec<String>, wit::StoreError> {
        let ids = log_failure(self.ctx.store().sessions_of_user(&user).await)?;
        Ok(ids.iter().map(SessionId::to_string).collect())
    }

    async fn lock_session(&mut self, id: String) -> Result<Resource<HeldLock>, wit::StoreError> {
        let id = parse(&id)?;
        // Waiting for itself would block the instance until the deadline.
        if self.ctx.has_locked(&id) || self.ctx.has_all_locks() {
            return Err(wit::StoreError::Busy);
        }
        let lock = self.ctx.store().lock_session(&id, self.ctx.lock_time());
        let lock = Arc::new(log_failure(lock.await)?);
        self.ctx.add_lock(id, &lock);
        // The table may be full of other resources.
        self.table
            .push(HeldLock(lock))
            .map_err(|_| wit::StoreError::Busy)
    }

    async fn is_multiprocess_safe(&mut self) -> bool {
        self.ctx.store().is_multiprocess_safe()
    }

    async fn is_thread_safe(&mut self) -> bool {
        self.ctx.store().is_thread_safe()
    }
}

impl wit::HostSessionLock for SessionsCtxView<'_> {
    async fn is_held(&mut self, lock: Resource<HeldLock>) -> bool {
        self.table.get(&lock).is_ok_and(|lock| lock.0.is_held())
    }

    async fn drop(&mut self, lock: Resource<HeldLock>) -> wasmtime::Result<()> {
        self.table.delete(lock)?;
        Ok(())
    }
}

/// Limits the lines about a store that fails, which come with each request.
static FAILURES: LazyLock<LogLimit> = LazyLock::new(|| LogLimit::new(100));

/// Logs what the system said when the store failed, for operators: the guest need not show it.
/// Each failure becomes one line in a minute.
fn log_failure<T>(result: Result<T, StoreError>) -> Result<T, wit::StoreError> {
    if let Err(error @ StoreError::Unavailable(_)) = &result {
        let text = error.to_string();
        if FAILURES.decide(Some(text.clone()), Instant::now()) != Decision::LeaveOut {
            tracing::error!("{text}");
        }
    }
    Ok(result?)
}

/// Parses an ID before anything is done with it.
fn parse(id: &str) -> Result<SessionId, wit::StoreError> {
    Ok(id.parse::<SessionId>()?)
}
