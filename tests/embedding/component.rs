//! The built manager component: its imports, its size, and its behaviour over the real
//! interface.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use session3::bindings::exports::session3::sessions::manager::{Config, Policy, SessionError};
use session3::bindings::session3::sessions::session_types::Value;
use session3::components::{CONTEXT, DEMO, MANAGER, MIDDLEWARE};
use session3::store::directory::Options;
use session3::store::{
    DirectoryStore, MemoryStore, SessionId, SessionLock, SessionPage, SessionState, SessionStore,
    StoreError, StoredSession, SweepReport,
};
use session3::{EndReason, Event, SessionsCtx, SessionsCtxView};
use wasmparser::{ComponentExternName, Parser, Payload};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtx;

use session3_test_harness::manager::{Manager, TestClock, cookie_of, on};
use session3_test_support::{block_on, files};

/// Returns the names of the imports at the top level of a component, sorted.
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
fn the_middleware_and_the_context_import_no_more_than_their_contract_says() {
    let expected = [
        "session3:sessions/context@0.2.0",
        "session3:sessions/manager@0.2.0",
        "wasi:http/handler@0.3.0",
        "wasi:http/types@0.3.0",
    ];
    assert_eq!(imports(MIDDLEWARE), expected);
    let expected = [
        "session3:sessions/manager@0.2.0",
        "session3:sessions/session-types@0.2.0",
    ];
    assert_eq!(imports(CONTEXT), expected);
}

#[test]
fn the_manager_has_no_authority_beyond_its_four_imports() {
    let expected = [
        "session3:sessions/events@0.2.0",
        "session3:sessions/session-types@0.2.0",
        "session3:sessions/store@0.2.0",
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
        "session3:sessions/admin@0.2.0",
        "session3:sessions/manager@0.2.0",
        "session3:sessions/session-types@0.2.0",
    ];
    assert!(sessions.eq(&expected), "{names:?}");
}

#[test]
fn the_manager_is_small() {
    assert!(MANAGER.len() <= 160_000, "{} bytes", MANAGER.len());
}

/// A growth of the memory costs the host two system calls, which stop its threads.
#[test]
fn a_request_needs_no_more_memory_than_the_manager_starts_with() {
    block_on(async {
        let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::default());
        let mut manager = Manager::new(store.clone()).await;
        let cookie = manager.request(b"", "n", 1).await;
        manager.request(&cookie, "n", 1).await;
        assert_eq!(manager.growths(), 0);
        // A larger session does make the memory grow.
        let session = manager.open(vec![cookie]).await.unwrap();
        let much = Value::Bytes(vec![0; 500_000]);
        on!(&mut manager, session, call_set, "much", &much).unwrap();
        manager.commit(session).await.unwrap();
        assert!(manager.growths() > 0);
    });
}

#[test]
fn thirty_two_requests_at_once_on_one_session_all_get_through() {
    block_on(async {
        let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::default());
        let mut manager = Manager::new(store.clone()).await;
        let cookie = manager.request(b"", "n", 0).await;
        // All requests have loaded the same version before the first of them commits.
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

/// Creates `count` instances of the manager on one directory store, all with the same clock.
async fn instances(
    directory: &Path,
    count: usize,
    change: impl Fn(&mut Config),
) -> (TestClock, Vec<Manager>) {
    let clock = TestClock(Arc::new(AtomicU64::new(1_700_000_000_000)));
    let reader = clock.0.clone();
    let options = Options::default().clock(move || reader.load(Ordering::SeqCst));
    let store: Arc<dyn SessionStore> = Arc::new(DirectoryStore::open(directory, options).unwrap());
    let mut managers = Vec::new();
    for _ in 0..count {
        let wasi = WasiCtx::builder().wall_clock(clock.clone()).build();
        managers.push(Manager::with(store.clone(), wasi, &change).await);
    }
    (clock, managers)
}

#[test]
fn of_fifty_submissions_in_parallel_exactly_one_counts() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let (_, mut managers) = instances(directory.path(), 50, |_| ()).await;
        let manager = &mut managers[0];
        let session = manager.open(Vec::new()).await.unwrap();
        let token = on!(manager, session, call_create_form_token).unwrap();
        let cookie = cookie_of(&manager.commit(session).await.unwrap()).unwrap();
        let submissions: Vec<_> = managers
            .into_iter()
            .map(|mut manager| {
                let (cookie, token) = (cookie.clone(), token.clone());
                tokio::spawn(async move {
                    let session = manager.open(vec![cookie]).await.unwrap();
                    let was_good = on!(&mut manager, session, call_remove_form_token, &token);
                    manager.commit(session).await.unwrap();
                    was_good.unwrap()
                })
            })
            .collect();
        let mut good = 0;
        for submission in submissions {
            good += u32::from(submission.await.unwrap());
        }
        assert_eq!(good, 1);
    });
}

