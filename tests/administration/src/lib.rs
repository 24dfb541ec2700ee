//! An application that may see everybody's sessions: it says how many there are.

mod bindings;

use bindings::exports::wasi::http::incoming_handler::Guest;
use bindings::session3::sessions::admin;
use bindings::wasi::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

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
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the first one");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the first one");
        stream
            .blocking_write_and_flush(text.as_bytes())
            .expect("a few bytes");
        drop(stream);
        OutgoingBody::finish(body, None).expect("all of it");
    }
}
