//! The manager as a layer of tower.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Method, Request, Response, StatusCode};
use session3::layer::{RequestSession, SessionLayer};
use session3::manager::{Mode, Policy};
use session3::store::MemoryStore;
use session3::{SessionError, SessionManager};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower_layer::Layer;
use tower_service::Service;

use session3_test_support::block_on;

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// The body of a response: a text, and the session that the handler kept for it.
#[derive(Default)]
struct Body(String, Option<RequestSession>);

/// A handler, which gets its session and its path.
#[derive(Clone)]
struct Handler(Arc<dyn Fn(RequestSession, String) -> Answer + Send + Sync>);

impl Service<Request<()>> for Handler {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let session: &RequestSession = request.extensions().get().unwrap();
        (self.0)(session.clone(), request.uri().path().to_owned())
    }
}

fn handler<F>(handle: impl Fn(RequestSession, String) -> F + Send + Sync + 'static) -> Handler
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    Handler(Arc::new(move |session, path| {
        let response = handle(session, path);
        Box::pin(async move { Ok(response.await) })
    }))
}

/// Adds to a counter, and answers `/fail` with status 500.
fn counter() -> Handler {
    handler(async |session: RequestSession, path: String| {
        let count = session.lock().await.add("n", 1).await;
        let text = count.map_or_else(|error| error.to_string(), |count| count.to_string());
        let mut response = Response::new(Body(text, None));
        if path == "/fail" {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        response
    })
}

async fn manager() -> SessionManager {
    let store = Arc::new(MemoryStore::default());
    SessionManager::builder(store).build().await.unwrap()
}

fn request(method: Method, path: &str, cookie: &str) -> Request<()> {
    let request = Request::builder().method(method).uri(path);
    request.header("cookie", cookie).body(()).unwrap()
}

fn get(cookie: &str) -> Request<()> {
    request(Method::GET, "/", cookie)
}

fn cookie(headers: &HeaderMap) -> String {
    let cookie = headers["set-cookie"].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let values = headers.get_all(name).iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn a_layer_commits_what_did_not_fail() {
    block_on(async {
        let mut service = SessionLayer::new(manager().await).layer(counter());
        let response = service.call(get("")).await.unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store");
        let cookie = cookie(response.headers());
        let fail = request(Method::GET, "/fail", &cookie);
        assert_eq!(service.call(fail).await.unwrap().status(), 500);
        let response = service.call(get(&cookie)).await.unwrap();
        let count = &response.body().0;
        assert_eq!(count, "2", "the request that failed does not count");
    });
}

#[test]
fn a_head_request_sees_its_changes_and_changes_nothing() {
    block_on(async {
        let mut service = SessionLayer::new(manager().await).layer(counter());
        let response = service.call(get("")).await.unwrap();
        let cookie = cookie(response.headers());
        for _ in 0..2 {
            let head = request(Method::HEAD, "/", &cookie);
            let response = service.call(head).await.unwrap();
            assert_eq!(response.body().0, "2");
            assert!(values(response.headers(), "set-cookie").is_empty());
        }
        let new = service.call(request(Method::HEAD, "/", "")).await.unwrap();
        assert!(values(new.headers(), "set-cookie").is_empty());
    });
}

/// The headers of the handler stay, and the response has one Cache-Control header.
#[test]
fn a_commit_adds_its_headers_to_those_of_the_handler() {
    block_on(async {
        let handler = handler(async |session: RequestSession, path: String| {
            session.lock().await.add("n", 1).await.unwrap();
            if path == "/login" {
                let mut session = session.lock().await;
                session.set_user(Some("alice")).await.unwrap();
            }
            Response::builder()
                .header("set-cookie", "theme=dark")
                .header("vary", "Accept-Encoding")
                .header("cache-control", "private, max-age=60")
                .body(Body::default())
                .unwrap()
        });
        let mut service = SessionLayer::new(manager().await).layer(handler);
        let login = request(Method::POST, "/login", "");
        let response = service.call(login).await.unwrap();
        let cookies = values(response.headers(), "set-cookie");
        assert_eq!((cookies.len(), cookies[0]), (2, "theme=dark"));
        let cookie = cookies[1].split(';').next().unwrap().to_owned();
        assert_eq!(
            values(response.headers(), "vary"),
            ["Accept-Encoding", "Cookie"]
        );
        // A response with the session's cookie is not kept at all.
        assert_eq!(values(response.headers(), "cache-control"), ["no-store"]);
        let response = service.call(get(&cookie)).await.unwrap();
        assert_eq!(values(response.headers(), "set-cookie"), ["theme=dark"]);
        assert_eq!(
            values(response.headers(), "vary"),
            ["Accept-Encoding", "Cookie"]
        );
        let control = values(response.headers(), "cache-control");
        assert_eq!(control, ["private, max-age=60"]);
    });
}

/// An event stream lasts for hours after its handler has answered.
#[test]
fn a_body_that_keeps_the_session_keeps_no_instance() {
    block_on(async {
        let store = Arc::new(MemoryStore::default());
        let manager = SessionManager::builder(store)
            .max_sessions(1)
            .build()
            .await
            .unwrap();
        let streaming = handler(async |session: RequestSession, _| {
            session.lock().await.add("n", 1).await.unwrap();
            Response::new(Body(String::new(), Some(session)))
        });
        let mut service = SessionLayer::new(manager).layer(streaming);
        let mut bodies = Vec::new();
        for _ in 0..3 {
            let response = service.call(get("")).await.unwrap();
            assert_eq!(response.status(), 200);
            bodies.push(response.into_body());
        }
        let session = bodies[0].1.as_ref().unwrap();
        let late = session.lock().await.add("n", 1).await;
        assert!(matches!(late, Err(SessionError::Ended)), "{late:?}");
    });
}

#[test]
fn too_many_open_sessions_are_answered_503_in_time() {
    block_on(async {
        let store = Arc::new(MemoryStore::default());
        let manager = SessionManager::builder(store)
            .max_sessions(2)
            .max_wait(Duration::from_millis(20))
            .build()
            .await
            .unwrap();
        let gate = Arc::new(Semaphore::new(0));
        let upstream = gate.clone();
        let slow = handler(move |_, _| {
            let upstream = upstream.clone();
            async move {
                let _permit = upstream.acquire().await.unwrap();
                Response::new(Body::default())
            }
        });
        let mut service = SessionLayer::new(manager).layer(slow);
        let mut requests = JoinSet::new();
        for _ in 0..5 {
            requests.spawn(service.call(get("")));
        }
        let mut next = async || {
            requests
                .join_next()
                .await
                .unwrap()
                .unwrap()
                .unwrap()
                .status()
        };
        for _ in 0..3 {
            assert_eq!(next().await, 503);
        }
        gate.add_permits(10);
        for _ in 0..2 {
            assert_eq!(next().await, 200);
        }
        assert_eq!(service.call(get("")).await.unwrap().status(), 200);
    });
}

#[test]
fn an_application_chooses_mode_address_and_configuration() {
    block_on(async {
        let store = Arc::new(MemoryStore::default());
        let build = async |name: &'static str| {
            let builder = SessionManager::builder(store.clone()).configure(move |config| {
                config.cookie.name = name.into();
                config.on_client_change = Policy::Fail;
            });
            builder.build().await.unwrap()
        };
        let (usual, admin) = (build("__Host-a").await, build("__Host-b").await);
        let layer =
            SessionLayer::choosing(
                move |request| match request.uri.path().starts_with("/admin") {
                    true => admin.clone(),
                    false => usual.clone(),
                },
            );
        let layer = layer
            .mode(|request| match request.uri.path() {
                "/admin/look" => Mode::ReadOnly,
                _ => Mode::Merge,
            })
            .remote_address(|request| {
                let address = request.headers.get("x-address")?;
                address.to_str().ok()?.parse().ok()
            });
        let mut service = layer.layer(counter());
        let response = service.call(get("")).await.unwrap();
        assert!(cookie(response.headers()).starts_with("__Host-a="));
        let from = |path: &str, cookie: &str, address: &str| {
            let mut request = request(Method::GET, path, cookie);
            let address = address.try_into().unwrap();
            request.headers_mut().insert("x-address", address);
            request
        };
        let response = service.call(from("/admin", "", "::ffff:192.0.2.1")).await;
        let cookie = cookie(response.unwrap().headers());
        assert!(cookie.starts_with("__Host-b="));
        let look = service
            .call(from("/admin/look", &cookie, "192.0.2.1"))
            .await;
        let text = look.unwrap().into_body().0;
        assert_eq!(text, SessionError::ReadOnly.to_string());
        let other = service.call(from("/admin", &cookie, "192.0.2.2")).await;
        assert_eq!(other.unwrap().status(), 403);
    });
}
