//! A host for the manager component, with a clock that the test sets and a store that it
//! chooses.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use session3::bindings::exports::session3::sessions::manager::{
    Config, Header, Mode, Request, SessionError,
};
use session3::bindings::session3::sessions::session_types::Value;
use session3::bindings::{SessionManager, SessionManagerPre};
use session3::components::MANAGER;
use session3::store::SessionStore;
use session3::{Event, SessionsCtx, SessionsCtxView, SessionsView};
use wasmtime::component::{Component, Linker, ResourceAny, ResourceTable};
use wasmtime::{ResourceLimiter, Store};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::p2::bindings::{clocks::wall_clock, random::random};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxView, WasiView};

/// The manager component, compiled and linked once per process, with the engine and the pool
/// that the server uses.
static LINKED: LazyLock<SessionManagerPre<State>> = LazyLock::new(|| {
    let engine = session3::engine(&session3::Pool::of(MANAGER).unwrap(), None).unwrap();
    let component = Component::new(&engine, MANAGER).unwrap();
    let mut linker = Linker::<State>::new(&engine);
    // The manager imports nothing else of WASI.
    wall_clock::add_to_linker::<State, WasiClocks>(&mut linker, State::clocks).unwrap();
    random::add_to_linker::<State, WasiRandom>(&mut linker, State::random).unwrap();
    session3::add_to_linker(&mut linker).unwrap();
    SessionManagerPre::new(linker.instantiate_pre(&component).unwrap()).unwrap()
});

/// The state of the host.
pub struct State {
    sessions: SessionsCtx,
    wasi: WasiCtx,
    table: ResourceTable,
    memory: Memory,
}

