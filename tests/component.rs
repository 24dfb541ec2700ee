//! The built manager component: what it imports, how large it is, and that it
//! does over the real interface what its own tests say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use session3::bindings::exports::session3::sessions::manager::SessionError;
use session3::bindings::session3::sessions::types::Value;
use session3::components::{DEMO, MANAGER};
use session3::store::{
    MemoryStore, SessionId, SessionLock, SessionPage, SessionState, SessionStore, StoreError,
    StoredSession, SweepReport,
};
use session3::{EndReason, Event, SessionsCtx};
use wasmparser::{ComponentExternName, Parser, Payload};
use wasmtime_wasi::WasiCtx;

use crate::support::block_on;
use crate::support::component::{Manager, TestClock, cookie_of};

/// The names that a component imports at its top.
pub fn imports(component: &[u8]) -> Vec<String> {
    let mut depth = 0;
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                names.extend(section.into_iter().map(|import| {
                    let ComponentExternName { name, .. } = import.unwrap().name;
                    name.to_owned()
                }));
            }
            _ => {}
        }
    }
    names.sort();
    names
}

#[test]
fn the_manager_has_no_authority_beyond_its_four_imports() {
    let expected = [
        "session3:sessions/events@0.1.0",
        "session3:sessions/store@0.1.0",
        "session3:sessions/types@0.1.0",
        "wasi:clocks/wall-clock@0.2.6",
        "wasi:random/random@0.2.6",
    ];
    assert_eq!(imports(MANAGER), expected);
}

#[test]
fn an_application_does_not_see_the_store() {
    let names = imports(DEMO);
    let sessions = names.iter().filter(|name| name.starts_with("session3:"));
    // The demo has a page for the administrator.
    let expected = [
        "session3:sessions/admin@0.1.0",
        "session3:sessions/manager@0.1.0",
        "session3:sessions/types@0.1.0",
    ];
    assert!(sessions.eq(&expected), "{names:?}");
}

#[test]
fn the_manager_is_small() {
    assert!(MANAGER.len() <= 150_000, "{} bytes", MANAGER.len());
}

#[test]
fn thirty_two_requests_at_once_on_one_session_all_get_through() {
    block_on(async {
        let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::default());
        let mut manager = Manager::new(store.clone()).await;
        let cookie = manager.request(b"", "n", 0).await;
        // All have loaded the same version before the first of them commits.
        let mut requests = Vec::new();
        for _ in 0..32 {
            let mut manager = Manager::new(store.clone()).await;
            let session = manager.open(vec![cookie.clone()]).await.unwrap();
            manager.add(session, "n", 1).await;
            requests.push((manager, session));
        }
        let commits: Vec<_> = requests
            .into_iter()
            .map(|(mut manager, session)| {
                tokio::spawn(async move { manager.commit(session).await })
            })
            .collect();
        for commit in commits {
            assert_eq!(commit.await.unwrap().err().map(|e| e.to_string()), None);
        }
        let session = manager.open(vec![cookie]).await.unwrap();
        let sum = manager.get(session, "n").await;
        assert!(matches!(sum, Some(Value::Integer(32))), "{sum:?}");
    });
}

#[test]
fn time_passes_when_the_host_says_so() {
    block_on(async {
        let clock = TestClock(Arc::new(AtomicU64::new(1_700_000_000_000)));
        let wasi = WasiCtx::builder().wall_clock(clock.clone()).build();
        let reader = clock.0.clone();
        let store = Arc::new(MemoryStore::new(move || reader.load(Ordering::SeqCst)));
        let mut manager = Manager::with(store, wasi, |_| ()).await;
        let cookie = manager.request(b"", "n", 1).await;
        for _ in 0..3 {
            let session = manager.open(vec![cookie.clone()]).await.unwrap();
            assert!(!manager.is_new(session).await);
            manager.commit(session).await.unwrap();
            clock.0.fetch_add(30 * 60 * 1000 - 1, Ordering::SeqCst);
        }
        clock.0.fetch_add(1, Ordering::SeqCst);
        manager.events.lock().unwrap().clear();
        let session = manager.open(vec![cookie]).await.unwrap();
        assert!(manager.is_new(session).await);
        let events = manager.events.lock().unwrap();
        assert!(matches!(events[0], Event::Ended((_, EndReason::Idle))));
    });
}

