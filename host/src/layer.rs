//! A tower layer: each request finds its session, and each response carries
//! what the commit returned.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use tokio::sync::{Mutex, MutexGuard};
use tower_layer::Layer;
use tower_service::Service;

use crate::manager::{Mode, Session, SessionError, SessionManager, request_of};

/// Adds a [`RequestSession`] to each request's extensions, and commits it when
/// the response is no server error: a request that failed changes nothing.
#[derive(Clone)]
pub struct SessionLayer {
    manager: SessionManager,
}

impl SessionLayer {
    /// Sessions of this manager.
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
    /// The session. Do not keep it locked beyond the handler: the response
    /// waits for it.
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
        // The one that is ready, not its clone.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let manager = self.manager.clone();
        Box::pin(async move {
            // Not the whole request, since there are bodies that are not `Sync`.
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
    tracing::warn!(%error, "a request was not served for want of its session");
    let mut response = Response::new(R::default());
    *response.status_mut() = match error {
        SessionError::Ended | SessionError::Conflict => StatusCode::CONFLICT,
        SessionError::Busy | SessionError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    response
}
