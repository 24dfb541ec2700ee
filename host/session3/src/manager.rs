//! The session manager for a Rust program without an application component:
//! [`SessionManager`] runs the manager component.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, header};
use session3_store::SessionStore;

use crate::bindings::exports::session3::sessions::manager as wit;
use crate::components::MANAGER;
use crate::ctx::SessionsCtx;
use crate::error::SessionError;
use crate::instances::Instances;
use crate::session::Session;

pub use wit::{
    Config, CookieConfig, Mode, Policy, RememberConfig, Request, SameSite, SessionSummary,
    UserCaching,
};

/// The default for how many sessions are open at the same time.
const MAX_SESSIONS: u32 = 256;
/// The default for how long a request waits for one of them.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Opens the sessions of requests. A clone is cheap and shares the instances.
///
/// ```
/// use std::sync::Arc;
///
/// use session3::{SessionManager, store::MemoryStore};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryStore::default());
/// let manager = SessionManager::builder(store).build().await?;
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
    pub(crate) instances: Arc<Instances>,
}

/// Builds a [`SessionManager`].
pub struct SessionManagerBuilder {
    component: Option<Vec<u8>>,
    cache: Option<PathBuf>,
    max_sessions: u32,
    max_wait: Duration,
    sessions: SessionsCtx,
    configure: Box<dyn FnOnce(&mut Config) + Send>,
}

impl SessionManagerBuilder {
    /// Changes the configuration, which is the component's default before.
    pub fn configure(mut self, configure: impl FnOnce(&mut Config) + Send + 'static) -> Self {
        self.configure = Box::new(configure);
        self
    }

    /// Runs another session manager component, for example one that contains an operator's
    /// [policy](crate::policy). By default, it is
    /// [`components::MANAGER`](crate::components::MANAGER).
    pub fn component(mut self, component: impl Into<Vec<u8>>) -> Self {
        self.component = Some(component.into());
        self
    }

    /// Keeps compiled code in this directory for the next start; by default, it is not
    /// kept. A user who can write there can run code in this process, so the directory has to
    /// belong to the current user or to root, and be writable for its owner only. Otherwise a
    /// warning is logged, and no code is kept.
    pub fn cache(mut self, directory: Option<&Path>) -> Self {
        self.cache = directory.map(Path::to_owned);
        self
    }

    /// Sets how many sessions are open at the same time: 256 by default. More requests wait.
    ///
    /// A session is open from [`open`](SessionManager::open) until it is dropped or
    /// [closed](Session::close), so a handler that waits long with an open session takes one of
    /// them. Each has an instance of the component, whose memory is at most some hundred kB and
    /// reserves 4 GiB of address space. A single instance reserves 64 MiB, and is slower.
    pub fn max_sessions(mut self, count: u32) -> Self {
        self.max_sessions = count.max(1);
        self
    }

    /// Sets how long a request waits for one of these: 5 seconds by default. After that,
    /// opening its session fails with [`SessionError::Busy`].
    pub fn max_wait(mut self, time: Duration) -> Self {
        self.max_wait = time;
        self
    }

    /// Compiles the component and opens it.
    ///
    /// # Errors
    ///
    /// [`SessionError::Invalid`] if the configuration contradicts itself or is weaker than
    /// the component's policy requires, [`SessionError::Failed`] if the component does not
    /// run.
    pub async fn build(self) -> Result<SessionManager, SessionError> {
        let component = self.component.as_deref().unwrap_or(MANAGER);
        let instances = Instances::new(
            component,
            self.cache.as_deref(),
            self.max_sessions,
            self.max_wait,
            self.sessions,
            self.configure,
        );
        Ok(SessionManager {
            instances: Arc::new(instances.await?),
        })
    }
}

impl SessionManager {
    /// Starts building a manager of sessions in this store.
    pub fn builder(store: Arc<dyn SessionStore>) -> SessionManagerBuilder {
        Self::with_ctx(SessionsCtx::new(store))
    }

    /// Starts building a manager with a context, which may have sinks for events.
    pub fn with_ctx(sessions: SessionsCtx) -> SessionManagerBuilder {
        SessionManagerBuilder {
            component: None,
            cache: None,
            max_sessions: MAX_SESSIONS,
            max_wait: MAX_WAIT,
            sessions,
            configure: Box::new(|_| ()),
        }
    }

    /// Opens the session of a request, by its headers `Cookie` and `User-Agent`. Without a
    /// session, it returns a new one, which is not in the store until the request commits
    /// something to keep.
    ///
    /// # Errors
    ///
    /// [`SessionError::Store`] if the store fails.
    pub async fn get_session<B>(
        &self,
        request: &http::Request<B>,
    ) -> Result<Session, SessionError> {
        self.open(&request_of(request.headers()), Mode::Merge).await
    }

    /// Opens the session of a request in any mode, with the client's address if it is
    /// known.
    ///
    /// # Errors
    ///
    /// [`SessionError::Store`] if the store fails; [`SessionError::Busy`] if too many sessions
    /// are open, or, in the exclusive mode, if another request keeps the session for too long.
    pub async fn open(&self, request: &Request, mode: Mode) -> Result<Session, SessionError> {
        let mut borrowed = self.instances.borrow().await?;
        let instance = &mut borrowed.instance;
        let guest = instance.component.session3_sessions_manager();
        let opened = guest
            .session_manager()
            .call_get_session(&mut instance.store, instance.manager, request, mode)
            .await
            .map_err(SessionError::failed)?;
        match opened {
            Ok(handle) => Ok(Session::new(handle, borrowed, self.instances.clone())),
            Err(error) => {
                self.instances.put_back(borrowed.instance);
                Err(error.into())
            }
        }
    }
}

/// Returns what the session manager needs of a request, from its headers. The client's
/// address is not among them.
pub fn request_of(headers: &HeaderMap) -> Request {
    let cookies = headers.get_all(header::COOKIE).iter();
    let user_agent = headers.get(header::USER_AGENT);
    Request {
        cookies: cookies.map(|value| value.as_bytes().to_vec()).collect(),
        remote_address: None,
        user_agent: user_agent.and_then(|value| Some(value.to_str().ok()?.to_owned())),
    }
}
