//! A store behind the WIT: each call goes through a component that passes it on
//! to the store.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use session3::store::{
    SessionId, SessionLock, SessionPage, SessionState, SessionStore, StoreError, StoredSession,
    SweepReport, Timestamp, Version,
};
use session3::{SessionsCtx, SessionsView};
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, Store};

use bindings::{Provider, exports::session3::sessions::store as wit};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: r"
            package session3:provider;

            world provider {
                export session3:sessions/store@0.1.0;
            }
        ",
        exports: { default: async },
        require_store_data_send: true,
    });
}

static COMPILED: LazyLock<(Engine, Component)> = LazyLock::new(|| {
    let engine = Engine::default();
    let bytes = include_bytes!(concat!(env!("OUT_DIR"), "/test-relay.wasm"));
    let component = Component::new(&engine, bytes).unwrap();
    (engine, component)
});

/// A store through the WIT.
pub struct Relay {
    pre: InstancePre<Host>,
    store: Arc<dyn SessionStore>,
}

struct Host(SessionsCtx);

impl SessionsView for Host {
    fn sessions(&mut self) -> &mut SessionsCtx {
        &mut self.0
    }
}

impl Relay {
    /// The component in front of a store.
    pub fn new(store: Arc<dyn SessionStore>) -> Self {
        let (engine, component) = &*COMPILED;
        let mut linker = Linker::<Host>::new(engine);
        session3::add_to_linker(&mut linker).unwrap();
        let pre = linker.instantiate_pre(component).unwrap();
        Self { pre, store }
    }

    /// A fresh instance, as each request has one.
    async fn instance(&self) -> (Store<Host>, Provider) {
        self.instance_with(Duration::from_secs(30)).await
    }

    async fn instance_with(&self, lock_time: Duration) -> (Store<Host>, Provider) {
        let host = Host(SessionsCtx::new(self.store.clone()).lock_time(lock_time));
        let mut store = Store::new(self.pre.engine(), host);
        let instance = self.pre.instantiate_async(&mut store).await.unwrap();
        let provider = Provider::new(&mut store, &instance).unwrap();
        (store, provider)
    }
}

/// Calls one function of a fresh instance.
macro_rules! call {
    ($relay:ident.$function:ident($($argument:expr),*)) => {{
        let (mut store, provider) = $relay.instance().await;
        let guest = provider.session3_sessions_store();
        guest.$function(&mut store $(, $argument)*).await.unwrap()
    }};
}

#[async_trait]
impl SessionStore for Relay {
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

    /// The WIT has a limit of its own.
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
        guest.call_lock_session(&mut store, &id).await.unwrap()?;
        // It lasts as long as the instance.
        Ok(SessionLock::new(store, time))
    }

    fn is_multiprocess_safe(&self) -> bool {
        self.store.is_multiprocess_safe()
    }

    fn is_thread_safe(&self) -> bool {
        self.store.is_thread_safe()
    }
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
