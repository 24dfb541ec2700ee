//! The instances of a component: one for each request, or one for several requests, one after
//! another.

use std::any::TypeId;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use hyper::Request;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use wasmtime::{Result, Store, ensure};

use super::client::IsSecure;
use super::handler::{Answer, AnswerSender, Guest, Handler};
use super::host::Host;
use super::observed::SessionOfRequest;
use super::request_body::RequestBody;
use super::state::InstanceState;

/// How long an instance waits for a request before it ends, so that it does not keep the memory
/// of a busy hour.
const MAX_IDLE: Duration = Duration::from_secs(60);

/// The instances of a component that wait for a request, and how new ones are created.
pub struct Instances {
    handler: Handler,
    host: Arc<Host>,
    /// The instances that wait, the one that has waited for the shortest time last.
    idle: Mutex<Vec<Idle>>,
    /// Whether a task ends the instances that have waited for long.
    is_trimming: AtomicBool,
    /// How many requests an instance serves.
    max_uses: u32,
    /// Whether an instance has served a second request.
    is_reuse_proven: AtomicBool,
    /// Whether an instance failed with its second request, before any did not.
    is_single_use: AtomicBool,
    /// Whether the log says that instances hold resources of their requests.
    has_warned: AtomicBool,
}

/// An instance that waits for a request.
struct Idle {
    instance: Instance,
    since: Instant,
}

/// An instance of a component.
struct Instance {
    store: Store<InstanceState>,
    guest: Guest,
    /// The number of requests that the instance has served.
    uses: u32,
    /// The resources that it had at the host after the last request.
    resources: Vec<TypeId>,
}

impl Instances {
    /// Creates the instances of a component, of which each serves `max_uses` requests.
    pub fn new(handler: Handler, max_uses: u32, host: Arc<Host>) -> Self {
        Self {
            handler,
            host,
            idle: Mutex::default(),
            is_trimming: AtomicBool::new(false),
            max_uses,
            is_reuse_proven: AtomicBool::new(false),
            is_single_use: AtomicBool::new(false),
            has_warned: AtomicBool::new(false),
        }
    }

    /// Lets an instance serve a request, and sends its answer to `answer_sender`. Returns
    /// when the instance has finished, and is dropped or idle.
    ///
    /// # Errors
    ///
    /// If the instance cannot be created, or traps.
    pub async fn serve(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        answer_sender: oneshot::Sender<Answer>,
    ) -> Result<()> {
        let idle = self.idle.lock().pop();
        let mut instance = match idle {
            Some(idle) => {
                self.host.metrics.reused_instances.increment(1);
                idle.instance
            }
            None => {
                self.host.metrics.created_instances.increment(1);
                self.create().await?
            }
        };
        if let Some(session) = request.extensions().get::<SessionOfRequest>() {
            instance.store.data_mut().note_session_in(session.clone());
        }
        instance.store.set_epoch_deadline(1);
        let (body, fault) = (request.body().existence(), request.body().fault());
        let (sender, has_answered) = AnswerSender::new(answer_sender);
        let is_reused = instance.uses > 0;
        let is_secure = request.extensions().get::<IsSecure>().is_some();
        instance.uses += 1;
        let result = instance
            .guest
            .handle(&mut instance.store, request, is_secure, sender)
            .await;
        // A failure after a body that is not complete says nothing of the instance.
        if is_reused && fault.get().is_none() {
            self.note_reuse(has_answered.load(Relaxed));
        }
        result?;
        ensure!(
            !instance.store.data_mut().has_open_body(),
            "the application ended before the body of its response"
        );
        if instance.uses < self.max_uses() {
            let is_body_left = body.strong_count() > 0;
            match instance.end_request(is_body_left).await {
                Condition::Good => self.keep(instance),
                Condition::HoldsResources => self.note_kept_resources(instance.uses),
                Condition::Spent => {}
            }
        }
        Ok(())
    }

    /// Keeps an instance for another request.
    fn keep(self: &Arc<Self>, instance: Instance) {
        let since = Instant::now();
        self.idle.lock().push(Idle { instance, since });
        if !self.is_trimming.swap(true, Relaxed) {
            tokio::spawn(trim(Arc::downgrade(self)));
        }
    }

    /// Ends the instances that have waited for long. Returns whether others wait.
    fn end_old(&self) -> bool {
        let mut idle = self.idle.lock();
        let old = idle.partition_point(|idle| idle.since.elapsed() >= MAX_IDLE);
        let old: Vec<_> = idle.drain(..old).collect();
        let are_others_waiting = !idle.is_empty();
        self.is_trimming.store(are_others_waiting, Relaxed);
        drop(idle);
        drop(old);
        are_others_waiting
    }

    fn max_uses(&self) -> u32 {
        match self.is_single_use.load(Relaxed) {
            true => 1,
            false => self.max_uses,
        }
    }

    async fn create(&self) -> Result<Instance> {
        let host = &*self.host;
        let mut store = InstanceState::new_store(
            self.handler.engine(),
            host.options.wasi(&host.sessions)?,
            host.sessions.for_new_instance(),
            host.outbound.clone(),
            host.options.max_memory,
        );
        store.set_epoch_deadline(1);
        let guest = self.handler.instantiate(&mut store).await?;
        Ok(Instance {
            store,
            guest,
            uses: 0,
            resources: Vec::new(),
        })
    }

    /// Notes that an instance holds resources of a request, which ends its use.
    fn note_kept_resources(&self, uses: u32) {
        if uses == 1 && !self.has_warned.swap(true, Relaxed) {
            tracing::warn!(
                "an instance of the application serves no further request, since it has not \
                 dropped all resources of its first one, such as the request, its headers or a \
                 body: --max-instance-reuse has no effect on such instances"
            );
        }
    }

    /// Notes how an instance served a request after its first one. Some components can serve
    /// a single request, and say so by a failure.
    fn note_reuse(&self, was_fine: bool) {
        if was_fine {
            self.is_reuse_proven.store(true, Relaxed);
        } else if !self.is_reuse_proven.load(Relaxed) && !self.is_single_use.swap(true, Relaxed) {
            tracing::warn!(
                "the application failed in an instance that had served a request before: from \
                 now on, each request gets a new instance; if the application cannot serve \
                 several requests, leave out --max-instance-reuse"
            );
        }
    }
}

/// Ends the instances that have waited for long, until none waits.
async fn trim(instances: Weak<Instances>) {
    loop {
        sleep(MAX_IDLE).await;
        let are_others_waiting = instances.upgrade().is_some_and(|all| all.end_old());
        if !are_others_waiting {
            return;
        }
    }
}

impl Instance {
    /// Ends the request, and returns whether the instance may serve another one. Of WASI 0.3,
    /// the resources of the host do not contain the body of the request.
    async fn end_request(&mut self, is_body_left: bool) -> Condition {
        if self.guest.end_request(&mut self.store).await.is_err() {
            return Condition::Spent;
        }
        let state = self.store.data_mut();
        state.end_request();
        let resources = state.resources();
        let is_as_before = resources == self.resources
            || (self.uses == 1 && resources.iter().all(InstanceState::may_be_kept));
        self.resources = resources;
        match (is_as_before && !is_body_left, state.has_grown()) {
            (true, false) => Condition::Good,
            (true, true) => Condition::Spent,
            (false, _) => Condition::HoldsResources,
        }
    }
}

/// What an instance is like after a request.
#[derive(PartialEq)]
enum Condition {
    /// Nothing is left of the request.
    Good,
    /// It uses much memory, or trapped.
    Spent,
    /// It still has resources of the request at the host.
    HoldsResources,
}
