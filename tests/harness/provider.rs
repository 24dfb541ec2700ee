//! Stores that are components: one that passes every call on to a store of the host, and the
//! one for WASI's file system. Each call runs in an instance of its own, as each request does.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use session3::components::STORE_FILESYSTEM;
use session3::store::{
    MemoryStore, SessionId, SessionLock, SessionPage, SessionState, SessionStore, StoreError,
    StoredSession, SweepReport, Timestamp, Version,
};
use session3::{SessionsCtx, SessionsCtxView, SessionsView};
use session3_test_fixtures::RELAY;
use wasmtime::component::{Component, InstancePre, Linker, ResourceAny, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{FsPerms, HostMonotonicClock, WasiCtx, WasiCtxView, WasiView};

use crate::manager::TestClock;

pub use bindings::{Provider, exports::session3::sessions::store as wit};

#[expect(missing_docs, reason = "the WIT has the documentation")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: r"
            package session3:provider;

            world provider {
                export session3:sessions/store@0.2.0;
            }
        ",
        exports: { default: async },
        require_store_data_send: true,
    });
}

static RELAYS: LazyLock<InstancePre<Host>> = LazyLock::new(|| link(RELAY));
static FILESYSTEM: LazyLock<InstancePre<Host>> = LazyLock::new(|| link(STORE_FILESYSTEM));

/// Compiles a component, and links it with the host functions of sessions and of WASI 0.2.
pub fn link(component: &[u8]) -> InstancePre<Host> {
    let engine = Engine::default();
    let component = Component::new(&engine, component).unwrap();
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
    session3::add_to_linker(&mut linker).unwrap();
    linker.instantiate_pre(&component).unwrap()
}

/// The state of the host for one instance.
pub struct Host {
    sessions: SessionsCtx,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl Host {
    /// Creates the state of an instance with these sessions.
    pub fn new(sessions: SessionsCtx, wasi: WasiCtx) -> Self {
        Self {
            sessions,
            wasi,
            table: ResourceTable::new(),
        }
    }
}

impl SessionsView for Host {
    fn sessions(&mut self) -> SessionsCtxView<'_> {
        SessionsCtxView {
            ctx: &mut self.sessions,
            table: &mut self.table,
        }
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// Returns the component that passes every call on to `store`.
pub fn relay(store: Arc<dyn SessionStore>) -> Provided {
    Provided {
        pre: RELAYS.clone(),
        host: Box::new(move |lock_time| {
            let sessions = SessionsCtx::builder(store.clone()).lock_time(lock_time);
            Host::new(sessions.build(), WasiCtx::default())
        }),
    }
}

/// Returns the component that keeps sessions in a directory of the host.
pub fn filesystem(directory: Directory) -> Provided {
    Provided {
        pre: FILESYSTEM.clone(),
        host: Box::new(move |_| {
            let sessions = SessionsCtx::new(Arc::new(MemoryStore::default()));
            Host::new(sessions, directory.wasi())
        }),
    }
}

/// A directory that the host grants to the component, and the host's clocks.
#[derive(Clone)]
pub struct Directory {
    /// The path on the host.
    pub path: PathBuf,
    /// The path that the component sees; if empty, it gets no directory.
    pub name: &'static str,
    /// What the component may do in it.
    pub permissions: FsPerms,
    /// The time of day, in milliseconds since 1970.
    pub clock: Arc<AtomicU64>,
    /// The monotonic clock. It stands still unless a test moves it, so that no wait ends early
    /// on a busy machine.
    pub monotonic: Monotonic,
}

impl Directory {
    /// Creates a directory that the component may write, under the path that it looks for.
    pub fn new(path: &Path, clock: &Arc<AtomicU64>) -> Self {
        Self {
            path: path.to_owned(),
            name: "/sessions",
            permissions: FsPerms::ReadWrite,
            clock: clock.clone(),
            monotonic: Monotonic::default(),
        }
    }

    fn wasi(&self) -> WasiCtx {
        let mut wasi = WasiCtx::builder();
        wasi.wall_clock(TestClock(self.clock.clone()))
            .monotonic_clock(self.monotonic.clone());
        if !self.name.is_empty() {
            wasi.preopened_dir(&self.path, self.name, self.permissions)
                .unwrap();
        }
        wasi.build()
    }
}

/// A monotonic clock that a test sets, in nanoseconds.
#[derive(Clone, Default)]
pub struct Monotonic(pub Arc<AtomicU64>);

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A store that is a component.
pub struct Provided {
    pre: InstancePre<Host>,
    /// Creates the state for a new instance, whose leases last for the given time.
    host: Box<dyn Fn(Duration) -> Host + Send + Sync>,
}

impl Provided {
    /// Creates an instance, as for each request.
    pub async fn instance(&self) -> (Store<Host>, Provider) {
        self.instance_with(Duration::from_secs(30)).await
    }

