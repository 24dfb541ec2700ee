//! The conformance suite.

use std::sync::Arc;
use std::time::Duration;

use session3_store::SessionId;
use session3_store_redis::{Options, RedisStore};
use session3_store_tests::{Given, TestClock, conformance_suite, promises, run};

use crate::servers::{Server, Shared, new_prefix};

static SERVER: Shared<Server> = Shared::new();

async fn resp3() -> Given {
    single(|options| options).await
}

async fn resp2() -> Given {
    single(|options| options.resp2(true)).await
}

conformance_suite!(resp3);
conformance_suite!(resp2);

#[test]
fn who_waits_for_a_lock_in_vain_gets_busy() {
    run(
        async || single(|options| options.lock_timeout(Duration::ZERO)).await,
        promises::waiting_for_a_lock_in_vain_ends_with_busy,
    );
}

async fn single(change: impl FnOnce(Options) -> Options) -> Given {
    let server = SERVER.get(Server::start);
    let url = server.url();
    let damaged = server.clone();
    let damage = move |key: &str| {
        damaged.command(&["HSET", key, "v", "nonsense"]);
    };
    given(&url, change, damage).await.keep(server)
}

/// Returns a store with a prefix of its own. `damage` damages the session with a key.
pub async fn given(
    url: &str,
    change: impl FnOnce(Options) -> Options,
    damage: impl Fn(&str) + Send + Sync + 'static,
) -> Given {
    let clock = TestClock::default();
    let prefix = new_prefix();
    let options = Options::default().create(true).clock(clock.reader());
    let separator = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{separator}prefix={prefix}");
    let store = RedisStore::open(&url, change(options)).await.unwrap();
    Given::new(Arc::new(store), clock)
        .multiprocess_safe(true)
        .damage_with(move |id| damage(&session_key(&prefix, id)))
}

/// Returns the key of a session's hash.
pub fn session_key(prefix: &str, id: &SessionId) -> String {
    let text = id.to_string();
    format!("{{{prefix}:{}}}:s:{text}", &text[..2])
}
