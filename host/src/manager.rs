//! The session manager for a Rust program that has no application component:
//! [`SessionManager`] runs the manager component and speaks Rust's types.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{Component, Linker, ResourceAny, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::bindings::exports::session3::sessions::manager as wit;
use crate::bindings::session3::sessions::types::Value;
use crate::bindings::{self, SessionManagerPre};
use crate::components::MANAGER;
use crate::engine::{Pool, engine};
use crate::linker::{SessionsCtx, SessionsView, add_to_linker};
use crate::mutex::open;

pub use wit::{Config, CookieConfig, Mode, Policy, Request, SameSite, SessionSummary};

/// Requests that have a session open at the same time; more wait.
const MAX_INSTANCES: u32 = 64;

/// Opens sessions. Cloning it is cheap, and shares its instances.
///
/// ```
/// use session3::{SessionManager, SessionsCtx, store::MemoryStore};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sessions = SessionsCtx::new(std::sync::Arc::new(MemoryStore::default()));
/// let manager = SessionManager::new(None, sessions, |_config| ()).await?;
///
/// let request = http::Request::get("/").body(())?;
/// let mut session = manager.get_session(&request).await?;
/// session.set("theme", &"dark").await?;
/// let headers = session.commit().await?;
/// let cookie = headers["set-cookie"].to_str()?.split(';').next().unwrap_or("");
///
/// let request = http::Request::get("/").header("cookie", cookie).body(())?;
/// let mut session = manager.get_session(&request).await?;
/// assert_eq!(session.get::<String>("theme").await?.as_deref(), Some("dark"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SessionManager {
    pool: Arc<Instances>,
}

/// Instances of the component; each serves one request at a time.
struct Instances {
    pre: SessionManagerPre<State>,
    sessions: SessionsCtx,
    config: Config,
    idle: Mutex<Vec<Instance>>,
    permits: Arc<Semaphore>,
}

/// One of the component, with the manager that it has opened.
pub(crate) struct Instance {
    pub(crate) store: Store<State>,
    pub(crate) component: bindings::SessionManager,
    manager: ResourceAny,
}

/// What an instance has of the host.
pub(crate) struct State {
    sessions: SessionsCtx,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl SessionManager {
    /// Compiles the component, or finds it in the directory `cache`, and opens
    /// it with the default configuration as `change` has changed it.
    pub async fn new(
        cache: Option<&Path>,
        sessions: SessionsCtx,
        change: impl FnOnce(&mut Config),
    ) -> Result<Self, SessionError> {
        Self::of(MANAGER, cache, sessions, change).await
    }

    /// The same with this manager component, which has an operator's
    /// [policy](crate::policy) in it, say.
    pub async fn of(
        manager: &[u8],
        cache: Option<&Path>,
        sessions: SessionsCtx,
        change: impl FnOnce(&mut Config),
    ) -> Result<Self, SessionError> {
        let pool = Pool::of(manager).map_err(failed)?;
        let engine = engine(&pool.max_instances(MAX_INSTANCES), cache).map_err(failed)?;
        let pre = link(&engine, manager).map_err(failed)?;
        let mut store = new_store(&pre, &sessions);
        let component = pre.instantiate_async(&mut store).await.map_err(failed)?;
        let guest = component.session3_sessions_manager();
        let mut config = guest
            .call_default_config(&mut store)
            .await
            .map_err(failed)?;
        change(&mut config);
        let pool = Instances {
            pre,
            sessions,
            config,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(MAX_INSTANCES as usize)),
        };
        // A contradictory configuration is refused now, not by each request.
        pool.give_back(pool.instance().await?);
        Ok(Self {
            pool: Arc::new(pool),
        })
    }

    /// The session of a request, by its headers `Cookie` and `User-Agent`, or a
    /// new one that is not in the store until there is something to keep.
    pub async fn get_session<B>(
        &self,
        request: &http::Request<B>,
    ) -> Result<Session, SessionError> {
        self.open(&request_of(request.headers()), Mode::Merge).await
    }