    async fn instance_with(&self, lock_time: Duration) -> (Store<Host>, Provider) {
        let mut store = Store::new(self.pre.engine(), (self.host)(lock_time));
        let instance = self.pre.instantiate_async(&mut store).await.unwrap();
        let provider = Provider::new(&mut store, &instance).unwrap();
        (store, provider)
    }
}

/// A lease, and the instance that holds it.
struct Locked(Option<(Store<Host>, ResourceAny)>);

impl Drop for Locked {
    fn drop(&mut self) {
        if let Some((mut store, lock)) = self.0.take() {
            tokio::spawn(async move { lock.resource_drop_async(&mut store).await.unwrap() });
        }
    }
}

/// Calls one function of a fresh instance.
macro_rules! call {
    ($provided:ident.$function:ident($($argument:expr),*)) => {{
        let (mut store, provider) = $provided.instance().await;
        let guest = provider.session3_sessions_store();
        guest.$function(&mut store $(, $argument)*).await.unwrap()
    }};
}

#[async_trait]
impl SessionStore for Provided {
    async fn setup(&self) -> Result<(), StoreError> {
        Ok(call!(self.call_setup())?)
    }

    async fn create_session(
        &self,
        id: &SessionId,
        state: &SessionState,
    ) -> Result<Version, StoreError> {
        let state = state.clone().into();
        Ok(call!(self.call_create_session(&id.to_string(), &state))?)
    }

    async fn load_session(&self, id: &SessionId) -> Result<Option<StoredSession>, StoreError> {
        let session = call!(self.call_load_session(&id.to_string()))?;
        Ok(session.map(Into::into))
    }

    async fn save_session(
        &self,
        id: &SessionId,
        state: &SessionState,
        expected: Version,
    ) -> Result<Version, StoreError> {
        let state = state.clone().into();
        Ok(call!(self.call_save_session(
            &id.to_string(),
            &state,
            expected
        ))?)
    }

    async fn touch_session(
        &self,
        id: &SessionId,
        expires: Timestamp,
        expected: Version,
    ) -> Result<(), StoreError> {
        Ok(call!(self.call_touch_session(
            &id.to_string(),
            expires,
            expected
        ))?)
    }

    async fn delete_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        Ok(call!(self.call_delete_session(&id.to_string()))?)
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        Ok(call!(self.call_has_session(&id.to_string()))?)
    }

    /// Always fails, since the WIT has no such function.
    async fn import_session(
        &self,
        _session: &StoredSession,
        _expected: Option<Version>,
    ) -> Result<(), StoreError> {
        Err(StoreError::Unsupported)
    }

    /// Ignores the limit, since the function in the WIT has no such parameter.
    async fn delete_old_sessions(
        &self,
        minutes: u32,
        _limit: Option<Duration>,
    ) -> Result<SweepReport, StoreError> {
        let report = call!(self.call_delete_old_sessions(minutes))?;
        Ok(SweepReport {
            deleted: report.deleted,
            remaining: report.remaining,
            complete: report.complete,
        })
    }

    async fn iter_sessions(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<SessionPage, StoreError> {
        let page = call!(self.call_iter_sessions(cursor, limit))?;
        let damaged = page.damaged.into_iter();
        Ok(SessionPage {
            sessions: page.sessions.into_iter().map(Into::into).collect(),
            damaged: damaged
                .map(|(id, how)| (id.parse().unwrap(), how))
                .collect(),
            next: page.next,
        })
    }

    async fn sessions_of_user(&self, user: &str) -> Result<Vec<SessionId>, StoreError> {
        let ids = call!(self.call_sessions_of_user(user))?;
        Ok(ids.iter().map(|id| id.parse().unwrap()).collect())
    }

    async fn lock_session(
        &self,
        id: &SessionId,
        time: Duration,
    ) -> Result<SessionLock, StoreError> {
        let (mut store, provider) = self.instance_with(time).await;
        let guest = provider.session3_sessions_store();
        let id = id.to_string();
        let lock = guest.call_lock_session(&mut store, &id).await.unwrap()?;
        Ok(SessionLock::new(Locked(Some((store, lock))), time))
    }

    fn is_multiprocess_safe(&self) -> bool {
        now(async { call!(self.call_is_multiprocess_safe()) })
    }

    fn is_thread_safe(&self) -> bool {
        now(async { call!(self.call_is_thread_safe()) })
    }
}

/// Waits for the answer of a component in a function that is not asynchronous.
fn now<T>(answer: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(answer))
}

impl From<SessionState> for wit::SessionState {
    fn from(state: SessionState) -> Self {
        Self {
            user: state.user,
            expires: state.expires,
            data: state.data,
        }
    }
}

impl From<wit::StoredSession> for StoredSession {
    fn from(session: wit::StoredSession) -> Self {
        Self {
            id: session.id.parse().unwrap(),
            version: session.version,
            modified: session.modified,
            state: SessionState {
                user: session.state.user,
                expires: session.state.expires,
                data: session.state.data,
            },
        }
    }
}

impl From<wit::StoreError> for StoreError {
    fn from(error: wit::StoreError) -> Self {
        match error {
            wit::StoreError::InvalidId => Self::InvalidId,
            wit::StoreError::Exists => Self::Exists,
            wit::StoreError::Absent => Self::Absent,
            wit::StoreError::Conflict(version) => Self::Conflict(version),
            wit::StoreError::TooLarge(limit) => Self::TooLarge(limit),
            wit::StoreError::Corrupt(how) => Self::Corrupt(how),
            wit::StoreError::Busy => Self::Busy,
            wit::StoreError::Unsupported => Self::Unsupported,
            wit::StoreError::Unavailable(what) => Self::Unavailable(what),
        }
    }
}
