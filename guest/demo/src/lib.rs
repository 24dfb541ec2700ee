//! The interactive web test application, the counterpart of Session3's, page
//! for page, with pages of its own for users and for the administrator:
//! `pages` decides, `template` writes, `http` speaks wasi:http.

mod account;
mod admin;
mod bindings;
mod forms;
mod pages;
mod response;

use bindings::exports::wasi::http::incoming_handler::Guest;
use session3_web::bindings::wasi::http::types::{IncomingRequest, ResponseOutparam};

struct Component;

#[expect(unsafe_code, reason = "generated: the functions that the host calls")]
mod exports {
    use super::{Component, bindings};

    bindings::export!(Component with_types_in bindings);
}

impl Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        session3_web::send(out, pages::answer(&session3_web::read(&request)));
    }
}
