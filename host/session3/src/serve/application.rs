//! A component, compiled and linked, and its instances.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http_body_util::BodyExt;
use hyper::{Request, Response};
use session3_compose::inspect;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};
use wasmtime::component::{Component, Linker};
use wasmtime::{Result, Store};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use super::ServeOptions;
use super::body::{LimitedBody, WholeBody};
use super::handler::{Generation, Handler};
use super::running::Running;
use super::state::RequestState;
use crate::ctx::SessionsCtx;
use crate::engine::{Pool, engine};
use crate::linker::add_to_linker;

/// A component with a pool of its own.
pub struct Application {
    handler: Handler,
    /// As many as the pool has.
    instances: Arc<Semaphore>,
}

/// Why a request got no response from the component.
pub enum Failure {
    TimedOut,
    Overloaded,
    BodyTooLong,
    Guest(String),
}

impl From<wasmtime::Error> for Failure {
    /// The cause without the backtrace: one line in the log.
    fn from(error: wasmtime::Error) -> Self {
        Self::Guest(error.root_cause().to_string())
    }
}

impl Application {
    /// Compiles a component and links it.
    pub fn new(component: &[u8], options: &ServeOptions) -> Result<Self> {
        let generation = Generation::of(&inspect(component)?.exports)?;
        // What is granted has to be there.
        options.wasi()?;
        let pool = Pool::of(component)?
            .max_instances(options.max_instances)
            .max_memory(options.max_memory);
        let engine = engine(&pool, options.cache.as_deref())?;
        let component = Component::new(&engine, component)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        if pool.is_async() {
            wasmtime_wasi::p3::add_to_linker(&mut linker)?;
            wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        }
        add_to_linker(&mut linker)?;
        Ok(Self {
            handler: Handler::new(linker.instantiate_pre(&component)?, generation)?,
            instances: Arc::new(Semaphore::new(pool.instances() as usize)),
        })
    }

    /// Runs the component, which may go on after the response's head, and ends
    /// with its `place` among the requests; also when nobody waits for it.
    pub async fn run(
        &self,
        request: Request<LimitedBody>,
        sessions: SessionsCtx,
        options: &ServeOptions,
        place: OwnedSemaphorePermit,
    ) -> Result<Response<HyperOutgoingBody>, Failure> {
        let deadline = Instant::now() + options.time_limit;
        let instance = timeout_at(deadline, self.instances.clone().acquire_owned()).await;
        let Ok(Ok(instance)) = instance else {
            return Err(Failure::Overloaded);
        };
        let store = self.store(sessions, options)?;
        let is_too_long = request.body().is_too_long();
        let is_secure = options.is_secure;
        let (sender, receiver) = oneshot::channel();
        let handler = self.handler.clone();
        let mut running = Running::new(async move {
            let _held = (instance, place);
            // Dropped before them: the next one needs its room in the pool.
            let mut store = store;
            let work = handler.handle(&mut store, request, is_secure, sender);
            timeout_at(deadline, work).await
        });
        match running.run_until(receiver).await {
            Ok(Ok(response)) => {
                Ok(response.map(|body| WholeBody::new(body, running).boxed_unsync()))
            }
            _ if is_too_long.load(Ordering::Relaxed) => Err(Failure::BodyTooLong),
            Ok(Err(code)) => Err(Failure::Guest(format!("it answered {code}"))),
            // It ended without a response.
            Err(_) => Err(match running.end().await {
                Ok(Ok(())) => Failure::Guest("it did not respond".into()),
                Ok(Err(error)) => error.into(),
                Err(_) => Failure::TimedOut,
            }),
        }
    }

    fn store(&self, sessions: SessionsCtx, options: &ServeOptions) -> Result<Store<RequestState>> {
        let state = RequestState::new(options.wasi()?, sessions, options.max_memory);
        let mut store = Store::new(self.handler.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        Ok(store)
    }
}
