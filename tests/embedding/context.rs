//! The component between the middleware and the application: it serves one request after
//! another, and never one with the session of another.

use std::sync::Arc;

use session3::SessionsCtx;
use session3::components::{CONTEXT, MANAGER};
use session3::store::{MemoryStore, SessionStore};
use session3_compose::compose;
use session3_test_harness::provider::{Host, link};
use session3_test_support::block_on;
use wasmtime::Store;
use wasmtime_wasi::WasiCtx;

use bindings::Both;
use bindings::exports::session3::sessions::context::{Mode, Request, SessionError};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: r"
            package session3:both;

            world both {
                export session3:sessions/context@0.2.0;
                export session3:sessions/current@0.2.0;
            }
        ",
        exports: { default: async },
        require_store_data_send: true,
    });
}

async fn instance(sessions: Arc<dyn SessionStore>) -> (Store<Host>, Both) {
    let pre = link(&compose(CONTEXT, MANAGER).unwrap());
    let host = Host::new(SessionsCtx::new(sessions), WasiCtx::default());
    let mut store = Store::new(pre.engine(), host);
    let instance = pre.instantiate_async(&mut store).await.unwrap();
    let both = Both::new(&mut store, &instance).unwrap();
    (store, both)
}

fn request(cookie: &str) -> Request {
    Request {
        cookies: vec![cookie.as_bytes().to_vec()],
        remote_address: None,
        user_agent: None,
    }
}

#[test]
fn one_request_after_another_has_its_own_session() {
    block_on(async {
        let sessions = Arc::new(MemoryStore::default());
        let (mut store, both) = instance(sessions.clone()).await;
        let context = both.session3_sessions_context();
        let current = both.session3_sessions_current();
        let add = async |store: &mut Store<Host>| {
            let sum = current.call_add(store, "n", 1).await;
            sum.unwrap().map_err(|error| format!("{error:?}"))
        };
        assert!(add(&mut store).await.is_err(), "no request has begun");
        let mut cookies: Vec<String> = vec![String::new(), String::new()];
        for visit in 1..=3 {
            for cookie in &mut cookies {
                let info = request(cookie);
                let began = context.call_begin(&mut store, &info, Mode::Merge);
                began.await.unwrap().unwrap();
                assert_eq!(add(&mut store).await, Ok(visit));
                // Another request must wait for its turn.
                let second = context.call_begin(&mut store, &info, Mode::Merge);
                let second = second.await.unwrap();
                assert!(matches!(second, Err(SessionError::Busy)), "{second:?}");
                let headers = context.call_end(&mut store, true).await.unwrap().unwrap();
                let set = headers.iter().find(|header| header.name == "Set-Cookie");
                if let Some(set) = set {
                    *cookie = set.value.split(';').next().unwrap().to_owned();
                }
                // What is still running may look at the session, and not change it.
                let seen = current.call_get(&mut store, "n").await.unwrap();
                assert!(seen.is_some());
                assert!(add(&mut store).await.is_err());
                let again = context.call_end(&mut store, true).await.unwrap();
                assert!(again.is_err(), "a request ends once");
            }
        }
        assert_ne!(cookies[0], cookies[1]);
        let page = sessions.iter_sessions(None, 10).await.unwrap();
        assert_eq!(page.sessions.len(), 2);
    });
}

/// A request that commits nothing leaves nothing to the next one.
#[test]
fn a_request_that_fails_leaves_nothing_behind() {
    block_on(async {
        let (mut store, both) = instance(Arc::new(MemoryStore::default())).await;
        let context = both.session3_sessions_context();
        let current = both.session3_sessions_current();
        for (mode, commit) in [(Mode::Merge, false), (Mode::DryRun, true)] {
            let info = request("");
            let began = context.call_begin(&mut store, &info, mode);
            began.await.unwrap().unwrap();
            let sum = current.call_add(&mut store, "n", 1).await.unwrap();
            assert_eq!(sum.map_err(|error| format!("{error:?}")), Ok(1), "{mode:?}");
            let headers = context.call_end(&mut store, commit).await.unwrap().unwrap();
            assert!(headers.iter().all(|header| header.name != "Set-Cookie"));
            assert!(current.call_get(&mut store, "n").await.unwrap().is_none());
            assert!(current.call_id(&mut store).await.unwrap().is_none());
        }
    });
}
