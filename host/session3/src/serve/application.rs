//! A compiled and linked component, which runs each request in a new instance.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http_body_util::BodyExt;
use hyper::{Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};
use wasmtime::component::Linker;
use wasmtime::{Result, Store};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use super::ServeOptions;
use super::body::{LimitedBody, WholeBody};
use super::handler::{Generation, Handler};
use super::running::RunningGuest;
use super::state::RequestState;
use crate::compiled::{inspect, load};
use crate::ctx::SessionsCtx;
use crate::engine::{Pool, engine};
use crate::linker::add_to_linker;

/// A compiled component with its own engine and pool of instances.
pub struct Application {
    handler: Handler,
    /// One permit for each instance of the pool.
    instance_permits: Arc<Semaphore>,
}

/// Why a request got no response from the component.
pub enum Failure {
    /// The component exceeded the time limit.
    TimedOut,
    /// Too many requests are running and waiting.
    Overloaded,
    /// The body of the request exceeds its limit.
    BodyTooLong,
    /// The component failed, with this message.
    Guest(String),
}

impl From<wasmtime::Error> for Failure {
    /// Keeps the root cause and drops the backtrace, so that the log has one line.
    fn from(error: wasmtime::Error) -> Self {
        Self::Guest(error.root_cause().to_string())
    }
}

impl Application {
    /// Compiles a component and links it.
    ///
    /// # Errors
    ///
    /// If the component is not a web application or needs more than the options allow, if a
    /// directory that the options grant cannot be opened, or if compiling or linking fails.
    pub fn new(component: &[u8], options: &ServeOptions) -> Result<Self> {
        let generation = Generation::from_exports(&inspect(component)?.exports)?;
        // A granted directory that is missing is an error now, not one of every request.
        options.wasi()?;
        let pool = Pool::of(component)?
            .max_instances(options.max_instances)
            .max_memory(options.max_memory);
        let engine = engine(&pool, options.cache.as_deref())?;
        let component = load(&engine, component, options.is_compiled_allowed)?;
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
            instance_permits: Arc::new(Semaphore::new(pool.instances() as usize)),
        })
    }

    /// Passes a request to a new instance, and returns the head of its response.
    ///
    /// The instance continues after that, to write the body and to save sessions, even if
    /// the client closes the connection. `admission` is the permit of the request to run
    /// or wait; it is released when the instance has finished.
    pub async fn run(
        &self,
        request: Request<LimitedBody>,
        sessions: SessionsCtx,
        options: &ServeOptions,
        admission: OwnedSemaphorePermit,
    ) -> Result<Response<HyperOutgoingBody>, Failure> {
        let deadline = Instant::now() + options.time_limit;
        let permit = self.instance_permits.clone().acquire_owned();
        let Ok(Ok(instance_permit)) = timeout_at(deadline, permit).await else {
            return Err(Failure::Overloaded);
        };
        let store = self.store(sessions, options)?;
        let is_too_long = request.body().is_too_long();
        let is_secure = options.is_secure;
        let (sender, receiver) = oneshot::channel();
        let handler = self.handler.clone();
        let mut running = RunningGuest::new(async move {
            let _permits = (instance_permit, admission);
            // Declared after the permits, so that it is dropped before them: the next
            // request needs the place of this instance in the pool.
            let mut store = store;
            let work = handler.handle(&mut store, request, is_secure, sender);
            timeout_at(deadline, work).await
        });
        match running.run_until(receiver).await {
            Ok(Ok(response)) => {
                Ok(response.map(|body| WholeBody::new(body, running).boxed_unsync()))
            }
            _ if is_too_long.load(Ordering::Relaxed) => Err(Failure::BodyTooLong),
            Ok(Err(code)) => Err(Failure::Guest(format!(
                "the application answered with the error {code}"
            ))),
            // The sender was dropped: the guest ended without a response.
            Err(_) => Err(match running.finish().await {
                Ok(Ok(())) => Failure::Guest("the application sent no response".into()),
                Ok(Err(error)) => error.into(),
                Err(_) => Failure::TimedOut,
            }),
        }
    }

    /// Creates the wasmtime store of an instance, with its limits.
    fn store(&self, sessions: SessionsCtx, options: &ServeOptions) -> Result<Store<RequestState>> {
        let state = RequestState::new(options.wasi()?, sessions, options.max_memory);
        let mut store = Store::new(self.handler.engine(), state);
        store.limiter(|state| &mut state.memory);
        // At each epoch, a guest that computes yields to other tasks.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        Ok(store)
    }
}
