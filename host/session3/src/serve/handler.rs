//! The two generations of `wasi:http`: how an instance gets a request and returns its
//! response.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Bytes;
use hyper::{Request, Response};
use session3_compose::Outline;
use tokio::sync::oneshot;
use wasmtime::component::{Accessor, ComponentExportIndex, InstancePre, TypedFunc};
use wasmtime::{AsContextMut, Engine, Result, Store};
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyIndices};
use wasmtime_wasi_http::p3::Request as Incoming;
use wasmtime_wasi_http::p3::bindings::{Service, ServiceIndices};
use wasmtime_wasi_http::{Error, WasiHttpView};

use super::authority::authority_of;
use super::refusal::{check_imports, is_release, no_handler};
use super::request_body::RequestBody;
use super::sent_body::SentBody;
use super::state::InstanceState;

/// The response of a component, or the error code with which it answered.
pub type Answer = Result<Response<UnsyncBoxBody<Bytes, Error>>, String>;

/// Sends the answer of an instance, and notes that there was one.
pub struct AnswerSender {
    sender: oneshot::Sender<Answer>,
    has_answered: Arc<AtomicBool>,
}

impl AnswerSender {
    /// Returns the sender, and the flag that is set when it has sent a response.
    pub fn new(sender: oneshot::Sender<Answer>) -> (Self, Arc<AtomicBool>) {
        let has_answered = Arc::new(AtomicBool::new(false));
        let flag = has_answered.clone();
        let sender = Self {
            sender,
            has_answered,
        };
        (sender, flag)
    }

    fn send(self, answer: Answer) {
        self.has_answered.store(answer.is_ok(), Relaxed);
        // The client may have closed the connection, so that the receiver was dropped.
        let _ = self.sender.send(answer);
    }
}

/// A linked component, by the interface that it exports.
pub struct Handler {
    pre: InstancePre<InstanceState>,
    indices: Indices,
    /// The function of `session3:sessions/reuse`.
    end_request: Option<ComponentExportIndex>,
}

enum Indices {
    /// `wasi:http/incoming-handler@0.2`
    Wasi02(ProxyIndices),
    /// `wasi:http/handler@0.3`
    Wasi03(ServiceIndices),
}

/// An instance of a component.
pub struct Guest {
    exports: Exports,
    end_request: Option<TypedFunc<(), ()>>,
}

enum Exports {
    Wasi02(Proxy),
    Wasi03(Service),
}

/// The generation of WASI that a component is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Generation {
    Wasi02,
    Wasi03,
}

impl Generation {
    /// Returns the generation of a component. If it has both, it is WASI 0.3.
    ///
    /// # Errors
    ///
    /// If the component is not a web application, or imports what the server does not have.
    pub fn of(outline: &Outline) -> Result<Self> {
        let exports = |interface: &str, series: &str| {
            let versions = outline.exports.iter();
            let mut versions = versions.filter_map(|name| name.strip_prefix(interface));
            versions.any(|version| is_release(version, series))
        };
        let generation = if exports("wasi:http/handler@", "0.3.") {
            Self::Wasi03
        } else if exports("wasi:http/incoming-handler@", "0.2.") {
            Self::Wasi02
        } else {
            return Err(no_handler(outline));
        };
        check_imports(&outline.imports)?;
        Ok(generation)
    }
}

impl Handler {
    /// Prepares a linked component of this generation.
    ///
    /// # Errors
    ///
    /// If the exports do not have the types of that generation.
    pub fn new(pre: InstancePre<InstanceState>, generation: Generation) -> Result<Self> {
        let indices = match generation {
            Generation::Wasi02 => Indices::Wasi02(ProxyIndices::new(&pre)?),
            Generation::Wasi03 => Indices::Wasi03(ServiceIndices::new(&pre)?),
        };
        let component = pre.component();
        let reuse = component.get_export_index(None, "session3:sessions/reuse@0.2.0");
        let end_request =
            reuse.and_then(|reuse| component.get_export_index(Some(&reuse), "end-request"));
        Ok(Self {
            pre,
            indices,
            end_request,
        })
    }

    /// Returns the engine that the component was compiled with.
    pub fn engine(&self) -> &Engine {
        self.pre.engine()
    }

    /// Returns whether the session manager in the component can be told that a request has
    /// ended.
    pub fn can_end_requests(&self) -> bool {
        self.end_request.is_some()
    }

    /// Creates an instance.
    ///
    /// # Errors
    ///
    /// If the instance cannot be created, or traps.
    pub async fn instantiate(&self, store: &mut Store<InstanceState>) -> Result<Guest> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        let exports = match &self.indices {
            Indices::Wasi02(indices) => Exports::Wasi02(indices.load(&mut *store, &instance)?),
            Indices::Wasi03(indices) => Exports::Wasi03(indices.load(&mut *store, &instance)?),
        };
        let end_request = match &self.end_request {
            Some(index) => Some(instance.get_typed_func(&mut *store, index)?),
            None => None,
        };
        Ok(Guest {
            exports,
            end_request,
        })
    }
}