    /// The same in any mode, for a request that is known to come from
    /// somewhere.
    pub async fn open(&self, request: &Request, mode: Mode) -> Result<Session, SessionError> {
        let (permit, mut instance) = self.instance().await?;
        let guest = instance.component.session3_sessions_manager();
        let opened = guest
            .session_manager()
            .call_get_session(&mut instance.store, instance.manager, request, mode)
            .await
            .map_err(failed)?;
        match opened {
            Ok(handle) => Ok(Session {
                instance: Some(instance),
                handle,
                pool: self.pool.clone(),
                permit: Some(permit),
            }),
            Err(error) => {
                self.give_back(instance);
                Err(error.into())
            }
        }
    }

    /// An instance that nobody else uses, and the permit to have one.
    pub(crate) async fn instance(&self) -> Result<(OwnedSemaphorePermit, Instance), SessionError> {
        let permit = self.pool.permits.clone().acquire_owned().await;
        let permit = permit.map_err(failed)?;
        let idle = open(&self.pool.idle).pop();
        let instance = match idle {
            Some(instance) => instance,
            None => self.pool.instance().await?,
        };
        Ok((permit, instance))
    }

    /// For the next one, when nothing failed in it.
    pub(crate) fn give_back(&self, instance: Instance) {
        self.pool.give_back(instance);
    }
}

/// What the manager wants to know of a request, by its headers.
pub fn request_of(headers: &HeaderMap) -> Request {
    let cookies = headers.get_all(header::COOKIE).iter();
    let user_agent = headers.get(header::USER_AGENT);
    Request {
        cookies: cookies.map(|value| value.as_bytes().to_vec()).collect(),
        remote_address: None,
        user_agent: user_agent.and_then(|value| Some(value.to_str().ok()?.to_owned())),
    }
}

fn link(engine: &Engine, manager: &[u8]) -> wasmtime::Result<SessionManagerPre<State>> {
    let component = Component::new(engine, manager)?;
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    add_to_linker(&mut linker)?;
    SessionManagerPre::new(linker.instantiate_pre(&component)?)
}

fn new_store(pre: &SessionManagerPre<State>, sessions: &SessionsCtx) -> Store<State> {
    let state = State {
        sessions: sessions.clone(),
        wasi: WasiCtx::builder().build(),
        table: ResourceTable::new(),
    };
    let mut store = Store::new(pre.engine(), state);
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    store
}

impl Instances {
    async fn instance(&self) -> Result<Instance, SessionError> {
        let mut store = new_store(&self.pre, &self.sessions);
        let component = self.pre.instantiate_async(&mut store);
        let component = component.await.map_err(failed)?;
        let guest = component.session3_sessions_manager().session_manager();
        let opened = guest.call_open(&mut store, &self.config);
        let manager = opened.await.map_err(failed)??;
        Ok(Instance {
            store,
            component,
            manager,
        })
    }

    fn give_back(&self, mut instance: Instance) {
        instance.store.data_mut().sessions.finish();
        open(&self.idle).push(instance);
    }
}

/// One request's session. What is not committed is forgotten with it.
///
/// A call that is cancelled, or fails with [`SessionError::Failed`], ends it:
/// every later call fails too, and nothing more is saved.
pub struct Session {
    /// Away while a call runs: one that is cancelled takes it along.
    instance: Option<Instance>,
    handle: ResourceAny,
    pool: Arc<Instances>,
    permit: Option<OwnedSemaphorePermit>,
}

/// Calls a function of the component's session.
macro_rules! call {
    ($session:ident.$function:ident($($argument:expr),*)) => {{
        let mut instance = $session.instance.take().ok_or_else(ended_earlier)?;
        let guest = instance.component.session3_sessions_manager();
        let result = guest
            .session()
            .$function(&mut instance.store, $session.handle $(, $argument)*)
            .await
            .map_err(failed)?;
        $session.instance = Some(instance);
        result
    }};
}

impl Session {
    /// The ID, once it is in the store. It may be shown and logged.
    pub async fn id(&mut self) -> Result<Option<String>, SessionError> {
        Ok(call!(self.call_id()))
    }

    /// Whether the request came without a session.
    pub async fn is_new(&mut self) -> Result<bool, SessionError> {
        Ok(call!(self.call_is_new()))
    }

