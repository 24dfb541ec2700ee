//! What a request must be like, and how it is sent.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Uri, Version};
use http_body::Body;

use crate::call::Call;
use crate::error::{BoxError, OutboundError};
use crate::headers;
use crate::sent_body::SentBody;
use crate::target::Target;

const LENGTHS_DIFFER: OutboundError =
    OutboundError::InvalidRequest("its Content-Length is not the length of its body");

/// Checks what a request must be like, whatever the rules are. Returns the value of
/// `Content-Length`.
pub fn check<B: Body>(request: &Request<B>) -> Result<Option<u64>, OutboundError> {
    if request.method() == Method::CONNECT {
        return Err(OutboundError::InvalidRequest("its method is CONNECT"));
    }
    let headers = request.headers();
    let connection = headers::named_by_connection(headers);
    if headers.contains_key(UPGRADE) || connection.contains(&UPGRADE) {
        return Err(OutboundError::InvalidRequest(
            "it asks for another protocol",
        ));
    }
    let length = content_length(headers)?;
    let body = request.body();
    let exact = match body.size_hint().exact() {
        None if body.is_end_stream() => Some(0),
        exact => exact,
    };
    match (length, exact) {
        (Some(length), Some(exact)) if length != exact => Err(LENGTHS_DIFFER),
        _ => Ok(length),
    }
}

/// Returns the value of `Content-Length`, which may be given once.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, OutboundError> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let (first, second) = (values.next(), values.next());
    let Some(first) = first else {
        return Ok(None);
    };
    let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let number = first.to_str().ok().filter(is_number);
    match number.and_then(|text| text.parse().ok()) {
        Some(length) if second.is_none() => Ok(Some(length)),
        _ => Err(OutboundError::InvalidRequest(
            "its Content-Length is not one number",
        )),
    }
}

/// Returns the request as it is sent: with the canonical spelling of its host, and without
/// headers that belong to one connection.
pub fn prepare<B>(
    request: Request<B>,
    length: Option<u64>,
    call: Arc<Call>,
) -> Result<Request<SentBody>, OutboundError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (given, body) = request.into_parts();
    let uri = canonical(&given.uri, &call.target)?;
    let mut request = Request::new(SentBody::new(body, length, call));
    *request.method_mut() = given.method;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = given.headers;
    headers::remove_hop_by_hop(request.headers_mut());
    // The client makes it from the URL.
    request.headers_mut().remove(HOST);
    Ok(request)
}

fn canonical(uri: &Uri, target: &Target) -> Result<Uri, OutboundError> {
    let scheme = uri.scheme().cloned().unwrap_or(Scheme::HTTPS);
    let authority = Authority::try_from(target.authority(&scheme));
    let path = uri.path_and_query().cloned();
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(authority.map_err(|_| OutboundError::InvalidRequest("its URL is invalid"))?)
        .path_and_query(path.unwrap_or(PathAndQuery::from_static("/")))
        .build();
    uri.map_err(|_| OutboundError::InvalidRequest("its URL is invalid"))
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    fn checked(request: http::request::Builder, body: &'static str) -> Result<Option<u64>, String> {
        let request = request
            .uri("http://a.example/")
            .body(Full::<Bytes>::from(body))
            .unwrap();
        check(&request).map_err(|error| error.to_string())
    }

    #[test]
    fn requests_for_other_protocols_are_refused() {
        let refused = [
            Request::builder().method(Method::CONNECT),
            Request::builder().header("Upgrade", "websocket"),
            Request::builder().header("Connection", "keep-alive, Upgrade"),
        ];
        for request in refused {
            checked(request, "").unwrap_err();
        }
        let accepted = Request::builder().header("Connection", "keep-alive");
        assert_eq!(checked(accepted, ""), Ok(None));
    }

    #[test]
    fn the_content_length_is_that_of_the_body() {
        let with = |length: &str| Request::post("/").header(CONTENT_LENGTH, length);
        assert_eq!(checked(with("5"), "12345"), Ok(Some(5)));
        assert_eq!(checked(with("0"), ""), Ok(Some(0)));
        for length in [
            "4",
            "6",
            "+5",
            "-5",
            "5, 5",
            "5 ",
            "",
            "0x5",
            "99999999999999999999",
        ] {
            checked(with(length), "12345").unwrap_err();
        }
        checked(with("5").header(CONTENT_LENGTH, "5"), "12345").unwrap_err();
    }

    #[test]
    fn the_url_has_one_spelling() {
        let canonical = |text: &str| {
            let uri = text.parse().unwrap();
            let target = Target::from_uri(&uri).unwrap();
            canonical(&uri, &target).unwrap().to_string()
        };
        let cases = [
            ("http://A.Example.:80", "http://a.example/"),
            ("https://a.example:443/p?q", "https://a.example/p?q"),
            ("https://a.example:80/p", "https://a.example:80/p"),
            ("http://[::FFFF:127.0.0.1]:81/", "http://127.0.0.1:81/"),
            ("http://[0:0::1]?q", "http://[::1]/?q"),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text), expected);
        }
    }
}
