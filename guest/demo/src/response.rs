//! Creates the responses of the demo.

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Response, StatusCode};
use session3_web::{LAYOUT, fill};

/// Redirects the browser to another page.
pub fn to(page: &'static str) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::FOUND;
    let page = HeaderValue::from_static(page);
    response.headers_mut().insert(LOCATION, page);
    response
}

/// Returns a page with a heading, a sentence and a link to the start page.
pub fn message(status: StatusCode, title: &str, text: &str) -> Response<String> {
    let body = format!("<h1>{title}</h1>\n<p>{text}</p>\n<p><a href=\"./\">Back</a></p>");
    let mut response = html(title, &body);
    *response.status_mut() = status;
    response
}

/// Returns a page with a title and a body in HTML, in the layout of the demo.
pub fn html(title: &str, body: &str) -> Response<String> {
    let mut response = Response::new(fill(LAYOUT, &[("title", title), ("body", body)]));
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    response
}

/// Escapes text from users for a page. This includes braces, which mark placeholders.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' | '<' | '>' | '"' | '\'' | '{' | '}' => {
                escaped += &format!("&#{};", u32::from(character));
            }
            _ => escaped.push(character),
        }
    }
    escaped
}
