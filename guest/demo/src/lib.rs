//! The demo, an interactive application for trying out sessions. It has the pages of the demo
//! of Session3, the Python library, and additional pages for users and for the administrator.
//!
//! `pages` maps each request to its page. `account` and `admin` contain the additional pages,
//! `forms` protects their forms, and `response` creates responses. The crate `session3-web`
//! reads requests and sends responses over wasi:http.

mod account;
mod admin;
mod bindings;
mod forms;
mod pages;
mod response;

use bindings::exports::wasi::http::incoming_handler::Guest;
use session3_web::BadForm;
use session3_web::bindings::wasi::http::types::{IncomingRequest, ResponseOutparam};

struct Component;

#[expect(unsafe_code, reason = "generated: the functions that the host calls")]
mod exports {
    use super::{Component, bindings};

    bindings::export!(Component with_types_in bindings);
}

impl Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let response = match session3_web::read(&request) {
            Ok(request) => pages::answer(&request),
            Err(BadForm { status, text }) => response::message(status, "That did not work", text),
        };
        session3_web::send(out, response);
    }
}
