//! Creates the responses of the demo.

use session3_web::{LAYOUT, Response, fill};

use crate::bindings::session3::sessions::manager::Header;

/// Redirects the browser to another page.
pub fn to(page: &str, mut headers: Vec<Header>) -> Response {
    headers.push(header("Location", page));
    response(302, headers, String::new())
}

/// Returns a page with a heading, a sentence and a link to the start page.
pub fn message(status: u16, title: &str, text: &str) -> Response {
    let body = format!("<h1>{title}</h1>\n<p>{text}</p>\n<p><a href=\"./\">Back</a></p>");
    html(status, title, &body, Vec::new())
}

/// Returns a page with a title and a body in HTML, in the layout of the demo.
pub fn html(status: u16, title: &str, body: &str, mut headers: Vec<Header>) -> Response {
    headers.push(header("Content-Type", "text/html; charset=utf-8"));
    let body = fill(LAYOUT, &[("title", title), ("body", body)]);
    response(status, headers, body)
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

/// Creates a header.
pub fn header(name: &str, value: &str) -> Header {
    Header {
        name: name.into(),
        value: value.into(),
    }
}

fn response(status: u16, headers: Vec<Header>, body: String) -> Response {
    let headers = headers.into_iter();
    Response {
        status,
        headers: headers.map(|header| (header.name, header.value)).collect(),
        body,
    }
}