/// Counts how often the component's memory grew.
#[derive(Default)]
struct Memory {
    growths: u32,
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        _: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // With a current size of 0, the memory is being created.
        self.growths += u32::from(current > 0);
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

impl SessionsView for State {
    fn sessions(&mut self) -> SessionsCtxView<'_> {
        SessionsCtxView {
            ctx: &mut self.sessions,
            table: &mut self.table,
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// Milliseconds since 1970, set by the test.
#[derive(Clone)]
pub struct TestClock(pub Arc<AtomicU64>);

impl HostWallClock for TestClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Calls a function of a session: `on!(manager, session, call_add, "n", 1)`.
#[macro_export]
macro_rules! on {
    ($manager:expr, $session:expr, $function:ident $(, $argument:expr)*) => {{
        let manager = &mut *$manager;
        let guest = manager.component.session3_sessions_manager().session();
        guest.$function(&mut manager.store, $session $(, $argument)*).await.unwrap()
    }};
}
pub use on;

/// An instance of the manager component, opened with a configuration.
pub struct Manager {
    /// The store of wasmtime, with the host's state.
    pub store: Store<State>,
    /// The events that the manager reported.
    pub events: Arc<Mutex<Vec<Event>>>,
    /// The exports of the instance.
    pub component: SessionManager,
    manager: ResourceAny,
}

impl Manager {
    /// Opens a manager with the default configuration and the system's clock.
    pub async fn new(sessions: Arc<dyn SessionStore>) -> Self {
        Self::with(sessions, WasiCtx::builder().build(), |_| ()).await
    }

    /// Opens a manager with a changed configuration and the clock of `wasi`.
    pub async fn with(
        sessions: Arc<dyn SessionStore>,
        wasi: WasiCtx,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = events.clone();
        let sessions = SessionsCtx::builder(sessions)
            .on_event(move |event| sink.lock().unwrap().push(event))
            .build();
        let mut store = new_store(sessions, wasi);
        let component = LINKED.instantiate_async(&mut store).await.unwrap();
        let guest = component.session3_sessions_manager();
        let mut config = guest.call_default_config(&mut store).await.unwrap();
        change(&mut config);
        let manager = guest
            .session_manager()
            .call_open(&mut store, &config)
            .await
            .unwrap()
            .unwrap();
        Self {
            store,
            events,
            component,
            manager,
        }
    }

    /// Returns how often the memory of the component grew.
    pub fn growths(&self) -> u32 {
        self.store.data().memory.growths
    }

    /// Opens a manager with another configuration.
    pub async fn open_config(
        &mut self,
        change: impl FnOnce(&mut Config),
    ) -> Result<ResourceAny, SessionError> {
        let guest = self.component.session3_sessions_manager();
        let mut config = guest.call_default_config(&mut self.store).await.unwrap();
        change(&mut config);
        guest
            .session_manager()
            .call_open(&mut self.store, &config)
            .await
            .unwrap()
    }

    /// Opens the session of a request with these Cookie headers.
    pub async fn open(&mut self, cookies: Vec<Vec<u8>>) -> Result<ResourceAny, SessionError> {
        let request = Request {
            cookies,
            remote_address: None,
            user_agent: None,
        };
        self.get_session(&request, Mode::Merge).await
    }

    /// Opens the session of any request in any mode.
    pub async fn get_session(
        &mut self,
        request: &Request,
        mode: Mode,
    ) -> Result<ResourceAny, SessionError> {
        let guest = self.component.session3_sessions_manager();
        guest
            .session_manager()
            .call_get_session(&mut self.store, self.manager, request, mode)
            .await
            .unwrap()
    }

    /// Adds to an attribute of a session.
    pub async fn add(&mut self, session: ResourceAny, name: &str, delta: i64) -> i64 {
        on!(self, session, call_add, name, delta).unwrap()
    }

    /// Returns the value of an attribute of a session.
    pub async fn get(&mut self, session: ResourceAny, name: &str) -> Option<Value> {
        on!(self, session, call_get, name)
    }

    /// Returns whether a request came without a session.
    pub async fn is_new(&mut self, session: ResourceAny) -> bool {
        on!(self, session, call_is_new)
    }

    /// Ends one session as an administrator.
    pub async fn admin_delete(&mut self, id: &str) -> Result<bool, String> {
        let admin = self.component.session3_sessions_admin();
        let id = id.to_owned();
        let deleted = admin.call_delete_session(&mut self.store, &id);
        deleted.await.unwrap()
    }

    /// Ends a user's sessions as an administrator, and returns their number.
    pub async fn admin_delete_user(&mut self, user: &str) -> Result<u32, String> {
        let admin = self.component.session3_sessions_admin();
        let deleted = admin.call_delete_sessions_of_user(&mut self.store, user);
        deleted.await.unwrap()
    }

    /// Ends all sessions as an administrator, and returns their number.
    pub async fn admin_delete_all(&mut self) -> Result<u64, String> {
        let admin = self.component.session3_sessions_admin();
        let report = admin.call_delete_all_sessions(&mut self.store);
        report.await.unwrap().map(|report| report.deleted)
    }

    /// Commits a session and drops it.
    pub async fn commit(&mut self, session: ResourceAny) -> Result<Vec<Header>, SessionError> {
        let result = on!(self, session, call_commit);
        session.resource_drop_async(&mut self.store).await.unwrap();
        result
    }

    /// Makes a whole request that adds to an attribute. Returns the Cookie header for later
    /// requests.
    pub async fn request(&mut self, cookie: &[u8], name: &str, delta: i64) -> Vec<u8> {
        let session = self.open(vec![cookie.to_vec()]).await.unwrap();
        self.add(session, name, delta).await;
        let headers = self.commit(session).await.unwrap();
        cookie_of(&headers).unwrap_or_else(|| cookie.to_vec())
    }
}

fn new_store(sessions: SessionsCtx, wasi: WasiCtx) -> Store<State> {
    let state = State {
        sessions,
        wasi,
        table: ResourceTable::new(),
        memory: Memory::default(),
    };
    let mut store = Store::new(LINKED.engine(), state);
    store.limiter(|state| &mut state.memory);
    // No test interrupts the component.
    store.set_epoch_deadline(u64::MAX / 2);
    store
}

/// Creates an instance of the component, and drops it without a call.
pub async fn instantiate(sessions: Arc<dyn SessionStore>) {
    let mut store = new_store(SessionsCtx::new(sessions), WasiCtx::builder().build());
    let pre = LINKED.instance_pre();
    pre.instantiate_async(&mut store).await.unwrap();
}

/// Returns the cookie that the headers set, as a browser sends it back.
pub fn cookie_of(headers: &[Header]) -> Option<Vec<u8>> {
    let header = headers.iter().find(|header| header.name == "Set-Cookie")?;
    Some(header.value.split(';').next()?.as_bytes().to_vec())
}
