//! Benchmarks of requests through the manager component, and of the store operations alone that
//! these requests make.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use session3_store::{SessionId, SessionStore};
use session3_store_directory::DirectoryStore;
use tokio::runtime::Runtime;
use wasmtime_wasi::WasiCtx;

use crate::table::Table;
use crate::{Plan, median};
use session3_test_harness::manager::{self, Manager};
use session3_test_support::directory::Directory;

/// The number of sessions, all of whose files fit into the file descriptor cache.
const SESSIONS: usize = 500;

/// The kind of a request.
#[derive(Clone, Copy)]
enum Kind {
    /// A request without a cookie.
    Stranger,
    /// A request that reads an attribute.
    Read,
    /// A request that adds to an attribute.
    Add,
}

/// A session, and the cookie that opens it.
struct Visitor {
    id: SessionId,
    cookie: Vec<u8>,
}

/// Measures each kind of request: the store operations alone, with one manager for all requests,
/// with a new manager for each request, and a new instance that serves none.
pub fn measure(plan: &Plan, runtime: &Runtime, place: &Path, table: &mut Table) {
    let directory = Directory::new(place, "requests");
    let store = Arc::new(DirectoryStore::open(directory.path(), Default::default()).unwrap());
    table.section("requests: the store's operations, with the component, added");
    runtime.block_on(async {
        let mut manager = manager(&store).await;
        let mut visitors = Vec::new();
        for _ in 0..SESSIONS.min(plan.batch) {
            visitors.push(Visitor::new(&mut manager).await);
        }
        for (name, kind, most) in [
            ("without a cookie", Kind::Stranger, 0.2),
            ("read an attribute", Kind::Read, 0.45),
            ("add to an attribute", Kind::Add, 0.6),
        ] {
            let (mut alone, mut reused) = (Vec::new(), Vec::new());
            let (mut fresh, mut unused) = (Vec::new(), Vec::new());
            // The first round only warms up.
            for round in 0..=plan.rounds {
                let times = [
                    time(&visitors, async |visitor| {
                        operations(&store, kind, visitor).await
                    })
                    .await,
                    time(&visitors, async |visitor| {
                        request(&mut manager, kind, visitor).await
                    })
                    .await,
                    time(&visitors, async |visitor| {
                        request(&mut self::manager(&store).await, kind, visitor).await;
                    })
                    .await,
                    time(&visitors, async |_| {
                        manager::instantiate(store.clone()).await
                    })
                    .await,
                ];
                if round > 0 {
                    alone.push(times[0]);
                    reused.push(times[1]);
                    fresh.push(times[2]);
                    unused.push(times[3]);
                }
            }
            let [alone, reused, fresh, unused] = [alone, reused, fresh, unused].map(median);
            let added = table.addition(name, alone, reused);
            table.addition(&format!("{name}, new instance"), alone, fresh);
            table.addition("none: a new instance, unused", 0.0, unused);
            let what = format!("what the component adds, to making an instance, {name}");
            table.targets.at_most(&what, added / unused, most);
        }
    });
}

async fn manager(store: &Arc<DirectoryStore>) -> Manager {
    Manager::with(store.clone(), WasiCtx::builder().build(), |_| ()).await
}

/// Calls `each` for every visitor, and returns the mean time in microseconds.
async fn time(visitors: &[Visitor], mut each: impl AsyncFnMut(&Visitor)) -> f64 {
    let start = Instant::now();
    for visitor in visitors {
        each(visitor).await;
    }
    start.elapsed().as_secs_f64() * 1e6 / visitors.len() as f64
}

async fn request(manager: &mut Manager, kind: Kind, visitor: &Visitor) {
    let cookies = match kind {
        Kind::Stranger => Vec::new(),
        Kind::Read | Kind::Add => vec![visitor.cookie.clone()],
    };
    let session = manager.open(cookies).await.unwrap();
    match kind {
        Kind::Stranger => assert!(manager.get(session, "n").await.is_none()),
        Kind::Read => assert!(manager.get(session, "n").await.is_some()),
        Kind::Add => assert!(manager.add(session, "n", 1).await > 1),
    }
    manager.commit(session).await.unwrap();
}

/// Makes the calls of the store that a request makes.
async fn operations(store: &DirectoryStore, kind: Kind, Visitor { id, .. }: &Visitor) {
    if matches!(kind, Kind::Stranger) {
        return;
    }
    let session = store.load_session(id).await.unwrap().unwrap();
    if matches!(kind, Kind::Add) {
        let saved = store.save_session(id, &session.state, session.version);
        saved.await.unwrap();
    }
}

impl Visitor {
    async fn new(manager: &mut Manager) -> Self {
        let cookie = manager.request(b"", "n", 1).await;
        let (_, token) = std::str::from_utf8(&cookie)
            .unwrap()
            .split_once('=')
            .unwrap();
        let (id, _) = token.split_once('.').unwrap();
        let id = id.parse().unwrap();
        Self { id, cookie }
    }
}
