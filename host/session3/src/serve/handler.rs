//! The two generations of `wasi:http`: how an instance gets a request and returns its
//! response.

use std::future::poll_fn;

use http_body_util::BodyExt;
use hyper::{Request, Response};
use tokio::sync::oneshot;
use wasmtime::component::{Accessor, InstancePre};
use wasmtime::{AsContextMut, Engine, Result, Store, bail};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::p3::Request as Incoming;
use wasmtime_wasi_http::p3::bindings::{Service, ServicePre};
use wasmtime_wasi_http::{Error, WasiHttpView};

use super::authority_of;
use super::body::{LimitedBody, SentBody};
use super::state::RequestState;

/// The response of a component, or the error code with which it answered.
pub type Answer = Result<Response<HyperOutgoingBody>, String>;

/// A linked component, by the interface that it exports.
#[derive(Clone)]
pub enum Handler {
    /// `wasi:http/incoming-handler@0.2`
    Wasi02(ProxyPre<RequestState>),
    /// `wasi:http/handler@0.3`
    Wasi03(ServicePre<RequestState>),
}

/// The generation of WASI that a component is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Generation {
    Wasi02,
    Wasi03,
}

impl Generation {
    /// Returns the generation of a component with these exports. If there are both, it is
    /// WASI 0.3.
    ///
    /// # Errors
    ///
    /// If the component is not a web application.
    pub fn from_exports(exports: &[String]) -> Result<Self> {
        let exports = |name: &str| exports.iter().any(|export| export.starts_with(name));
        if exports("wasi:http/handler@0.3.") {
            return Ok(Self::Wasi03);
        }
        if exports("wasi:http/incoming-handler@0.2.") {
            return Ok(Self::Wasi02);
        }
        bail!(
            "the component exports neither wasi:http/incoming-handler@0.2 nor \
             wasi:http/handler@0.3: it is not a web application"
        )
    }
}

impl Handler {
    /// Prepares a linked component of this generation.
    ///
    /// # Errors
    ///
    /// If the exports do not have the types of that generation.
    pub fn new(pre: InstancePre<RequestState>, generation: Generation) -> Result<Self> {
        Ok(match generation {
            Generation::Wasi02 => Self::Wasi02(ProxyPre::new(pre)?),
            Generation::Wasi03 => Self::Wasi03(ServicePre::new(pre)?),
        })
    }

    /// Returns the engine that the component was compiled with.
    pub fn engine(&self) -> &Engine {
        match self {
            Self::Wasi02(pre) => pre.engine(),
            Self::Wasi03(pre) => pre.engine(),
        }
    }

    /// Passes a request to a new instance, and sends its answer to `answer_sender`.
    /// Returns when the instance has finished, which may be some time after its answer.
    ///
    /// # Errors
    ///
    /// If the instance cannot be created, or traps.
    pub async fn handle(
        &self,
        store: &mut Store<RequestState>,
        request: Request<LimitedBody>,
        is_secure: bool,
        answer_sender: oneshot::Sender<Answer>,
    ) -> Result<()> {
        match self {
            Self::Wasi02(pre) => handle_02(pre, store, request, is_secure, answer_sender).await,
            Self::Wasi03(pre) => handle_03(pre, store, request, is_secure, answer_sender).await,
        }
    }
}

async fn handle_02(
    pre: &ProxyPre<RequestState>,
    store: &mut Store<RequestState>,
    request: Request<LimitedBody>,
    is_secure: bool,
    answer_sender: oneshot::Sender<Answer>,
) -> Result<()> {
    let scheme = match is_secure {
        true => Scheme::Https,
        false => Scheme::Http,
    };
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(scheme, request)?;
    let out = http.new_response_outparam_from_callback(|response| {
        // The client may have closed the connection, so that the receiver was dropped.
        let _ = answer_sender.send(response.map_err(|code| format!("{code:?}")));
    })?;
    let proxy = pre.instantiate_async(&mut *store).await?;
    let handler = proxy.wasi_http_incoming_handler();
    handler.call_handle(store, request, out).await
}

async fn handle_03(
    pre: &ServicePre<RequestState>,
    store: &mut Store<RequestState>,
    request: Request<LimitedBody>,
    is_secure: bool,
    answer_sender: oneshot::Sender<Answer>,
) -> Result<()> {
    let service = pre.instantiate_async(&mut *store).await?;
    let request = incoming(store, request, is_secure);
    let run = async |accessor: &Accessor<RequestState>| {
        let answer = respond(&service, accessor, request).await?;
        let _ = answer_sender.send(answer);
        // The instance may still write the body, or save something.
        poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
        Ok(())
    };
    store.run_concurrent(run).await?
}

/// Converts a request for a component for WASI 0.3.
fn incoming(
    store: &mut Store<RequestState>,
    request: Request<LimitedBody>,
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
/// sent.
async fn respond(
    service: &Service,
    accessor: &Accessor<RequestState>,
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
    use super::*;

    #[test]
    fn only_a_web_application_is_served() {
        let generation = |name: &str| {
            Generation::from_exports(&[name.to_owned()]).map_err(|error| error.to_string())
        };
        assert_eq!(
            generation("wasi:http/incoming-handler@0.2.0"),
            Ok(Generation::Wasi02)
        );
        assert_eq!(
            generation("wasi:http/handler@0.3.1"),
            Ok(Generation::Wasi03)
        );
        let error = generation("session3:sessions/store@0.2.0").expect_err("refused");
        assert!(error.contains("not a web application"), "{error}");
    }
}
