//! What one instance has: its part of WASI, its sessions, its limit of memory.

use hyper::{Request, Response};
use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use crate::ctx::{SessionsCtx, SessionsCtxView, SessionsView};

/// What remains to be done for a request that a component makes.
type Transfer = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// What a component may write of a response before the client takes some of it:
/// so many pieces of so many bytes. With one piece, it would be put aside and
/// woken up in the middle of every page.
const BUFFERED_CHUNKS: usize = 16;
const CHUNK: usize = 64 << 10;

/// The state of one instance.
pub struct RequestState {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoNetwork,
    table: ResourceTable,
    sessions: SessionsCtx,
    /// How much memory it may take.
    pub memory: MemoryLimit,
}

impl RequestState {
    /// For an instance that begins.
    pub fn new(wasi: WasiCtx, sessions: SessionsCtx, max_memory: usize) -> Self {
        Self {
            wasi,
            http: WasiHttpCtx::new(),
            hooks: NoNetwork,
            table: ResourceTable::new(),
            sessions,
            memory: MemoryLimit { left: max_memory },
        }
    }
}

/// Bounds all memories of an instance together, those that it starts with
/// included.
pub struct MemoryLimit {
    /// Bytes.
    left: usize,
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
        match self.left.checked_sub(growth) {
            Some(left) if !is_refused => self.left = left,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The pool bounds them.
    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

/// A component may answer requests, not make them.
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
        CHUNK
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
