//! An application that may see everybody's sessions: it says how many there are.

mod bindings;
#[path = "../../guest/src/respond.rs"]
mod respond;

use bindings::exports::wasi::http::incoming_handler::Guest;
use bindings::session3::sessions::admin;
use bindings::wasi::http::types::{IncomingRequest, ResponseOutparam};
use respond::respond;

struct Component;

#[expect(unsafe_code, reason = "generated: the functions that the host calls")]
mod exports {
    use super::{Component, bindings};

    bindings::export!(Component with_types_in bindings);
}

impl Guest for Component {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let page = admin::list_sessions(None, 100);
        let text = match page {
            Ok(page) => format!("{} sessions", page.sessions.len()),
            Err(why) => why,
        };
        respond(out, text.as_bytes(), || ());
    }
}
