//! A page that the server answers in place of the application.

use http_body_util::{BodyExt, Full};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use super::ServerResponse;
use super::connection::{AnsweringBody, RequestInFlight};

/// Returns the response with an HTML page.
pub fn response(page: &str, in_flight: RequestInFlight) -> ServerResponse {
    let body = Full::from(page.to_owned()).map_err(|never| match never {});
    let mut response = Response::new(AnsweringBody::new(body, in_flight).boxed_unsync());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(CONTENT_TYPE, html);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
