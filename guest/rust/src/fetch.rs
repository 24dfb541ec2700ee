//! Requests to other servers, for handlers without a framework.

use http::{Method, Request, Response, Uri};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, IncomingResponse, Method as WasiMethod, OutgoingBody, OutgoingRequest,
    Scheme as WasiScheme,
};

use crate::http::{fields, header_map, read_body, write};

/// Why there is no response of another server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The URI does not begin with `http://` or `https://` and the name of a server.
    #[error("{0} names no server: it has to begin with http:// or https://")]
    NoServer(Uri),
    /// The request has a method or a header that the host does not send.
    #[error("the host does not send this request")]
    Refused,
    /// The server cannot be reached, or the operator does not allow the request.
    #[error("there is no response: {0}")]
    Failed(#[source] ErrorCode),
    /// The connection ended before the response, or the response is not what HTTP allows.
    #[error("the response cannot be read")]
    Incomplete,
}

/// Sends a request to another server, and returns its response, whatever its status is.
///
/// The operator allows each server with `session3 serve --allow-outbound HOST`, and limits the
/// time of the whole request with `--timeout`. Redirects are not followed.
///
/// ```no_run
/// use session3_guest::http::fetch;
///
/// # fn rates() -> Result<(), Box<dyn std::error::Error>> {
/// let request = http::Request::get("https://api.example/rates").body(Vec::new())?;
/// let rates = String::from_utf8(fetch(request)?.into_body())?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// If there is no response.
pub fn fetch(request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, FetchError> {
    let outgoing = outgoing(&request)?;
    let body = outgoing.body().map_err(|()| FetchError::Refused)?;
    let future = outgoing_handler::handle(outgoing, None).map_err(FetchError::Failed)?;
    write(&body, request.body());
    OutgoingBody::finish(body, None).map_err(FetchError::Failed)?;
    future.subscribe().block();
    let response = future.get().and_then(Result::ok);
    read(
        &response
            .ok_or(FetchError::Incomplete)?
            .map_err(FetchError::Failed)?,
    )
}

/// Returns the head of a request.
fn outgoing(request: &Request<Vec<u8>>) -> Result<OutgoingRequest, FetchError> {
    let uri = request.uri();
    let scheme = match uri.scheme_str() {
        Some("http") => WasiScheme::Http,
        Some("https") => WasiScheme::Https,
        _ => return Err(FetchError::NoServer(uri.clone())),
    };
    let authority = uri.authority().map(|authority| authority.as_str());
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let fields = fields(request.headers()).ok_or(FetchError::Refused)?;
    let outgoing = OutgoingRequest::new(fields);
    outgoing
        .set_method(&method(request.method()))
        .and_then(|()| outgoing.set_scheme(Some(&scheme)))
        .and_then(|()| outgoing.set_authority(authority))
        .and_then(|()| outgoing.set_path_with_query(Some(path)))
        .map_err(|()| FetchError::Refused)?;
    Ok(outgoing)
}

fn method(method: &Method) -> WasiMethod {
    match *method {
        Method::GET => WasiMethod::Get,
        Method::HEAD => WasiMethod::Head,
        Method::POST => WasiMethod::Post,
        Method::PUT => WasiMethod::Put,
        Method::DELETE => WasiMethod::Delete,
        _ => WasiMethod::Other(method.to_string()),
    }
}

/// Reads a whole response.
fn read(incoming: &IncomingResponse) -> Result<Response<Vec<u8>>, FetchError> {
    let body = incoming.consume().map_err(|()| FetchError::Incomplete)?;
    let content = read_body(&body, usize::MAX).map_err(|_| FetchError::Incomplete)?;
    let mut response = Response::new(content);
    let status = incoming.status().try_into();
    *response.status_mut() = status.map_err(|_| FetchError::Incomplete)?;
    let headers = header_map(&incoming.headers());
    *response.headers_mut() = headers.map_err(|_| FetchError::Incomplete)?;
    Ok(response)
}