#[test]
fn two_hundred_requests_in_parallel_at_a_renewal_log_nobody_out() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let (clock, mut managers) = instances(directory.path(), 50, |_| ()).await;
        let old = managers[0].request(b"", "n", 1).await;
        managers[0].request(&old, "n", 1).await;
        // The renewal is now due in all requests.
        clock.0.fetch_add(15 * 60 * 1000, Ordering::SeqCst);
        let browsers: Vec<_> = managers
            .into_iter()
            .map(|mut manager| {
                let cookie = old.clone();
                tokio::spawn(async move {
                    let mut new = HashSet::new();
                    for _ in 0..4 {
                        let session = manager.open(vec![cookie.clone()]).await.unwrap();
                        assert!(!manager.is_new(session).await, "logged out");
                        manager.add(session, "n", 1).await;
                        new.extend(cookie_of(&manager.commit(session).await.unwrap()));
                    }
                    (manager, new)
                })
            })
            .collect();
        let mut new = HashSet::new();
        let mut managers = Vec::new();
        for browser in browsers {
            let (manager, cookies) = browser.await.unwrap();
            managers.push(manager);
            new.extend(cookies);
        }
        assert_eq!(new.len(), 1, "all responses have the same new token");
        let manager = &mut managers[0];
        for cookie in new.into_iter().chain([old]) {
            let session = manager.open(vec![cookie]).await.unwrap();
            let sum = manager.get(session, "n").await;
            assert!(matches!(sum, Some(Value::Integer(202))), "{sum:?}");
            manager.commit(session).await.unwrap();
        }
    });
}

#[test]
fn a_session_that_would_be_too_large_is_refused_and_stays_as_it_was() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let (_, mut managers) = instances(directory.path(), 1, |_| ()).await;
        let manager = &mut managers[0];
        let cookie = manager.request(b"", "n", 1).await;
        let session = manager.open(vec![cookie.clone()]).await.unwrap();
        let large = Value::Bytes(vec![1; 1 << 20]);
        on!(manager, session, call_set, "large", &large).unwrap();
        let refused = manager.commit(session).await;
        assert!(
            matches!(refused, Err(SessionError::Invalid(_))),
            "{refused:?}"
        );
        let session = manager.open(vec![cookie]).await.unwrap();
        assert_eq!(on!(manager, session, call_names), ["n"]);
    });
}

#[test]
fn a_damaged_record_follows_the_policy_and_is_kept() {
    block_on(async {
        for (policy, is_reported) in [
            (Policy::Ignore, false),
            (Policy::Report, true),
            (Policy::Fail, true),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let change = |config: &mut Config| config.on_damage = policy;
            let (_, mut managers) = instances(directory.path(), 2, change).await;
            let cookie = managers[0].request(b"", "n", 1).await;
            let file = files(directory.path()).pop().unwrap();
            let mut bytes = fs::read(&file).unwrap();
            bytes[600] ^= 1;
            fs::write(&file, &bytes).unwrap();
            let manager = &mut managers[1];
            let opened = manager.open(vec![cookie]).await;
            match policy {
                Policy::Fail => assert!(matches!(opened, Err(SessionError::Store(_)))),
                _ => assert!(manager.is_new(opened.unwrap()).await),
            }
            let events = manager.events.lock().unwrap();
            let is_damage = |event: &Event| matches!(event, Event::Damaged(_));
            assert_eq!(events.iter().any(is_damage), is_reported, "{policy:?}");
            assert_eq!(fs::read(&file).unwrap(), bytes);
        }
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

/// A store that panics in every call but a sweep, which it reports as incomplete.
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

    async fn import_session(&self, _: &StoredSession, _: Option<u64>) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn delete_old_sessions(
        &self,
        _: u32,
        limit: Option<Duration>,
    ) -> Result<SweepReport, StoreError> {
        assert_eq!(limit, Some(Duration::from_secs(5)));
        Ok(SweepReport {
            deleted: 1,
            remaining: 2,
            complete: false,
        })
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
    let mut ctx = SessionsCtx::new(Arc::new(Unreachable));
    let mut host = SessionsCtxView {
        ctx: &mut ctx,
        table: &mut ResourceTable::new(),
    };
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

/// A sweep by a guest has a time limit, because a request waits for it.
#[test]
fn a_guests_sweep_is_limited_and_says_that_it_is_not_complete() {
    block_on(async {
        let mut manager = Manager::new(Arc::new(Unreachable)).await;
        let admin = manager.component.session3_sessions_admin();
        let report = admin.call_delete_old_sessions(&mut manager.store, 60);
        let report = report.await.unwrap().unwrap();
        assert_eq!((report.deleted, report.remaining), (1, 2));
        assert!(!report.complete);
    });
}
