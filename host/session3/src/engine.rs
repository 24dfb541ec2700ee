//! The wasmtime engine of a server, with a pool of instances.

use std::path::Path;
use std::time::Duration;

use session3_compose::Needs;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result, ensure,
    format_err,
};

use crate::{cache, compiled};

/// How long an epoch lasts. At the end of an epoch, a guest that computes yields to other
/// tasks, and its time limit is checked.
const EPOCH_LENGTH: Duration = Duration::from_millis(5);

/// The largest number of memories of all instances together. Each memory reserves 4 GiB of
/// address space, of which a process has 128 TiB.
const MAX_MEMORIES: u32 = 4096;
/// The number of elements that every table can have: the default of wasmtime.
const MIN_TABLE_ELEMENTS: u64 = 20_000;
/// The largest number of elements that a table may need. Each table then reserves 8 MB of
/// address space.
const MAX_TABLE_ELEMENTS: u64 = 1_000_000;

/// How much of a memory may have been written to, in bytes, for the written pages to be
/// cleared and kept for the next instance. If it is more, the system takes back all of
/// them.
const MAX_KEPT_MEMORY: usize = 1 << 20;

/// A pool of instances of a component: how many run at the same time, and the resources
/// that each of them needs.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    needs: Needs,
    is_async: bool,
    max_instances: u32,
    max_memory: usize,
    is_compact: bool,
}

impl Pool {
    /// Creates a pool for this component, which may be [compiled](crate::compiled), of 256 instances with at most 64 MiB of memory
    /// each.
    ///
    /// # Errors
    ///
    /// If the bytes are not a component, one of an unsupported form, or one that another
    /// version has compiled.
    pub fn of(component: &[u8]) -> Result<Self> {
        Ok(Self {
            needs: compiled::inspect(component)?.needs,
            is_async: compiled::is_async(component),
            max_instances: 256,
            max_memory: 64 << 20,
            is_compact: false,
        })
    }

    /// Sets how many instances may run at the same time, at least one.
    pub fn max_instances(mut self, count: u32) -> Self {
        self.max_instances = count.max(1);
        self
    }

    /// Sets how much memory an instance may use, in bytes.
    pub fn max_memory(mut self, bytes: usize) -> Self {
        self.max_memory = bytes;
        self
    }

    /// Makes each memory reserve only the address space that it may use, instead of 4 GiB. The
    /// code is slower then, since it checks the bounds of each access. This is for a program
    /// that may run with little address space, such as a command of an operator.
    pub(crate) fn compact(mut self) -> Self {
        self.is_compact = true;
        self
    }

    /// Returns how many instances can run at the same time. It is less than the number
    /// that was set if each instance has many memories.
    pub fn instances(&self) -> u32 {
        let capacity = MAX_MEMORIES / self.needs.memories.max(1);
        capacity.clamp(1, self.max_instances)
    }

    /// Returns whether the component uses asynchronous functions.
    pub(crate) fn is_async(&self) -> bool {
        self.is_async
    }

    /// Returns how many stacks an instance may need at a time. Each asynchronous call between
    /// its components may run on a stack of its own.
    fn stacks(&self) -> u32 {
        match self.is_async {
            true => 8,
            false => 1,
        }
    }

    /// Returns the pool as wasmtime configures it.
    fn config(&self) -> Result<PoolingAllocationConfig> {
        let Self {
            needs, max_memory, ..
        } = *self;
        ensure!(
            needs.memory <= max_memory as u64,
            "an instance of the component starts with {} MiB of memory, and the limit is {} MiB: \
             choose a higher limit with --max-memory",
            needs.memory.div_ceil(1 << 20),
            max_memory >> 20,
        );
        ensure!(
            needs.memories <= MAX_MEMORIES && needs.table_elements <= MAX_TABLE_ELEMENTS,
            "an instance of the component starts with {} memories and a table of {} elements; the \
             server allows {MAX_MEMORIES} memories and {MAX_TABLE_ELEMENTS} elements",
            needs.memories,
            needs.table_elements,
        );
        let instances = self.instances();
        let for_all_instances = |count: u32| count.saturating_mul(instances);
        // Wasmtime connects components by additional small core modules.
        let core_instances = needs.core_instances.saturating_mul(2).saturating_add(8);
        let table_elements = usize::try_from(needs.table_elements.max(MIN_TABLE_ELEMENTS))?;
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(instances)
            .total_stacks(for_all_instances(self.stacks()))
            .total_core_instances(for_all_instances(core_instances))
            .total_memories(for_all_instances(needs.memories.max(1)))
            .total_tables(for_all_instances(needs.tables.max(1)))
            .max_memories_per_module(needs.module_memories.max(1))
            .max_tables_per_module(needs.module_tables.max(1))
            .table_elements(table_elements)
            .max_memory_size(max_memory)
            .table_keep_resident(table_elements * size_of::<usize>());
        // To clear the pages that were written to takes less time than to return memory
        // to the system and to get it again. Since version 6.7, Linux can list those
        // pages; with an older kernel, wasmtime would clear the first bytes of a memory,
        // written to or not.
        if PoolingAllocationConfig::is_pagemap_scan_available() {
            pool.pagemap_scan(Enabled::Yes)
                .linear_memory_keep_resident(MAX_KEPT_MEMORY);
        }
        Ok(pool)
    }

    /// Says why there is no engine with this pool.
    fn explain(&self, error: &wasmtime::Error) -> wasmtime::Error {
        let (instances, memories) = (self.instances(), self.needs.memories.max(1));
        let cause = error.root_cause();
        if self.is_compact {
            return format_err!("allow more address space with `ulimit -v`: {cause}");
        }
        format_err!(
            "the address space for {instances} instances with {memories} memories of 4 GiB each \
             cannot be reserved: choose fewer instances with --max-instances, or allow more \
             address space with `ulimit -v`: {cause}"
        )
    }
}

/// Creates an engine with a pool of instances, which caches compiled code in the directory
/// `cache`. A directory that cannot be used, or in which another user could write, causes a
/// warning, and nothing is cached.
///
/// # Errors
///
/// If the component of the pool needs more memory, memories or table elements than are
/// allowed, or if the address space or a thread cannot be created.
pub fn engine(pool: &Pool, cache: Option<&Path>) -> Result<Engine> {
    let mut config = Config::new();
    configure_code(&mut config, pool.is_async);
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool.config()?))
        .cache(cache.and_then(cache::open));
    if pool.is_compact {
        config.memory_reservation(pool.max_memory as u64);
    }
    let engine = Engine::new(&config).map_err(|error| pool.explain(&error))?;
    spawn_epoch_thread(&engine)?;
    Ok(engine)
}

/// Sets what the compiled code depends on, so that it can be loaded by another process.
pub(crate) fn configure_code(config: &mut Config, is_async: bool) {
    config
        .epoch_interruption(true)
        // Calls are faster without this support.
        .concurrency_support(is_async);
}

/// Starts the thread that advances the epochs of the engine, and ends with the engine. It
/// is no task, since guests that compute may occupy all threads of the executor.
fn spawn_epoch_thread(engine: &Engine) -> Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("epochs".into())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(EPOCH_LENGTH);
            }
        })?;
    Ok(())
}