impl Guest {
    /// Passes a request to the instance, and sends its answer to `answer_sender`. Returns
    /// when the instance has finished, which may be some time after its answer.
    ///
    /// # Errors
    ///
    /// If the instance traps.
    pub async fn handle(
        &self,
        store: &mut Store<InstanceState>,
        request: Request<RequestBody>,
        is_secure: bool,
        answer_sender: AnswerSender,
    ) -> Result<()> {
        match &self.exports {
            Exports::Wasi02(proxy) => {
                handle_02(proxy, store, request, is_secure, answer_sender).await
            }
            Exports::Wasi03(service) => {
                handle_03(service, store, request, is_secure, answer_sender).await
            }
        }
    }

    /// Tells the session manager in the component that the request has ended, if there is
    /// one.
    ///
    /// # Errors
    ///
    /// If the instance traps.
    pub async fn end_request(&self, store: &mut Store<InstanceState>) -> Result<()> {
        match &self.end_request {
            Some(end_request) => end_request.call_async(store, ()).await,
            None => Ok(()),
        }
    }
}

async fn handle_02(
    proxy: &Proxy,
    store: &mut Store<InstanceState>,
    request: Request<RequestBody>,
    is_secure: bool,
    answer_sender: AnswerSender,
) -> Result<()> {
    let scheme = match is_secure {
        true => Scheme::Https,
        false => Scheme::Http,
    };
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(scheme, request)?;
    let out = http.new_response_outparam_from_callback(|response| {
        answer_sender.send(response.map_err(|code| format!("{code:?}")));
    })?;
    let handler = proxy.wasi_http_incoming_handler();
    handler.call_handle(store, request, out).await
}

async fn handle_03(
    service: &Service,
    store: &mut Store<InstanceState>,
    request: Request<RequestBody>,
    is_secure: bool,
    answer_sender: AnswerSender,
) -> Result<()> {
    let request = incoming(store, request, is_secure);
    let run = async |accessor: &Accessor<InstanceState>| {
        let answer = respond(service, accessor, request).await?;
        answer_sender.send(answer);
        // The instance may still write the body, or save something.
        poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
        Ok(())
    };
    store.run_concurrent(run).await?
}

/// Converts a request for a component for WASI 0.3.
fn incoming(
    store: &mut Store<InstanceState>,
    request: Request<RequestBody>,
    is_secure: bool,
) -> Incoming {
    let authority = authority_of(&request);
    // The other value is a future with the result of reading the body, which only the
    // component needs to know.
    let (mut request, _) = Incoming::from_http(store.data_mut().http().hooks, request);
    request.authority = authority;
    request.scheme = Some(match is_secure {
        true => http::uri::Scheme::HTTPS,
        false => http::uri::Scheme::HTTP,
    });
    request
}

/// Calls the handler, and returns its answer. The guest learns when the whole body was
/// taken.
async fn respond(
    service: &Service,
    accessor: &Accessor<InstanceState>,
    request: Incoming,
) -> Result<Answer> {
    let response = match service.handle(accessor, request).await? {
        Ok(response) => response,
        Err(code) => return Ok(Err(format!("{code:?}"))),
    };
    let (sent_sender, sent_receiver) = oneshot::channel();
    let sent = async { sent_receiver.await.map_err(|_| Error::ConnectionTerminated) };
    let response = accessor.with(|mut access| response.into_http(access.as_context_mut(), sent))?;
    Ok(Ok(response.map(|body| {
        SentBody::new(body, sent_sender).boxed_unsync()
    })))
}

#[cfg(test)]
mod tests {
    use session3_compose::Needs;

    use super::*;

    /// Returns the generation of a component with this export and this import, or the refusal.
    fn generation(export: &str, import: &str) -> Result<Generation, String> {
        let outline = Outline {
            imports: vec![import.to_owned()],
            exports: vec![export.to_owned()],
            needs: Needs {
                core_instances: 1,
                ..Needs::default()
            },
            producers: Vec::new(),
        };
        Generation::of(&outline).map_err(|error| error.to_string())
    }

    #[test]
    fn only_a_web_application_is_served() {
        let with_export = |name| generation(name, "wasi:http/types@0.2.10");
        assert_eq!(
            with_export("wasi:http/incoming-handler@0.2.0"),
            Ok(Generation::Wasi02)
        );
        assert_eq!(
            with_export("wasi:http/handler@0.3.1"),
            Ok(Generation::Wasi03)
        );
        for (export, part) in [
            ("session3:sessions/store@0.2.0", "not a web application"),
            ("wasi:cli/run@0.2.6", "a command"),
            ("wasi:http/handler@0.3.0-rc-2025-09-16", "0.3.0-rc-2025"),
            ("wasi:http/incoming-handler@0.1.0", "0.1.0"),
        ] {
            let error = with_export(export).expect_err("refused");
            assert!(error.contains(part), "{error}");
            assert!(
                error.contains("`session3 wit --world application"),
                "{error}"
            );
        }
    }

    #[test]
    fn an_import_that_the_server_does_not_have_is_named() {
        for import in [
            "acme:database/query@1.0.0",
            "log",
            "wasi:http/types@0.3.0-rc-2025-09-16",
            "wasi:keyvalue/store@0.2.0-draft",
        ] {
            let error = generation("wasi:http/incoming-handler@0.2.6", import);
            let error = error.expect_err("refused");
            assert!(error.contains(import), "{error}");
        }
    }
}
