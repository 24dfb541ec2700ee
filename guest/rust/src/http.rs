//! Sessions for handlers that need no other framework and are synchronous: for WASI 0.2, with
//! the types of the crate [`http`].
//!
//! ```no_run,standalone_crate
//! use session3_guest::http::{Request, Response};
//! use session3_guest::{Error, Session};
//!
//! session3_guest::serve!(visit);
//!
//! fn visit(_: Request, session: &Session) -> Result<Response<String>, Error> {
//!     let visits = session.add("visits", 1)?;
//!     Ok(Response::new(format!("Visit {visits}\n")))
//! }
//! # fn main() {}
//! ```

use std::error::Error as StdError;

use ::http::uri::{PathAndQuery, Scheme};
use ::http::{HeaderMap, HeaderName, HeaderValue, Uri, request};
use serde::de::DeserializeOwned;
use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, Method as WasiMethod, OutgoingBody, OutgoingResponse,
    ResponseOutparam, Scheme as WasiScheme,
};
use wasip2::io::streams::StreamError;

pub use ::http::{Method, Response, StatusCode, header};

pub use crate::fetch::{FetchError, fetch};
#[doc(hidden)]
pub use wasip2;

use crate::error::{Error, FormError};
use crate::form::{MAX_FORM, parse_form};
use crate::form_type::check_type;
use crate::log;
use crate::session::Session;
use crate::sessions::Sessions;

/// The largest number of bytes that one call of `blocking-write-and-flush` may write.
const CHUNK: usize = 4096;

/// A request of this module.
pub type Request = ::http::Request<Body>;

/// The body of a request, which can be read once. The host hands it over at the first read, so
/// that a request whose body is not read does not pay for it.
pub struct Body(Option<IncomingRequest>);

impl Body {
    /// Reads the whole body. A second call returns no bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Form`] if the body is larger than `limit`, in bytes, or ends before its end.
    pub fn read(&mut self, limit: usize) -> Result<Vec<u8>, Error> {
        match self.0.take() {
            Some(request) => {
                let body = request.consume().map_err(|()| FormError::Incomplete)?;
                Ok(read_body(&body, limit)?)
            }
            None => Ok(Vec::new()),
        }
    }
}

/// Reads a body until its end.
///
/// # Errors
///
/// If it is larger than `limit`, in bytes, or ends before its end.
pub(crate) fn read_body(body: &IncomingBody, limit: usize) -> Result<Vec<u8>, FormError> {
    let stream = body.stream().map_err(|()| FormError::Incomplete)?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(MAX_FORM as u64) {
            Ok(chunk) => bytes.extend(chunk),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(_)) => return Err(FormError::Incomplete),
        }
        if bytes.len() > limit {
            return Err(FormError::TooLarge(limit));
        }
    }
}

/// Reads the form that a request contains.
///
/// # Errors
///
/// [`Error::Form`] if the request contains no form, if the form is larger than [`MAX_FORM`], if
/// only a part of it arrived, or if its fields are not those of `T`.
pub fn form<T: DeserializeOwned>(request: &mut Request) -> Result<T, Error> {
    check_type(request.headers())?;
    parse_form(&request.body_mut().read(MAX_FORM)?)
}

/// Makes a function the handler of the component's requests.
///
/// The function takes a [`Request`](crate::http::Request) and a
/// [`&Session`](crate::Session), and returns a result with a `Response` whose body becomes a
/// `Vec<u8>`. The session is committed before the response is sent, unless the response has a
/// status of 500 or above. If the function returns an error of this crate, the response has its
/// [`status`](crate::Error::status); after any other error, the response has the status 500, and
/// the error is in the log. Then the session stays as it was.
///
/// A second argument of the type [`Sessions`](crate::Sessions) changes the settings.
#[macro_export]
macro_rules! serve {
    ($handle:path) => {
        $crate::serve!($handle, $crate::Sessions::new());
    };
    ($handle:path, $sessions:expr) => {
        const _: () = {
            struct Application;

            impl $crate::http::wasip2::exports::http::incoming_handler::Guest for Application {
                fn handle(
                    request: $crate::http::wasip2::http::types::IncomingRequest,
                    out: $crate::http::wasip2::http::types::ResponseOutparam,
                ) {
                    $crate::http::answer(request, out, &$sessions, $handle);
                }
            }

            $crate::http::wasip2::http::proxy::export!(
                Application with_types_in $crate::http::wasip2
            );
        };
    };
}

