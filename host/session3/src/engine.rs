//! The wasmtime engine of the server.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use session3_compose::{Needs, NotAComponent, inspect, is_async};
use wasmtime::{
    Cache, CacheConfig, Config, Enabled, Engine, InstanceAllocationStrategy,
    PoolingAllocationConfig, Result, ensure,
};

/// How often a guest that computes lets others run, and a time limit is
/// noticed.
const EPOCH: Duration = Duration::from_millis(10);

/// Memories of all instances together: each has 4 GiB of addresses, of which a
/// process has 128 TiB.
const MAX_MEMORIES: u32 = 4096;
/// Elements of a table, at least: wasmtime's own default.
const TABLE_ELEMENTS: u64 = 20_000;
/// Elements of a table, at most: 8 MB of addresses.
const MAX_TABLE_ELEMENTS: u64 = 1_000_000;

/// Bytes that an instance may have written to in a memory for that to be cleared
/// and kept for the next one; where there are more, all go back to the system.
const KEPT_MEMORY: usize = 1 << 20;

/// How many instances of a component run at the same time, and what each of them
/// takes.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    needs: Needs,
    is_async: bool,
    max_instances: u32,
    max_memory: usize,
}

impl Pool {
    /// For this component: 256 instances of up to 64 MiB each.
    pub fn of(component: &[u8]) -> Result<Self, NotAComponent> {
        Ok(Self {
            needs: inspect(component)?.needs,
            is_async: is_async(component),
            max_instances: 256,
            max_memory: 64 << 20,
        })
    }

    /// How many instances run at most.
    pub fn max_instances(mut self, count: u32) -> Self {
        self.max_instances = count.max(1);
        self
    }

    /// How many bytes of memory one instance gets at most.
    pub fn max_memory(mut self, bytes: usize) -> Self {
        self.max_memory = bytes;
        self
    }

    /// How many instances there are: fewer than allowed, where one takes much.
    pub fn instances(&self) -> u32 {
        let fit = MAX_MEMORIES / self.needs.memories.max(1);
        fit.clamp(1, self.max_instances)
    }

    /// Whether its component has asynchronous functions.
    pub(crate) fn is_async(&self) -> bool {
        self.is_async
    }

    fn config(&self) -> Result<PoolingAllocationConfig> {
        let Self {
            needs, max_memory, ..
        } = *self;
        ensure!(
            needs.memory <= max_memory as u64,
            "an instance starts with {} MiB of memory, and its limit is {} MiB: choose another one \
             with --max-memory",
            needs.memory.div_ceil(1 << 20),
            max_memory >> 20,
        );
        ensure!(
            needs.memories <= MAX_MEMORIES && needs.table_elements <= MAX_TABLE_ELEMENTS,
            "it has more memories, or larger tables, than a server can give to every instance"
        );
        let instances = self.instances();
        let each = |count: u32| count.saturating_mul(instances);
        // Wasmtime joins components by small modules of its own.
        let core_instances = needs.core_instances.saturating_mul(2).saturating_add(8);
        let table_elements = usize::try_from(needs.table_elements.max(TABLE_ELEMENTS))?;
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(instances)
            .total_stacks(instances)
            .total_core_instances(each(core_instances))
            .total_memories(each(needs.memories.max(1)))
            .total_tables(each(needs.tables.max(1)))
            .max_memories_per_module(needs.module_memories.max(1))
            .max_tables_per_module(needs.module_tables.max(1))
            .table_elements(table_elements)
            .max_memory_size(max_memory)
            .table_keep_resident(table_elements * size_of::<usize>());
        // Giving memory back and asking for it again takes longer than clearing
        // what was written to, which Linux tells since 6.7. Before, it would be
        // the first bytes, written to or not.
        if PoolingAllocationConfig::is_pagemap_scan_available() {
            pool.pagemap_scan(Enabled::Yes)
                .linear_memory_keep_resident(KEPT_MEMORY);
        }
        Ok(pool)
    }
}

/// An engine with a pool of instances, which keeps compiled code in `cache`.
pub fn engine(pool: &Pool, cache: Option<&Path>) -> Result<Engine> {
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool.config()?))
        .epoch_interruption(true)
        // Calls are faster without.
        .concurrency_support(pool.is_async)
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