#[test]
fn a_contradictory_configuration_is_refused() {
    block_on(async {
        let mut manager = Manager::new(Arc::new(MemoryStore::default())).await;
        let refused = manager.open_config(|config| config.cookie.secure = false);
        assert!(matches!(refused.await, Err(SessionError::Invalid(_))));
    });
}

#[test]
fn a_forged_token_changes_nothing() {
    block_on(async {
        let store = Arc::new(MemoryStore::default());
        let mut manager = Manager::new(store.clone()).await;
        let cookie = manager.request(b"", "n", 7).await;
        let text = String::from_utf8(cookie.clone()).unwrap();
        let (name_and_id, secret) = text.split_once('.').unwrap();
        let id = name_and_id.split_once('=').unwrap().1.parse().unwrap();
        let before = store.load_session(&id).await;
        let forged = format!("{name_and_id}.{}", secret.chars().rev().collect::<String>());
        let session = manager.open(vec![forged.into_bytes()]).await.unwrap();
        assert!(manager.is_new(session).await);
        assert!(manager.get(session, "n").await.is_none());
        let headers = manager.commit(session).await.unwrap();
        assert_eq!(cookie_of(&headers), None);
        assert_eq!(store.load_session(&id).await, before);
        let session = manager.open(vec![cookie]).await.unwrap();
        assert!(!manager.is_new(session).await);
    });
}

/// A store that must not be reached.
struct Unreachable;

#[async_trait::async_trait]
impl SessionStore for Unreachable {
    async fn setup(&self) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn create_session(&self, _: &SessionId, _: &SessionState) -> Result<u64, StoreError> {
        unreachable!()
    }

    async fn load_session(&self, _: &SessionId) -> Result<Option<StoredSession>, StoreError> {
        unreachable!()
    }

    async fn save_session(
        &self,
        _: &SessionId,
        _: &SessionState,
        _: u64,
    ) -> Result<u64, StoreError> {
        unreachable!()
    }

    async fn touch_session(&self, _: &SessionId, _: u64, _: u64) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn delete_session(&self, _: &SessionId) -> Result<bool, StoreError> {
        unreachable!()
    }

    async fn delete_old_sessions(
        &self,
        _: u32,
        _: Option<Duration>,
    ) -> Result<SweepReport, StoreError> {
        unreachable!()
    }

    async fn iter_sessions(&self, _: Option<&str>, _: u32) -> Result<SessionPage, StoreError> {
        unreachable!()
    }

    async fn sessions_of_user(&self, _: &str) -> Result<Vec<SessionId>, StoreError> {
        unreachable!()
    }

    async fn lock_session(&self, _: &SessionId, _: Duration) -> Result<SessionLock, StoreError> {
        unreachable!()
    }

    fn is_multiprocess_safe(&self) -> bool {
        false
    }

    fn is_thread_safe(&self) -> bool {
        true
    }
}

#[test]
fn an_id_that_is_none_reaches_no_store() {
    use session3::bindings::session3::sessions::store::{Host, SessionState, StoreError};
    let good = "0123456789abcdef0123456789abcdef";
    let bad = [
        "../x".into(),
        "/dev/null".into(),
        format!("{good}0"),
        good.to_uppercase(),
        good.replace('0', "\0"),
        String::new(),
    ];
    let mut host = SessionsCtx::new(Arc::new(Unreachable));
    block_on(async {
        for id in bad {
            let state = SessionState {
                user: None,
                expires: 0,
                data: Vec::new(),
            };
            let refusals = [
                host.create_session(id.clone(), state.clone()).await.err(),
                host.load_session(id.clone()).await.err(),
                host.save_session(id.clone(), state, 1).await.err(),
                host.touch_session(id.clone(), 0, 1).await.err(),
                host.delete_session(id.clone()).await.err(),
                host.has_session(id.clone()).await.err(),
            ];
            for refusal in refusals {
                assert!(matches!(refusal, Some(StoreError::InvalidId)), "{id:?}");
            }
        }
    });
}