/// Calls a handler with a request and its session, commits the session, and sends the response,
/// as [`serve!`](crate::serve) says.
pub fn answer<B, E>(
    request: IncomingRequest,
    out: ResponseOutparam,
    sessions: &Sessions,
    handle: impl FnOnce(Request, &Session) -> Result<Response<B>, E>,
) where
    B: Into<Vec<u8>>,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    log::log_panics();
    let Ok(request) = read(request) else {
        return send(out, only(StatusCode::BAD_REQUEST));
    };
    let is_head = *request.method() == Method::HEAD;
    let (parts, body) = request.into_parts();
    let session = sessions.open(&parts);
    let answered = handle(Request::from_parts(parts, body), &session);
    let answered = answered.map(|response| response.map(Into::into));
    let mut response: Response<Vec<u8>> = sessions.respond(&session, answered);
    if is_head {
        response.body_mut().clear();
    }
    send(out, response);
}

/// Returns a response without a text.
fn only(status: StatusCode) -> Response<Vec<u8>> {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// Reads the head of a request. [`answer`] does that.
///
/// # Errors
///
/// If the host passed on what is no HTTP.
pub fn read(request: IncomingRequest) -> Result<Request, ::http::Error> {
    let mut builder = request::Builder::new()
        .method(method(request.method())?)
        .uri(uri(&request)?);
    if let Some(headers) = builder.headers_mut() {
        *headers = header_map(&request.headers())?;
    }
    builder.body(Body(Some(request)))
}

pub(crate) fn header_map(fields: &Fields) -> Result<HeaderMap, ::http::Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields.entries() {
        let name = HeaderName::from_bytes(name.as_bytes())?;
        headers.append(name, HeaderValue::from_bytes(&value)?);
    }
    Ok(headers)
}

fn method(method: WasiMethod) -> Result<Method, ::http::Error> {
    Ok(match method {
        WasiMethod::Get => Method::GET,
        WasiMethod::Head => Method::HEAD,
        WasiMethod::Post => Method::POST,
        WasiMethod::Put => Method::PUT,
        WasiMethod::Delete => Method::DELETE,
        WasiMethod::Connect => Method::CONNECT,
        WasiMethod::Options => Method::OPTIONS,
        WasiMethod::Trace => Method::TRACE,
        WasiMethod::Patch => Method::PATCH,
        WasiMethod::Other(name) => Method::from_bytes(name.as_bytes())?,
    })
}

/// Returns the URI with scheme and authority, or, if the host knows none, only the path.
fn uri(request: &IncomingRequest) -> Result<Uri, ::http::Error> {
    let path = PathAndQuery::try_from(request.path_with_query().unwrap_or_else(|| "/".into()))?;
    let scheme = match request.scheme() {
        Some(WasiScheme::Https) => Scheme::HTTPS,
        Some(WasiScheme::Http) | None => Scheme::HTTP,
        Some(WasiScheme::Other(name)) => Scheme::try_from(name.as_str())?,
    };
    let builder = Uri::builder().path_and_query(path);
    match request.authority() {
        Some(authority) => builder.scheme(scheme).authority(authority).build(),
        None => builder.build(),
    }
}

/// Sends a response. [`answer`] does that. An error of the connection is ignored: the client
/// cannot be reached then.
pub fn send(out: ResponseOutparam, response: Response<Vec<u8>>) {
    let status = response.status().as_u16();
    let outgoing = match fields(response.headers()) {
        Some(fields) => OutgoingResponse::new(fields),
        None => return refuse(out),
    };
    // This cannot fail, since the status comes from a response.
    let _ = outgoing.set_status_code(status);
    let body = outgoing.body();
    ResponseOutparam::set(out, Ok(outgoing));
    if let Ok(body) = body {
        write(&body, response.body());
        let _ = OutgoingBody::finish(body, None);
    }
}

/// Returns the headers; `None` if the host refuses one of them, such as Connection.
pub(crate) fn fields(headers: &HeaderMap) -> Option<Fields> {
    let pairs = headers.iter();
    let pairs: Vec<_> = pairs
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect();
    Fields::from_list(&pairs).ok()
}

/// Responds to a request whose response has a header that the host refuses. The response must
/// not be sent without it, since it could be the cookie.
fn refuse(out: ResponseOutparam) {
    log::line("the response has a header that the host does not send, so it was not sent");
    let outgoing = OutgoingResponse::new(Fields::new());
    let _ = outgoing.set_status_code(StatusCode::INTERNAL_SERVER_ERROR.as_u16());
    ResponseOutparam::set(out, Ok(outgoing));
}

pub(crate) fn write(body: &OutgoingBody, bytes: &[u8]) {
    let Ok(stream) = body.write() else { return };
    for chunk in bytes.chunks(CHUNK) {
        if stream.blocking_write_and_flush(chunk).is_err() {
            return;
        }
    }
}
