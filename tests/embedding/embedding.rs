//! The manager in a Rust program.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http::Request;
use serde_json::json;
use session3::manager::Mode;
use session3::store::MemoryStore;
use session3::{SessionError, SessionManager, SessionsCtx};

use session3_test_support::block_on;

async fn manager() -> SessionManager {
    let store = Arc::new(MemoryStore::default());
    SessionManager::builder(store).build().await.unwrap()
}

fn request(cookie: &str) -> Request<()> {
    Request::get("/").header("cookie", cookie).body(()).unwrap()
}

fn cookie(headers: &http::HeaderMap) -> String {
    let cookie = headers["set-cookie"].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

#[test]
fn values_of_every_type_come_back() {
    block_on(async {
        let manager = manager().await;
        let mut session = manager.get_session(&request("")).await.unwrap();
        let values = [
            json!(true),
            json!(-5),
            json!(0.5),
            json!("text"),
            json!(null),
            json!([1, {"a": "b"}]),
            json!(u64::MAX),
        ];
        for (name, value) in ["b", "i", "n", "t", "0", "j", "u"].iter().zip(&values) {
            session.set(name, value).await.unwrap();
        }
        let cookie = cookie(&session.commit().await.unwrap());
        let mut session = manager.get_session(&request(&cookie)).await.unwrap();
        for (name, value) in ["b", "i", "n", "t", "0", "j", "u"].iter().zip(values) {
            let found: Option<serde_json::Value> = session.get(name).await.unwrap();
            // A missing value counts as null here: null is the default of `Value`.
            assert_eq!(found.unwrap_or_default(), value, "{name}");
        }
        assert!(matches!(
            session.get::<i64>("t").await,
            Err(SessionError::Type(_))
        ));
        assert!(session.created().await.unwrap() <= SystemTime::now());
        assert!(session.remove("t").await.unwrap() && !session.remove("t").await.unwrap());
        assert_eq!(session.names().await.unwrap().len(), 6);
    });
}

#[test]
fn a_contradictory_configuration_is_refused_at_once() {
    block_on(async {
        let opened = SessionManager::builder(Arc::new(MemoryStore::default()))
            .configure(|config| config.cookie.secure = false)
            .build();
        assert!(matches!(
            opened.await.map(drop),
            Err(SessionError::Invalid(_))
        ));
    });
}

/// A cancelled call discards its instance of the manager, and later requests for the same
/// session succeed.
/// JSON would turn such numbers into `null`, and could not be read again if it is too deep.
#[test]
fn a_value_that_could_not_be_read_again_is_refused() {
    block_on(async {
        let manager = manager().await;
        let mut session = manager.get_session(&request("")).await.unwrap();
        let deep = |depth| (1..depth).fold(json!([1]), |inner, _| json!([inner]));
        session.set("deep", &deep(127)).await.unwrap();
        let read: serde_json::Value = session.get("deep").await.unwrap().unwrap();
        assert_eq!(read, deep(127));
        session.set("some", &Some([1.5_f32])).await.unwrap();
        let refused = [
            session.set("a", &f64::NAN).await,
            session.set("a", &f32::INFINITY).await,
            session.set("a", &Some(vec![(1, f64::NEG_INFINITY)])).await,
            session.set("a", &Ok::<_, ()>(f64::NAN)).await,
            session.set("a", &deep(128)).await,
        ];
        for result in refused {
            assert!(matches!(result, Err(SessionError::Type(_))), "{result:?}");
        }
        assert_eq!(session.names().await.unwrap(), ["deep", "some"]);
    });
}

#[test]
fn a_call_that_is_cancelled_ends_its_session_only() {
    block_on(async {
        let manager = manager().await;
        let mut first = manager.get_session(&request("")).await.unwrap();
        first.set("a", &1).await.unwrap();
        let cookie = cookie(&first.commit().await.unwrap());
        let presented = session3::manager::request_of(request(&cookie).headers());
        let held = manager.open(&presented, Mode::Exclusive).await.unwrap();
        // The second request waits for the lease until it is cancelled.
        let waiting = manager.open(&presented, Mode::Exclusive);
        let limit = Duration::from_millis(50);
        assert!(tokio::time::timeout(limit, waiting).await.is_err());
        drop(held);
        let mut next = manager.open(&presented, Mode::Exclusive).await.unwrap();
        assert_eq!(next.get::<i64>("a").await.unwrap(), Some(1));
    });
}

/// Each commit is measured once, also one that fails with a conflict.
#[test]
fn commits_are_measured_one_by_one() {
    block_on(async {
        let times = Arc::new(Mutex::new(Vec::new()));
        let sink = times.clone();
        let sessions = SessionsCtx::builder(Arc::new(MemoryStore::default()))
            .on_commit(move |time| sink.lock().unwrap().push(time))
            .build();
        let manager = SessionManager::with_ctx(sessions).build().await.unwrap();
        let mut first = manager.get_session(&request("")).await.unwrap();
        first.add("n", 1).await.unwrap();
        let cookie = cookie(&first.commit().await.unwrap());
        drop(first);
        let presented = session3::manager::request_of(request(&cookie).headers());
        let mut strict = manager.open(&presented, Mode::Strict).await.unwrap();
        strict.add("n", 1).await.unwrap();
        let mut other = manager.open(&presented, Mode::Merge).await.unwrap();
        other.add("n", 1).await.unwrap();
        other.commit().await.unwrap();
        assert!(matches!(strict.commit().await, Err(SessionError::Conflict)));
        drop((strict, other));
        for _ in 0..3 {
            let mut next = manager.open(&presented, Mode::Merge).await.unwrap();
            next.add("n", 1).await.unwrap();
            next.commit().await.unwrap();
        }
        assert_eq!(times.lock().unwrap().len(), 6);
    });
}

#[test]
fn many_requests_at_once_all_count() {
    block_on(async {
        let manager = manager().await;
        let mut session = manager.get_session(&request("")).await.unwrap();
        session.add("n", 1).await.unwrap();
        let cookie = cookie(&session.commit().await.unwrap());
        let tasks: Vec<_> = (0..200)
            .map(|_| {
                let (manager, request) = (manager.clone(), request(&cookie));
                tokio::spawn(async move {
                    let mut session = manager.get_session(&request).await.unwrap();
                    session.add("n", 1).await.unwrap();
                    session.commit().await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let mut session = manager.get_session(&request(&cookie)).await.unwrap();
        assert_eq!(session.get::<i64>("n").await.unwrap(), Some(201));
    });
}
