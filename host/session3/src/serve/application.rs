//! A compiled and linked component, which answers requests.

use std::sync::Arc;

use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Bytes;
use hyper::{Request, Response};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout};
use wasmtime::Result;
use wasmtime::component::Linker;
use wasmtime_wasi_http::Error;

use super::ServeOptions;
use super::failure::Failure;
use super::handler::{Answer, Generation, Handler};
use super::host::Host;
use super::instances::Instances;
use super::request_body::RequestBody;
use super::running::{Admission, Outcome, Permits, Running};
use super::time_limit::{Exchange, Limits, TimeLimit, Waiting};
use super::turns::{Turn, Turns};
use crate::compiled::{inspect, load};
use crate::engine::{Pool, engine};
use crate::linker::add_to_linker;

/// A compiled component with its own engine and pool of instances.
pub struct Application {
    instances: Arc<Instances>,
    /// One permit for each instance of the pool that serves a request.
    instance_permits: Arc<Semaphore>,
    limits: Limits,
    turns: Turns,
    host: Arc<Host>,
}

/// A component that has sent the head of its response, and may still write the body.
pub struct Answering {
    /// The response, whose body is what the component writes.
    pub response: Response<UnsyncBoxBody<Bytes, Error>>,
    /// The component.
    pub running: Running,
    /// What it exchanges with its client.
    pub exchange: Exchange,
}

impl Application {
    /// Compiles a component and links it.
    ///
    /// # Errors
    ///
    /// If the component is not a web application or needs more than the options allow, if a
    /// directory that the options grant cannot be opened, or if compiling or linking fails.
    pub fn new(component: &[u8], host: Arc<Host>) -> Result<Self> {
        let options = &host.options;
        let outline = inspect(component)?;
        let generation = Generation::of(&outline)?;
        // A granted directory that is missing is an error now, not one of every request.
        options.wasi(&host.sessions)?;
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
        let handler = Handler::new(linker.instantiate_pre(&component)?, generation)?;
        let max_uses = max_uses(&handler, &outline.imports, options);
        let instance_permits = Arc::new(Semaphore::new(pool.instances() as usize));
        let limits = Limits {
            application: options.time_limit,
            response: options.max_response_time,
            waiting: Waiting::default(),
        };
        Ok(Self {
            instances: Arc::new(Instances::new(handler, max_uses, host.clone())),
            instance_permits,
            limits,
            turns: Turns::new(),
            host,
        })
    }

    /// Passes a request to an instance, and returns the head of its response.
    ///
    /// The instance continues after that, to write the body and to save sessions, even if
    /// the client closes the connection. `admission` is the place of the request among those
    /// that run or wait.
    pub async fn run(
        &self,
        request: Request<RequestBody>,
        admission: Admission,
    ) -> Result<Answering, Failure> {
        let permits = self.wait_for_instance(admission).await?;
        let (exchange, fault) = (request.body().exchange(), request.body().fault());
        let (sender, receiver) = oneshot::channel();
        let instances = self.instances.clone();
        let work = async move {
            // If this is dropped, the permits are dropped last: the next request needs the
            // place of this instance in the pool.
            let permits = permits;
            let result = instances.serve(request, sender).await;
            (result, permits)
        };
        let limit = TimeLimit::new(&self.limits, exchange.clone());
        let turn = Turn::new(self.turns.clone());
        let mut running = Running::new(work, limit, turn);
        match running.run_until(receiver).await {
            Ok(Ok(response)) if response.status().is_informational() => {
                let status = response.status().as_u16();
                Err(Failure::Guest(format!(
                    "the application answered with the status {status}, after which another \
                     response would have to follow"
                )))
            }
            Ok(Ok(response)) => Ok(Answering {
                response,
                running,
                exchange,
            }),
            answer => Err(match fault.get() {
                Some(fault) => Failure::Body(fault),
                None => failure(answer, running).await,
            }),
        }
    }

    /// Waits for a place among the requests that run.
    async fn wait_for_instance(&self, admission: Admission) -> Result<Permits, Failure> {
        if let Ok(permit) = self.instance_permits.clone().try_acquire_owned() {
            self.host.metrics.instance_wait.record(0.0);
            return Ok((permit, admission));
        }
        let began = Instant::now();
        let _waiting = self.limits.waiting.add();
        let permit = self.instance_permits.clone().acquire_owned();
        let permit = timeout(self.limits.application, permit).await;
        self.host.metrics.instance_wait.record(began.elapsed());
        match permit {
            Ok(Ok(permit)) => Ok((permit, admission)),
            _ => Err(Failure::Overloaded),
        }
    }
}

/// Returns how many requests an instance of a component may serve. One that contains a session
/// manager has to say when a request ends, which earlier releases of it cannot.
fn max_uses(handler: &Handler, imports: &[String], options: &ServeOptions) -> u32 {
    let has_manager = imports
        .iter()
        .any(|import| import.starts_with("session3:sessions/store@"));
    if options.max_instance_reuse > 1 && has_manager && !handler.can_end_requests() {
        tracing::warn!(
            "each request gets a new instance, since the component does not export \
             session3:sessions/reuse: compose it again"
        );
        return 1;
    }
    options.max_instance_reuse
}

/// Returns why a component sent no response.
async fn failure(
    answer: Result<Answer, oneshot::error::RecvError>,
    mut running: Running,
) -> Failure {
    if let Ok(Err(code)) = answer {
        return Failure::Guest(format!("the application answered with the error {code}"));
    }
    // The sender was dropped: the component ended without a response.
    match running.finish().await {
        Outcome::Ok((Ok(()), _)) => Failure::Guest("the application sent no response".into()),
        Outcome::Ok((Err(error), _)) => error.into(),
        Outcome::Err(late) => late.into(),
    }
}
