//! The host's state of one instance: its WASI context, its sessions, and its memory limit.

use hyper::{Request, Response};
use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use crate::ctx::{SessionsCtx, SessionsCtxView, SessionsView};

/// The future that completes an outgoing request after its response, as [`WasiHttpHooks`]
/// requires it.
type Transfer = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// How many chunks of a response's body a component for WASI 0.2 may write before the
/// client takes the first one. With a single chunk, the component would be suspended and
/// woken up in the middle of every page.
const BUFFERED_CHUNKS: usize = 16;
/// The largest size of such a chunk, in bytes.
const CHUNK_SIZE: usize = 64 << 10;

/// The host's state of one instance, which is the data of its wasmtime store.
pub struct RequestState {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoNetwork,
    table: ResourceTable,
    sessions: SessionsCtx,
    /// The limiter of the wasmtime store.
    pub memory: MemoryLimit,
}

impl RequestState {
    /// Creates the state of a new instance, which may use `max_memory` bytes of memory.
    pub fn new(wasi: WasiCtx, sessions: SessionsCtx, max_memory: usize) -> Self {
        Self {
            wasi,
            http: WasiHttpCtx::new(),
            hooks: NoNetwork,
            table: ResourceTable::new(),
            sessions,
            memory: MemoryLimit {
                remaining: max_memory,
            },
        }
    }
}

/// Limits the size of all memories of an instance together, including their initial size.
pub struct MemoryLimit {
    /// The number of bytes by which the memories may still grow.
    remaining: usize,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let is_refused = maximum.is_some_and(|maximum| desired > maximum);
        match self.remaining.checked_sub(growth) {
            Some(remaining) if !is_refused => self.remaining = remaining,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Allows every growth: the pooling allocator limits the size of tables.
    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

/// Denies every outgoing HTTP request: a component can answer requests only.
struct NoNetwork;

impl WasiHttpHooks for NoNetwork {
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Transfer), Error>> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        BUFFERED_CHUNKS
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_SIZE
    }
}

impl WasiView for RequestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for RequestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

impl SessionsView for RequestState {
    fn sessions(&mut self) -> SessionsCtxView<'_> {
        SessionsCtxView {
            ctx: &mut self.sessions,
            table: &mut self.table,
        }
    }
}
