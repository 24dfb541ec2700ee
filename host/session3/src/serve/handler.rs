//! The two generations of WASI's HTTP: how a request gets into an instance, and
//! the response out of it.

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

/// The response, or what the component said instead of one.
pub type Answer = Result<Response<HyperOutgoingBody>, String>;

/// A linked component, by what it exports.
#[derive(Clone)]
pub enum Handler {
    /// `wasi:http/incoming-handler@0.2`
    Wasi02(ProxyPre<RequestState>),
    /// `wasi:http/handler@0.3`
    Wasi03(ServicePre<RequestState>),
}

/// Which of WASI's generations a component is for, by the names of its exports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Generation {
    Wasi02,
    Wasi03,
}

impl Generation {
    /// An error when it is no web application.
    pub fn of(exports: &[String]) -> Result<Self> {
        let exports = |name: &str| exports.iter().any(|export| export.starts_with(name));
        if exports("wasi:http/handler@0.3.") {
            return Ok(Self::Wasi03);
        }
        if exports("wasi:http/incoming-handler@0.2.") {
            return Ok(Self::Wasi02);
        }
        bail!(
            "it exports neither wasi:http/incoming-handler@0.2 nor wasi:http/handler@0.3: it is \
             not a web application"
        )
    }
}

impl Handler {
    /// Of this generation.
    pub fn new(pre: InstancePre<RequestState>, generation: Generation) -> Result<Self> {
        Ok(match generation {
            Generation::Wasi02 => Self::Wasi02(ProxyPre::new(pre)?),
            Generation::Wasi03 => Self::Wasi03(ServicePre::new(pre)?),
        })
    }

    /// What it was compiled with.
    pub fn engine(&self) -> &Engine {
        match self {
            Self::Wasi02(pre) => pre.engine(),
            Self::Wasi03(pre) => pre.engine(),
        }
    }

    /// Passes a request to a new instance, and what it answers to `answer`. Done
    /// when the instance has nothing left to do, which may be later.
    pub async fn handle(
        &self,
        store: &mut Store<RequestState>,
        request: Request<LimitedBody>,
        is_secure: bool,
        answer: oneshot::Sender<Answer>,
    ) -> Result<()> {
        match self {
            Self::Wasi02(pre) => handle_02(pre, store, request, is_secure, answer).await,
            Self::Wasi03(pre) => handle_03(pre, store, request, is_secure, answer).await,
        }
    }
}

async fn handle_02(
    pre: &ProxyPre<RequestState>,
    store: &mut Store<RequestState>,
    request: Request<LimitedBody>,
    is_secure: bool,
    answer: oneshot::Sender<Answer>,
) -> Result<()> {
    let scheme = match is_secure {
        true => Scheme::Https,
        false => Scheme::Http,
    };
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(scheme, request)?;
    let out = http.new_response_outparam_from_callback(|response| {
        // Nobody waits for it any more, perhaps.
        let _ = answer.send(response.map_err(|code| format!("{code:?}")));
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
    answer: oneshot::Sender<Answer>,
) -> Result<()> {
    let service = pre.instantiate_async(&mut *store).await?;
    let request = incoming(store, request, is_secure);
    let run = async |accessor: &Accessor<RequestState>| {
        let answered = respond(&service, accessor, request).await?;
        let _ = answer.send(answered);
        // Its body is still being written, or something is being saved.
        poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
        Ok(())
    };
    store.run_concurrent(run).await?
}

/// The request as the component sees it.
fn incoming(
    store: &mut Store<RequestState>,
    request: Request<LimitedBody>,
    is_secure: bool,
) -> Incoming {
    let authority = authority_of(&request);
    // What the component makes of the body is its own business.
    let (mut request, _) = Incoming::from_http(store.data_mut().http().hooks, request);
    request.authority = authority;
    request.scheme = Some(match is_secure {
        true => http::uri::Scheme::HTTPS,
        false => http::uri::Scheme::HTTP,
    });
    request
}

async fn respond(
    service: &Service,
    accessor: &Accessor<RequestState>,
    request: Incoming,
) -> Result<Answer> {
    let response = match service.handle(accessor, request).await? {
        Ok(response) => response,
        Err(code) => return Ok(Err(format!("{code:?}"))),
    };
    let (tell, told) = oneshot::channel();
    let sent = async { told.await.map_err(|_| Error::ConnectionTerminated) };
    let response = accessor.with(|mut access| response.into_http(access.as_context_mut(), sent))?;
    Ok(Ok(
        response.map(|body| SentBody::new(body, tell).boxed_unsync())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_web_application_is_served() {
        let of = |name: &str| Generation::of(&[name.to_owned()]).map_err(|error| error.to_string());
        assert_eq!(
            of("wasi:http/incoming-handler@0.2.0"),
            Ok(Generation::Wasi02)
        );
        assert_eq!(of("wasi:http/handler@0.3.1"), Ok(Generation::Wasi03));
        let other = of("session3:sessions/store@0.1.0").expect_err("refused");
        assert!(other.contains("not a web application"), "{other}");
    }
}
