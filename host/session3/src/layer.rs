//! A tower layer, which opens the session of each request, and adds the headers of its
//! commit to the response.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tokio::sync::{Mutex, MutexGuard};
use tower_layer::Layer;
use tower_service::Service;

use crate::error::SessionError;
use crate::manager::{Mode, SessionManager, request_of};
use crate::session::Session;

/// Adds a [`RequestSession`] to the extensions of each request, and commits it unless the
/// response is a server error: a request that failed changes nothing.
///
/// If the session cannot be opened or committed, the response has the status that
/// [`SessionError::status`] gives.
///
/// ```
/// use std::sync::Arc;
///
/// use axum::{Router, extract::Extension, routing::get};
/// use session3::layer::{RequestSession, SessionLayer};
/// use session3::{SessionManager, store::MemoryStore};
///
/// async fn count(Extension(session): Extension<RequestSession>) -> String {
///     let visits = session.lock().await.add("visits", 1).await;
///     visits.map_or_else(|error| error.to_string(), |visits| visits.to_string())
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryStore::default());
/// let manager = SessionManager::builder(store).build().await?;
/// let application: Router = Router::new()
///     .route("/", get(count))
///     .layer(SessionLayer::new(manager));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SessionLayer {
    manager: SessionManager,
}

impl SessionLayer {
    /// Creates a layer for the sessions of this manager.
    pub fn new(manager: SessionManager) -> Self {
        Self { manager }
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> SessionService<S> {
        SessionService {
            inner,
            manager: self.manager.clone(),
        }
    }
}

/// The session of a request, for its handlers.
#[derive(Clone)]
pub struct RequestSession(Arc<Mutex<Session>>);

impl RequestSession {
    /// Locks the session. Drop the guard when the handler ends: the commit waits for it.
    pub async fn lock(&self) -> MutexGuard<'_, Session> {
        self.0.lock().await
    }
}

/// A service whose requests have sessions.
#[derive(Clone)]
pub struct SessionService<S> {
    inner: S,
    manager: SessionManager,
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // `poll_ready` made this service ready, not its clone.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let manager = self.manager.clone();
        Box::pin(async move {
            // A reference to the whole request would require that the body is `Sync`.
            let info = request_of(request.headers());
            let session = match manager.open(&info, Mode::Merge).await {
                Ok(session) => RequestSession(Arc::new(Mutex::new(session))),
                Err(error) => return Ok(refused(&error)),
            };
            request.extensions_mut().insert(session.clone());
            let mut response = inner.call(request).await?;
            if !response.status().is_server_error() {
                match session.lock().await.commit().await {
                    Ok(headers) => response.headers_mut().extend(headers),
                    Err(error) => return Ok(refused(&error)),
                }
            }
            Ok(response)
        })
    }
}

fn refused<R: Default>(error: &SessionError) -> Response<R> {
    tracing::warn!(%error, "a request was refused because its session failed");
    let mut response = Response::new(R::default());
    *response.status_mut() = error.status();
    response
}