    /// When the session began.
    pub async fn created(&mut self) -> Result<SystemTime, SessionError> {
        Ok(time(call!(self.call_created())))
    }

    /// When it was used before this request.
    pub async fn accessed(&mut self) -> Result<SystemTime, SessionError> {
        Ok(time(call!(self.call_accessed())))
    }

    /// Who is logged in.
    pub async fn user(&mut self) -> Result<Option<String>, SessionError> {
        Ok(call!(self.call_user()))
    }

    /// Logs in, changes the user or logs out; see the WIT.
    pub async fn set_user(&mut self, user: Option<&str>) -> Result<(), SessionError> {
        Ok(call!(self.call_set_user(user))?)
    }

    /// When the user was last set.
    pub async fn authenticated(&mut self) -> Result<Option<SystemTime>, SessionError> {
        Ok(call!(self.call_authenticated()).map(time))
    }

    /// Whether there is anything worth keeping.
    pub async fn has_info(&mut self) -> Result<bool, SessionError> {
        Ok(call!(self.call_has_info()))
    }

    /// An attribute; `None` when there is none.
    pub async fn get<T: DeserializeOwned>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, SessionError> {
        match call!(self.call_get(name)) {
            Some(value) => from_value(value).map(Some),
            None => Ok(None),
        }
    }

    /// Sets an attribute: a boolean, a number or a text as such, anything else
    /// as JSON.
    pub async fn set(&mut self, name: &str, value: &impl Serialize) -> Result<(), SessionError> {
        let value = to_value(value)?;
        Ok(call!(self.call_set(name, &value))?)
    }

    /// Removes an attribute; whether there was one.
    pub async fn remove(&mut self, name: &str) -> Result<bool, SessionError> {
        Ok(call!(self.call_remove(name))?.is_some())
    }

    /// The names of the attributes.
    pub async fn names(&mut self) -> Result<Vec<String>, SessionError> {
        Ok(call!(self.call_names()))
    }

    /// Adds to an integer attribute; concurrent additions all count.
    pub async fn add(&mut self, name: &str, delta: i64) -> Result<i64, SessionError> {
        Ok(call!(self.call_add(name, delta))?)
    }

    /// A one-time token for a form.
    pub async fn create_form_token(&mut self) -> Result<String, SessionError> {
        Ok(call!(self.call_create_form_token())?)
    }

    /// Uses a form's token up; whether it was good.
    pub async fn remove_form_token(&mut self, token: &str) -> Result<bool, SessionError> {
        Ok(call!(self.call_remove_form_token(token))?)
    }

    /// Leaves a message for the next page.
    pub async fn flash(&mut self, message: &str) -> Result<(), SessionError> {
        Ok(call!(self.call_flash(message))?)
    }

    /// Takes the messages.
    pub async fn take_flashes(&mut self) -> Result<Vec<String>, SessionError> {
        Ok(call!(self.call_take_flashes())?)
    }

    /// Changes the token at the commit.
    pub async fn renew(&mut self) -> Result<(), SessionError> {
        Ok(call!(self.call_renew())?)
    }

    /// Ends the session at the commit.
    pub async fn expire(&mut self) -> Result<(), SessionError> {
        Ok(call!(self.call_expire())?)
    }

    /// Drops what was changed and not committed.
    pub async fn forget_changes(&mut self) -> Result<(), SessionError> {
        call!(self.call_forget_changes());
        Ok(())
    }

    /// The user's sessions.
    pub async fn own_sessions(&mut self) -> Result<Vec<SessionSummary>, SessionError> {
        Ok(call!(self.call_own_sessions())?)
    }

    /// Ends one of the user's sessions at once; whether there was one.
    pub async fn expire_own(&mut self, id: &str) -> Result<bool, SessionError> {
        Ok(call!(self.call_expire_own(&id.to_owned()))?)
    }

    /// Ends the user's other sessions at once; how many.
    pub async fn expire_others(&mut self) -> Result<u32, SessionError> {
        Ok(call!(self.call_expire_others())?)
    }

