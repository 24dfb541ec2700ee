//! A tower layer, which opens the session of each request, and adds the headers of its
//! commit to the response.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use session3_store::caching::cache_control;
use tokio::sync::{Mutex, MutexGuard};
use tower_layer::Layer;
use tower_service::Service;

use crate::error::SessionError;
use crate::manager::{Mode, SessionManager, request_of};
use crate::session::Session;

type Choice<T> = Arc<dyn Fn(&Parts) -> T + Send + Sync>;

/// Adds a [`RequestSession`] to the extensions of each request, and commits it unless the
/// response is a server error: a request that failed changes nothing.
///
/// The headers of the commit join those of the response. A response has a single
/// `Cache-Control` header, by the rule of [`cache_control`].
///
/// If the session cannot be opened or committed, the response has the status that
/// [`SessionError::status`] gives. A request waits for an instance of the session manager as
/// long as [`SessionManagerBuilder::max_wait`](crate::SessionManagerBuilder::max_wait) says,
/// and is answered with 503 Service Unavailable after that.
///
/// With the feature `axum`, [`RequestSession`] is an extractor:
///
/// ```
/// use std::net::SocketAddr;
/// use std::sync::Arc;
///
/// use axum::{Router, extract::ConnectInfo, routing::get};
/// use session3::layer::{RequestSession, SessionLayer};
/// use session3::{SessionManager, store::MemoryStore};
///
/// async fn count(session: RequestSession) -> String {
///     let visits = session.lock().await.add("visits", 1).await;
///     visits.map_or_else(|error| error.to_string(), |visits| visits.to_string())
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryStore::default());
/// let manager = SessionManager::builder(store).build().await?;
/// let sessions = SessionLayer::new(manager).remote_address(|request| {
///     let client = request.extensions.get::<ConnectInfo<SocketAddr>>();
///     client.map(|client| client.ip())
/// });
/// let application: Router = Router::new().route("/", get(count)).layer(sessions);
/// let service = application.into_make_service_with_connect_info::<SocketAddr>();
/// # let _ = service;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SessionLayer {
    choices: Choices,
}

/// How a request gets its session.
#[derive(Clone)]
struct Choices {
    manager: Choice<SessionManager>,
    mode: Choice<Mode>,
    remote_address: Choice<Option<IpAddr>>,
}

impl SessionLayer {
    /// Creates a layer for the sessions of this manager.
    pub fn new(manager: SessionManager) -> Self {
        Self::choosing(move |_| manager.clone())
    }

    /// Creates a layer that chooses a manager for each request, and so its configuration: for
    /// example one for the pages below `/admin`, with shorter timeouts and a cookie of their
    /// own. A manager is cheap to clone; build each of them once.
    pub fn choosing(manager: impl Fn(&Parts) -> SessionManager + Send + Sync + 'static) -> Self {
        Self {
            choices: Choices {
                manager: Arc::new(manager),
                mode: Arc::new(usual_mode),
                remote_address: Arc::new(|_| None),
            },
        }
    }

    /// Chooses the mode of each request. By default it is `merge`, and `dry-run` for HEAD.
    pub fn mode(mut self, mode: impl Fn(&Parts) -> Mode + Send + Sync + 'static) -> Self {
        self.choices.mode = Arc::new(mode);
        self
    }

    /// Finds the client's address, which is stored with a new session and compared with that
    /// of later requests. By default it is unknown. Believe a header such as
    /// `X-Forwarded-For` only if a proxy of yours has set it.
    pub fn remote_address(
        mut self,
        address: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.choices.remote_address = Arc::new(address);
        self
    }
}

/// Returns the mode of a request unless the application chooses one. The response to HEAD is
/// that of GET, and nothing else happens.
fn usual_mode(request: &Parts) -> Mode {
    match request.method {
        Method::HEAD => Mode::DryRun,
        _ => Mode::Merge,
    }
}

impl Choices {
    async fn open(&self, request: &Parts) -> Result<Session, SessionError> {
        let mut info = request_of(&request.headers);
        let address = (self.remote_address)(request);
        info.remote_address = address.map(|address| address.to_canonical().to_string());
        let (manager, mode) = ((self.manager)(request), (self.mode)(request));
        manager.open(&info, mode).await
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> SessionService<S> {
        SessionService {
            inner,
            choices: self.choices.clone(),
        }
    }
}

/// The session of a request, for its handlers.
///
/// After the response, the session is closed: a body that is still being produced can no
/// longer use it, and fails with [`SessionError::Ended`].
#[derive(Clone)]
pub struct RequestSession(Arc<Mutex<Session>>);

impl RequestSession {
    /// Locks the session. Drop the guard when the handler ends: the commit waits for it.
    pub async fn lock(&self) -> MutexGuard<'_, Session> {
        self.0.lock().await
    }
}

/// Extracts the session of a request that passed a [`SessionLayer`]; without one, the
/// rejection is 500 Internal Server Error.
#[cfg(feature = "axum")]
impl<S: Sync> axum_core::extract::FromRequestParts<S> for RequestSession {
    type Rejection = (http::StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get::<Self>().cloned().ok_or((
            http::StatusCode::INTERNAL_SERVER_ERROR,
            "the request has no session: add a SessionLayer to the router",
        ))
    }
}

/// A service whose requests have sessions.
#[derive(Clone)]
pub struct SessionService<S> {
    inner: S,
    choices: Choices,
}

impl<S, B, R> Service<Request<B>> for SessionService<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Default + Send,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // `poll_ready` made this service ready, not its clone.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let choices = self.choices.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let session = match choices.open(&parts).await {
                Ok(session) => RequestSession(Arc::new(Mutex::new(session))),
                Err(error) => return Ok(refused(&error)),
            };
            parts.extensions.insert(session.clone());
            let mut response = inner.call(Request::from_parts(parts, body)).await?;
            let mut session = session.lock().await;
            if !response.status().is_server_error() {
                match session.commit().await {
                    Ok(headers) => add_headers(response.headers_mut(), headers),
                    Err(error) => return Ok(refused(&error)),
                }
            }
            // A handler may have kept the session for its body, which can last for hours.
            session.close();
            Ok(response)
        })
    }
}

/// Adds the headers of a commit to those of a response.
fn add_headers(response: &mut HeaderMap, commit: HeaderMap) {
    let own: Vec<_> = response.get_all(CACHE_CONTROL).iter().cloned().collect();
    let sets_cookie = commit.contains_key(SET_COOKIE);
    let mut name = None;
    for (next_name, value) in commit {
        // An iterator over headers gives each name once, with its first value.
        name = next_name.or(name);
        match &name {
            Some(name) if name == CACHE_CONTROL => {
                let own: Vec<_> = own.iter().map(HeaderValue::as_bytes).collect();
                let value = cache_control(&own, value.as_bytes(), sets_cookie);
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    response.insert(CACHE_CONTROL, value);
                }
            }
            Some(name) => {
                response.append(name, value);
            }
            None => {}
        }
    }
}

fn refused<R: Default>(error: &SessionError) -> Response<R> {
    tracing::warn!(%error, "a request was refused because its session failed");
    let mut response = Response::new(R::default());
    *response.status_mut() = error.status();
    response
}
