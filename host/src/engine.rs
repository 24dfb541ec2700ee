//! The wasmtime engine of the server.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use wasmtime::{
    Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result,
};

/// Requests that run at the same time; more wait.
pub const MAX_INSTANCES: u32 = 256;

/// How often a guest that computes lets others run, and a time limit is
/// noticed.
const EPOCH: Duration = Duration::from_millis(10);

// What one instance of an application joined with the manager needs: a main
// module and two small ones for each, with a memory each, and some to spare.
const CORE_INSTANCES: u32 = 8;
const MEMORIES: u32 = 2;
const TABLES: u32 = 8;
/// Bytes of one memory: a request that needs more fails.
const MEMORY_SIZE: usize = 64 << 20;

/// An engine with a pool of instances, which keeps compiled code in `cache`.
pub fn engine(cache: Option<&Path>) -> Result<Engine> {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(MAX_INSTANCES)
        .total_stacks(MAX_INSTANCES)
        .total_core_instances(MAX_INSTANCES * CORE_INSTANCES)
        .total_memories(MAX_INSTANCES * MEMORIES)
        .total_tables(MAX_INSTANCES * TABLES)
        .max_memory_size(MEMORY_SIZE);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .cache(cache.map(open_cache).transpose()?);
    let engine = Engine::new(&config)?;
    tick(&engine)?;
    Ok(engine)
}

/// Only the user's own: who can write there can run code in this process.
fn open_cache(directory: &Path) -> Result<Cache> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let mut config = CacheConfig::new();
    config.with_directory(directory);
    Cache::new(config)
}

/// A thread of its own, since guests that compute may have all of the
/// executor's. It ends with the engine.
fn tick(engine: &Engine) -> Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("epochs".into())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(EPOCH);
            }
        })?;
    Ok(())
}