    /// Saves what was changed; the headers to append to the response.
    pub async fn commit(&mut self) -> Result<HeaderMap, SessionError> {
        let mut headers = HeaderMap::new();
        for wit::Header { name, value } in call!(self.call_commit())? {
            let name = HeaderName::try_from(name).map_err(failed)?;
            headers.append(name, HeaderValue::try_from(value).map_err(failed)?);
        }
        Ok(headers)
    }
}

impl Drop for Session {
    /// Gives the instance back, without what this request did in it.
    fn drop(&mut self) {
        let Some(instance) = self.instance.take() else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (pool, handle, permit) = (self.pool.clone(), self.handle, self.permit.take());
        runtime.spawn(async move {
            // Until the instance is back, nobody may make another one.
            let _permit = permit;
            let mut instance = instance;
            let dropped = handle.resource_drop_async(&mut instance.store).await;
            if dropped.is_ok() {
                pool.give_back(instance);
            }
        });
    }
}

fn to_value(value: &impl Serialize) -> Result<Value, SessionError> {
    use serde_json::Value as Json;
    let json = serde_json::to_value(value).map_err(of_another_type)?;
    Ok(match json {
        Json::Bool(value) => Value::Boolean(value),
        Json::String(value) => Value::Text(value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(value), _) => Value::Integer(value),
            (None, Some(value)) if !number.is_u64() => Value::Number(value),
            _ => Value::Json(number.to_string()),
        },
        json => Value::Json(json.to_string()),
    })
}

fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, SessionError> {
    let json = json_of(value).map_err(of_another_type)?;
    serde_json::from_value(json).map_err(of_another_type)
}

/// An attribute in JSON; bytes are an array of numbers.
pub(crate) fn json_of(value: Value) -> serde_json::Result<serde_json::Value> {
    Ok(match value {
        Value::Boolean(value) => value.into(),
        Value::Integer(value) => value.into(),
        Value::Number(value) => value.into(),
        Value::Text(value) => value.into(),
        Value::Bytes(value) => value.into(),
        Value::Json(text) => serde_json::from_str(&text)?,
    })
}

fn time(milliseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(milliseconds)
}

/// Why a session did not do what it was asked; see the WIT.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionError {
    /// A configuration, a name or a value is not allowed; why, and what to do.
    Invalid(String),
    /// The session was ended, or went to another user, meanwhile.
    Ended,
    /// Somebody else committed.
    Conflict,
    /// A lock was not to be had in time.
    Busy,
    /// The session was opened for reading only.
    ReadOnly,
    /// The store failed, and said this.
    Store(String),
    /// The component failed, or an earlier call was cancelled.
    Failed(String),
}

impl From<wit::SessionError> for SessionError {
    fn from(error: wit::SessionError) -> Self {
        match error {
            wit::SessionError::Invalid(why) => Self::Invalid(why),
            wit::SessionError::Ended => Self::Ended,
            wit::SessionError::Conflict => Self::Conflict,
            wit::SessionError::Busy => Self::Busy,
            wit::SessionError::ReadOnly => Self::ReadOnly,
            wit::SessionError::Store(what) => Self::Store(what),
        }
    }
}

/// The component did what it may not.
pub(crate) fn failed(error: impl fmt::Display) -> SessionError {
    SessionError::Failed(error.to_string())
}

fn ended_earlier() -> SessionError {
    failed("an earlier call of this session failed or was cancelled")
}

fn of_another_type(error: serde_json::Error) -> SessionError {
    SessionError::Invalid(format!("the attribute is of another type: {error}"))
}

impl std::error::Error for SessionError {}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => write!(f, "not allowed: {why}"),
            Self::Ended => f.write_str("the session ended meanwhile"),
            Self::Conflict => f.write_str("somebody else changed the session meanwhile"),
            Self::Busy => f.write_str("the session is in use: try again"),
            Self::ReadOnly => f.write_str("the session was opened for reading only"),
            Self::Store(what) => write!(f, "the store failed: {what}"),
            Self::Failed(what) => write!(f, "the session manager failed: {what}"),
        }
    }
}

impl SessionsView for State {
    fn sessions(&mut self) -> &mut SessionsCtx {
        &mut self.sessions
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
