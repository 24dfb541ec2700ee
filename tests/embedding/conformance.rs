//! The conformance suite, run on native stores through the WIT, and on the store component for
//! WASI's file system.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use session3::store::directory::Options;
use session3::store::{
    DirectoryStore, MemoryStore, MysqlStore, PostgresStore, RedisStore, SessionStore, SqliteStore,
    mysql, postgres, redis, sqlite,
};
use session3_store_tests::{Given, TestClock, conformance_suite, promises, run};
use session3_test_harness::provider::{self, Directory};
use session3_test_servers::mariadb::Mariadb;
use session3_test_servers::postgres::Postgres;
use session3_test_servers::redis::Redis;
use session3_test_support::record_in;

async fn memory_through_wit() -> Given {
    let clock = TestClock::default();
    let store = Arc::new(MemoryStore::new(clock.reader()));
    through_wit(store, clock)
}

async fn directory_through_wit() -> Given {
    in_directory(|path, clock| {
        let options = Options::default().clock(clock.reader());
        let store = DirectoryStore::open(path, options).unwrap();
        through_wit(Arc::new(store), clock).multiprocess_safe(true)
    })
}

async fn sqlite_through_wit() -> Given {
    let (directory, clock) = (tempfile::tempdir().unwrap(), TestClock::default());
    let options = sqlite::Options::default()
        .create(true)
        .clock(clock.reader());
    let url = format!("sqlite:{}", directory.path().join("sessions.db").display());
    let store = SqliteStore::open(&url, options).await.unwrap();
    through_wit(Arc::new(store), clock)
        .multiprocess_safe(true)
        .keep(directory)
}

async fn redis_through_wit() -> Given {
    let clock = TestClock::default();
    let options = redis::Options::default().create(true).clock(clock.reader());
    let url = Redis::shared().url(&new_name());
    let store = RedisStore::open(&url, options).await.unwrap();
    through_wit(Arc::new(store), clock).multiprocess_safe(true)
}

async fn mariadb_through_wit() -> Given {
    let clock = TestClock::default();
    let options = mysql::Options::default().create(true).clock(clock.reader());
    let url = Mariadb::shared().url();
    let url = format!("{url}?durability=off&table={}", new_name());
    let store = MysqlStore::open(&url, options).await.unwrap();
    through_wit(Arc::new(store), clock).multiprocess_safe(true)
}

async fn postgres_through_wit() -> Given {
    let clock = TestClock::default();
    let options = postgres::Options::default()
        .create(true)
        .clock(clock.reader());
    let url = format!("{}?table={}", Postgres::shared().url(), new_name());
    let store = PostgresStore::open(&url, options).await.unwrap();
    through_wit(Arc::new(store), clock).multiprocess_safe(true)
}

/// Returns a name that no other store of this process has.
fn new_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("wit{}", NEXT.fetch_add(1, Ordering::SeqCst))
}

/// The store component for WASI's file system.
async fn filesystem() -> Given {
    in_directory(|path, clock| {
        let store = provider::filesystem(Directory::new(path, clock.shared()));
        Given::new(Arc::new(store), clock).without_import()
    })
}

conformance_suite!(memory_through_wit);
conformance_suite!(directory_through_wit);
conformance_suite!(sqlite_through_wit);
conformance_suite!(redis_through_wit);
conformance_suite!(mariadb_through_wit);
conformance_suite!(postgres_through_wit);
conformance_suite!(filesystem);

/// A call that waits for a lock longer than the lock timeout fails with `busy`. `filesystem.rs`
/// tests that for the store component, whose clock stands still here.
#[test]
fn who_waits_for_a_lock_in_vain_gets_busy() {
    let impatient = async || {
        in_directory(|path, clock| {
            let options = Options::default().lock_timeout(Duration::ZERO);
            let store = DirectoryStore::open(path, options).unwrap();
            through_wit(Arc::new(store), clock)
        })
    };
    run(
        impatient,
        promises::waiting_for_a_lock_in_vain_ends_with_busy,
    );
}

fn through_wit(store: Arc<dyn SessionStore>, clock: TestClock) -> Given {
    Given::new(Arc::new(provider::relay(store)), clock).without_import()
}

fn in_directory(make: impl FnOnce(&Path, TestClock) -> Given) -> Given {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    make(&path, TestClock::default())
        .damage_with(move |id| fs::write(record_in(&path, id), "nonsense").unwrap())
        .keep(directory)
}
