//! The demo's start page as it would be without sessions, for the benchmark: the
//! same bindings, the same way to read requests and to send responses, the same
//! HTML; but no call of the manager, which this component therefore does not
//! import.

#[path = "../../../guest/demo/src/bindings.rs"]
mod bindings;
#[path = "../../../guest/demo/src/http.rs"]
#[expect(dead_code, reason = "the demo's pages use the rest")]
mod http;
#[path = "../../../guest/demo/src/template.rs"]
mod template;

use bindings::exports::wasi::http::incoming_handler::Guest;
use bindings::session3::sessions::manager::Header;
use bindings::wasi::http::types::{IncomingRequest, ResponseOutparam};
use http::{Request, Response};
use template::fill;

const LAYOUT: &str = include_str!("../../../guest/demo/src/layout.html");
const SESSION: &str = include_str!("../../../guest/demo/src/session.html");

struct Component;

#[expect(unsafe_code, reason = "generated: the functions that the host calls")]
mod exports {
    use super::{Component, bindings};

    bindings::export!(Component with_types_in bindings);
}

impl Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        http::send(out, show(&http::read(&request)));
    }
}

/// With what the demo shows to somebody who has no session.
fn show(request: &Request) -> Response {
    let values = [
        ("id", "None"),
        ("counter", "0"),
        ("more", request.path.as_str()),
    ];
    let body = fill(SESSION, &values);
    Response {
        status: 200,
        headers: vec![header("Content-Type", "text/html; charset=utf-8")],
        body: fill(LAYOUT, &[("title", "Session3"), ("body", &body)]),
    }
}

fn header(name: &str, value: &str) -> Header {
    Header {
        name: name.into(),
        value: value.into(),
    }
}
