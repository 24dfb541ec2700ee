//! The host's state of one instance: its WASI context, its sessions, and its limits.

use std::any::TypeId;

use session3_outbound::Outbound;
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, ResourceLimiter, Store};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::cli::terminal_input::TerminalInput;
use wasmtime_wasi::p2::bindings::cli::terminal_output::TerminalOutput;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::body::HostOutgoingBody;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::observed::SessionOfRequest;
use super::outbound::Hooks;
use super::output::Output;
use crate::ctx::{SessionsCtx, SessionsCtxView, SessionsView};

/// How many resources an instance may have at the host at a time: headers, bodies, streams,
/// files and so on.
const MAX_RESOURCES: usize = 512;
/// The largest size of the headers that an instance makes, in bytes, for each set of them.
const MAX_FIELDS: usize = 32 << 10;
/// The largest number of resources and asynchronous calls of all kinds, inside of a component and
/// at the host.
const MAX_HANDLES: usize = 20_000;
/// How much an instance may pass to the host in one call, in bytes: a session at its largest
/// size, and some more.
const MAX_CALL: usize = 2 << 20;

/// The host's state of one instance, which is the data of its wasmtime store.
pub struct InstanceState {
    wasi: WasiCtx,
    output: [Output; 2],
    http: WasiHttpCtx,
    hooks: Hooks,
    table: ResourceTable,
    sessions: SessionsCtx,
    memory: MemoryLimit,
}

impl InstanceState {
    /// Creates the wasmtime store of a new instance, with its limits. `output` are the
    /// streams in `wasi`, and `outbound` sends its requests to other servers.
    pub fn new_store(
        engine: &Engine,
        (wasi, output): (WasiCtx, [Output; 2]),
        sessions: SessionsCtx,
        outbound: Outbound,
        max_memory: usize,
    ) -> Store<Self> {
        let mut state = Self {
            wasi,
            output,
            http: WasiHttpCtx::new(),
            hooks: Hooks(outbound),
            table: ResourceTable::new(),
            sessions,
            memory: MemoryLimit {
                max: max_memory,
                used: 0,
            },
        };
        state.http.set_field_size_limit(MAX_FIELDS);
        state.table.set_max_capacity(MAX_RESOURCES);
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(MAX_CALL);
        store.set_max_component_handles(MAX_HANDLES);
        // At each epoch, a guest that computes yields to other tasks.
        store.epoch_deadline_async_yield_and_update(1);
        store
    }

    /// Notes in `session` which session the request that begins has.
    pub fn note_session_in(&mut self, session: SessionOfRequest) {
        self.sessions.note_session_in(session);
    }

    /// Ends the request: what the host kept for it is of no use for the next one.
    pub fn end_request(&mut self) {
        for output in &self.output {
            output.end_request();
        }
        self.sessions.end_request();
    }

    /// Returns the kinds of resources that the instance has at the host.
    pub fn resources(&mut self) -> Vec<TypeId> {
        self.table
            .iter_mut()
            .map(|entry| (*entry).type_id())
            .collect()
    }

    /// Returns whether the instance has a body that it has not finished.
    pub fn has_open_body(&mut self) -> bool {
        self.resources().contains(&TypeId::of::<HostOutgoingBody>())
    }

    /// Returns whether an instance may keep a resource of this kind from its first request to
    /// the next ones: libraries open the standard streams and the granted directories once.
    pub fn may_be_kept(kind: &TypeId) -> bool {
        [
            TypeId::of::<Descriptor>(),
            TypeId::of::<DynInputStream>(),
            TypeId::of::<DynOutputStream>(),
            TypeId::of::<TerminalInput>(),
            TypeId::of::<TerminalOutput>(),
        ]
        .contains(kind)
    }

    /// Returns whether the instance uses more than half of the memory that it may use.
    pub fn has_grown(&self) -> bool {
        self.memory.used > self.memory.max / 2
    }
}

/// Limits the size of all memories of an instance together, including their initial size.
struct MemoryLimit {
    /// The number of bytes that the memories may have.
    max: usize,
    /// The number of bytes that they have.
    used: usize,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        let is_refused = maximum.is_some_and(|maximum| desired > maximum) || used > self.max;
        if !is_refused {
            self.used = used;
        }
        Ok(!is_refused)
    }

    /// Allows every growth: the pooling allocator limits the size of tables.
    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

impl SessionsView for InstanceState {
    fn sessions(&mut self) -> SessionsCtxView<'_> {
        SessionsCtxView {
            ctx: &mut self.sessions,
            table: &mut self.table,
        }
    }
}
