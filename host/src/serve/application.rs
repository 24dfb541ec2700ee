//! A component, compiled and linked, and its instances.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http_body_util::BodyExt;
use hyper::{Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};
use wasmtime::component::{Component, Linker};
use wasmtime::{Result, Store, bail};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use super::ServeOptions;
use super::body::{LimitedBody, WholeBody};
use super::state::RequestState;
use crate::engine::{Pool, engine};
use crate::inspect::inspect;
use crate::linker::{SessionsCtx, add_to_linker};

/// A component with a pool of its own.
pub struct Application {
    pre: ProxyPre<RequestState>,
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
        check_handler(&inspect(component)?.exports)?;
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
        add_to_linker(&mut linker)?;
        Ok(Self {
            pre: ProxyPre::new(linker.instantiate_pre(&component)?)?,
            instances: Arc::new(Semaphore::new(pool.instances() as usize)),
        })
    }

    /// Runs the component in a task of its own, which may go on after the
    /// response's head, and ends with its `place` among the requests.
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
        let mut store = self.store(sessions, options)?;
        let scheme = match options.is_secure {
            true => Scheme::Https,
            false => Scheme::Http,
        };
        let is_too_long = request.body().is_too_long();
        let (sender, receiver) = oneshot::channel();
        let mut http = store.data_mut().http();
        let request = http.new_incoming_request(scheme, request)?;
        let out = http.new_response_outparam(sender)?;
        let pre = self.pre.clone();
        let task = tokio::spawn(async move {
            let _held = (instance, place);
            // Dropped before them: the next one needs its room in the pool.
            let mut store = store;
            let work = async {
                let proxy = pre.instantiate_async(&mut store).await?;
                let handler = proxy.wasi_http_incoming_handler();
                handler.call_handle(&mut store, request, out).await
            };
            timeout_at(deadline, work).await
        });
        match receiver.await {
            Ok(Ok(response)) => Ok(response.map(|body| WholeBody::new(body, task).boxed_unsync())),
            _ if is_too_long.load(Ordering::Relaxed) => Err(Failure::BodyTooLong),
            Ok(Err(code)) => Err(Failure::Guest(format!("it answered {code:?}"))),
            // It ended without a response.
            Err(_) => Err(match task.await {
                Ok(Ok(Ok(()))) => Failure::Guest("it did not respond".into()),
                Ok(Ok(Err(error))) => error.into(),
                Ok(Err(_)) => Failure::TimedOut,
                Err(error) => Failure::Guest(error.to_string()),
            }),
        }
    }

    fn store(&self, sessions: SessionsCtx, options: &ServeOptions) -> Result<Store<RequestState>> {
        let state = RequestState::new(options.wasi()?, sessions, options.max_memory);
        let mut store = Store::new(self.pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        Ok(store)
    }
}

fn check_handler(exports: &[String]) -> Result<()> {
    let exports = |name: &str| exports.iter().any(|export| export.starts_with(name));
    if exports("wasi:http/incoming-handler@0.2.") {
        return Ok(());
    }
    if exports("wasi:http/handler@0.3.") {
        bail!("it is for WASI 0.3, which this build does not serve: build it for WASI 0.2");
    }
    bail!("it exports no wasi:http/incoming-handler@0.2: it is not a web application")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_handler_of_wasi_0_2_is_served() {
        let check =
            |name: &str| check_handler(&[name.to_owned()]).map_err(|error| error.to_string());
        assert_eq!(check("wasi:http/incoming-handler@0.2.0"), Ok(()));
        let newer = check("wasi:http/handler@0.3.0").expect_err("refused");
        assert!(newer.contains("WASI 0.3"), "{newer}");
        let other = check("session3:sessions/store@0.1.0").expect_err("refused");
        assert!(other.contains("not a web application"), "{other}");
    }
}
