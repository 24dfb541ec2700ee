//! A pool of instances of the session manager component.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use wasmtime::component::{Component, Linker, ResourceAny, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::p2::bindings::{clocks::wall_clock, random::random};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::bindings::{self, SessionManagerPre};
use crate::ctx::{SessionsCtx, SessionsCtxView, SessionsView};
use crate::engine::{Pool, engine};
use crate::error::SessionError;
use crate::linker::add_to_linker;
use crate::manager::Config;

/// The compiled component, its configuration, and its idle instances. Each instance serves
/// one request at a time.
pub struct Instances {
    pre: SessionManagerPre<State>,
    sessions: SessionsCtx,
    config: Config,
    idle: Mutex<Vec<Instance>>,
    permits: Arc<Semaphore>,
    max_wait: Duration,
}

/// An instance of the component, with the manager that it has opened.
pub struct Instance {
    pub store: Store<State>,
    pub component: bindings::SessionManager,
    pub manager: ResourceAny,
}

/// An instance that a request uses, and its place among those.
pub struct Borrowed {
    pub instance: Instance,
    pub permit: OwnedSemaphorePermit,
}

/// The host's state of an instance.
pub struct State {
    sessions: SessionsCtx,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl Instances {
    /// Compiles the component, or takes it from the directory `cache`, and checks that it
    /// accepts its default configuration with the changes of `configure`.
    pub async fn new(
        component: &[u8],
        cache: Option<&Path>,
        max_sessions: u32,
        max_wait: Duration,
        sessions: SessionsCtx,
        configure: impl FnOnce(&mut Config),
    ) -> Result<Self, SessionError> {
        let mut pool = Pool::of(component)
            .map_err(SessionError::failed)?
            .max_instances(max_sessions);
        if max_sessions == 1 {
            pool = pool.compact();
        }
        let pre = engine(&pool, cache)
            .and_then(|engine| link(&engine, component))
            .map_err(SessionError::failed)?;
        let config = {
            let mut store = new_store(&pre, &sessions);
            let component = pre.instantiate_async(&mut store);
            let component = component.await.map_err(SessionError::failed)?;
            let guest = component.session3_sessions_manager();
            let config = guest.call_default_config(&mut store).await;
            let mut config = config.map_err(SessionError::failed)?;
            configure(&mut config);
            config
        };
        let instances = Self {
            pre,
            sessions,
            config,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(max_sessions as usize)),
            max_wait,
        };
        // This refuses a contradictory configuration now, instead of with each request.
        instances.put_back(instances.create().await?);
        Ok(instances)
    }

    /// Waits for a free instance, or creates one. Fails with `Busy` if none is free in time.
    pub async fn borrow(&self) -> Result<Borrowed, SessionError> {
        let permit = timeout(self.max_wait, self.permits.clone().acquire_owned()).await;
        let permit = permit.map_err(|_| SessionError::Busy)?;
        let permit = permit.map_err(SessionError::failed)?;
        let idle = self.idle.lock().pop();
        let instance = match idle {
            Some(instance) => instance,
            None => self.create().await?,
        };
        Ok(Borrowed { instance, permit })
    }

    /// Returns an instance in which nothing failed, for the next request.
    pub fn put_back(&self, instance: Instance) {
        self.idle.lock().push(instance);
    }

    async fn create(&self) -> Result<Instance, SessionError> {
        let mut store = new_store(&self.pre, &self.sessions);
        let component = self.pre.instantiate_async(&mut store);
        let component = component.await.map_err(SessionError::failed)?;
        let guest = component.session3_sessions_manager().session_manager();
        let opened = guest.call_open(&mut store, &self.config);
        let manager = opened.await.map_err(SessionError::failed)??;
        Ok(Instance {
            store,
            component,
            manager,
        })
    }
}

fn link(engine: &Engine, component: &[u8]) -> wasmtime::Result<SessionManagerPre<State>> {
    let component = Component::new(engine, component)?;
    let mut linker = Linker::<State>::new(engine);
    // The manager imports nothing else of WASI.
    wall_clock::add_to_linker::<State, WasiClocks>(&mut linker, State::clocks)?;
    random::add_to_linker::<State, WasiRandom>(&mut linker, State::random)?;
    add_to_linker(&mut linker)?;
    SessionManagerPre::new(linker.instantiate_pre(&component)?)
}

fn new_store(pre: &SessionManagerPre<State>, sessions: &SessionsCtx) -> Store<State> {
    let mut wasi = WasiCtx::builder();
    sessions.set_clock(&mut wasi);
    let state = State {
        sessions: sessions.for_new_instance(),
        wasi: wasi.build(),
        table: ResourceTable::new(),
    };
    let mut store = Store::new(pre.engine(), state);
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    store
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
